// The package as npm packs it, and folders to use it in.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { capture } from '../process.mjs';

export const root = fileURLToPath(new URL('../../../packages/netloom/', import.meta.url));
export const manifest = JSON.parse(await readFile(`${root}package.json`, 'utf8'));

/** Entries that are code, by what one imports. */
export const entries = Object.entries(manifest.exports)
  .filter(([, target]) => typeof target === 'object')
  .map(([entry]) => entry.replace('.', manifest.name));

/** A folder that is gone after the test. */
export async function folder(test) {
  const path = await mkdtemp(`${tmpdir()}/netloom-npm-`);
  test.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** Packs the package into `path`; resolves with the tarball and the files that it holds. */
export async function pack(path) {
  const said = await capture(['npm', 'pack', '--json', '--silent', '--pack-destination', path], { cwd: root });
  const [{ filename, files }] = [JSON.parse(said.slice(said.search(/^[[{]/m), said.search(/[\]}]\s*(npm |$)/) + 1))].flat();
  return { tarball: `${path}/${filename}`, files: files.map((file) => file.path) };
}

let installed;

/** A project with the packed package and nothing else, gone after the test. */
export async function project(test) {
  const path = await folder(test);
  // What npm installs is the same for all.
  installed ??= (async () => {
    const first = await mkdtemp(`${tmpdir()}/netloom-npm-`);
    await install(first);
    return first;
  })();
  await cp(await installed, path, { recursive: true });
  return path;
}

/** Removes what the projects were copied from. */
export async function clean() {
  if (installed) await rm(await installed, { recursive: true, force: true });
}

async function install(path) {
  const { tarball } = await pack(path);
  await writeFile(`${path}/package.json`, JSON.stringify({ name: 'empty', private: true, type: 'module' }));
  await capture(['npm', 'install', '--offline', '--no-audit', '--no-fund', '--silent', tarball], { cwd: path });
}
