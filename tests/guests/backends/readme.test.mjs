// The README's lines for v86, run as they stand, with a guest.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Guest, restored } from "../guest.mjs";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const MOST_LINES = 10;

async function linesOf(readme) {
  const [, code] = /## A network for v86\n.*?```js\n(.*?)```/s.exec(await readFile(root + readme, "utf8")) ?? assert.fail(`no lines in ${readme}`);
  return code;
}

test("the README's lines give a guest of v86 a network", { timeout: 300_000 }, async (context) => {
  const [code, also] = await Promise.all(["README.md", "packages/netloom/README.md"].map(linesOf));
  assert.equal(code, also);
  assert.ok(code.trimEnd().split("\n").length <= MOST_LINES, code);

  const folder = await mkdtemp(join(tmpdir(), "netloom-readme-"));
  context.after(() => rm(folder, { recursive: true }));
  await mkdir(`${folder}/node_modules`);
  await symlink(`${root}packages/netloom`, `${folder}/node_modules/netloom`);
  await symlink(`${root}tests/guests/node_modules/v86`, `${folder}/node_modules/v86`);
  await writeFile(`${folder}/page.mjs`, `${code}\nexport { emulator, network };\n`);

  globalThis.machine = restored("virtio");
  const { emulator, network } = await import(pathToFileURL(`${folder}/page.mjs`).href);
  const guest = await Guest.adopt(emulator);
  context.after(() => guest.destroy());
  // Unless a relay happens to run here.
  assert.ok(["fetch", "netloom://localhost"].includes(network.active), network.active);
  await guest.lease();
  if (network.active !== "fetch") return;
  const server = createServer((_, response) => response.end("Hello from the web.")).listen(0, "127.0.0.1");
  context.after(() => server.close());
  await once(server, "listening");
  assert.equal(await guest.must(`wget -q -O - http://${server.address().port}.external/`), "Hello from the web.");
});
