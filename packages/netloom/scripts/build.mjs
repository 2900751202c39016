// Builds dist: JavaScript and declarations from src, and the WebAssembly modules that `cargo xtask wasm` left.
import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = `${root}dist`;
const inline = 'engine/inline';

rmSync(dist, { recursive: true, force: true });
for (const project of ['.', 'src/node']) {
  const { status } = spawnSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', project], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
for (const name of readdirSync(`${root}src/${inline}`)) {
  if (name.endsWith('.wasm')) cpSync(`${root}src/${inline}/${name}`, `${dist}/${name}`);
}
// What goes to the origin of guests: a page, beside the scripts that were just built.
cpSync(`${root}src/v86/serve/origin/bridge.html`, `${dist}/v86/serve/origin/bridge.html`);
// A map of a module in base64 would hold it a second time.
for (const name of readdirSync(`${dist}/${inline}`)) {
  const file = `${dist}/${inline}/${name}`;
  if (name.endsWith('.map')) rmSync(file);
  else writeFileSync(file, readFileSync(file, 'utf8').replace(/^\/\/# sourceMappingURL=.*\n?/m, ''));
}
