// Builds dist: JavaScript and declarations from src, and the WebAssembly modules where `cargo xtask wasm` left them.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = `${root}dist`;
const inline = `${root}src/engine/inline`;

rmSync(dist, { recursive: true, force: true });
const projects = existsSync(`${root}src/node/index.ts`) ? ['.', 'src/node'] : ['.'];
for (const project of projects) {
  const { status } = spawnSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', project], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
for (const name of existsSync(inline) ? readdirSync(inline) : []) {
  if (name.endsWith('.wasm')) cpSync(`${inline}/${name}`, `${dist}/${name}`);
}
