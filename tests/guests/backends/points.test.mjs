// The differential checklist, each point by name: that ours holds it, and how v86's own backend does not.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { HOLDS } from "./points/holds.mjs";
import { points } from "./points/index.mjs";
import { ours } from "./subjects.mjs";

const OWN = fileURLToPath(new URL("own.mjs", import.meta.url));
/** What v86's own backend has not done after this long it never does: it has no timers. */
const OWN_LIMIT_MS = "2000";

/** Runs a point on v86's own backend; resolves with whether it held, and what was said. */
function onOwn(index) {
  const env = { ...process.env, NETLOOM_LIMIT_MS: points[index].own === HOLDS ? "20000" : OWN_LIMIT_MS };
  return new Promise((resolve) => {
    execFile(process.execPath, [OWN, `${index}`], { env, timeout: 60_000 }, (error, stdout, stderr) => resolve({ held: !error, said: stdout + stderr }));
  });
}

/** Runs a point on ours, and closes what it opened. */
async function onOurs({ run }) {
  const opened = [];
  try {
    await run(async (settings, options) => {
      const subject = await ours(settings, options);
      opened.push(subject);
      return subject;
    });
  } finally {
    for (const subject of opened) await subject.close();
  }
}

// Most of the time is v86's own, which is waited for in vain.
describe("the checklist", { concurrency: 4 }, () => {
  for (const [index, point] of points.entries()) {
    describe(`${point.point}. ${point.name}`, { concurrency: true }, () => {
      test("ours", () => onOurs(point));
      if (point.own === undefined) return;
      test(point.own === HOLDS ? "v86's own as well" : "v86's own fails", async () => {
        const { held, said } = await onOwn(index);
        if (point.own === HOLDS) assert.ok(held, said);
        else {
          assert.ok(!held, "it does not fail");
          assert.match(said, point.own);
        }
      });
    });
  }
});
