// The differential checklist: what v86's own backends fail, point by point, and ours must not.
// Each: `point` as the checklist numbers it; `run(make)` rejects where the point does not hold; `own` is what v86's own backend is
// rejected with, HOLDS where it does not fail, and missing where it cannot be asked.
import frames from "./frames.mjs";
import http from "./http.mjs";
import https from "./https.mjs";
import lan from "./lan.mjs";
import tcp from "./tcp.mjs";
import wisp from "./wisp.mjs";

export const points = [...frames, ...tcp, ...wisp, ...http, ...https, ...lan].sort((one, two) => one.point - two.point);
