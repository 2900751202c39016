// The differential checklist: what v86's own backends fail, point by point, and ours must not.
// Each: `point` as the checklist numbers it; `run(make)` rejects where the point does not hold; `own` is what v86's own backend is
// rejected with, and missing where it does not fail or cannot be asked.
import frames from "./frames.mjs";
import tcp from "./tcp.mjs";

export const points = [...frames, ...tcp];
