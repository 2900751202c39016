// What the packed package holds, and what the field's own checkers say of it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { publint } from 'publint';
import { capture } from '../process.mjs';
import { folder, manifest, pack, root } from './packed.mjs';

const bin = new URL('../node_modules/.bin/', import.meta.url).pathname;

test('the package holds what is built, its licences and its README, and no more', async (t) => {
  const { files } = await pack(await folder(t));
  const apart = files.filter((file) => !file.startsWith('dist/')).sort();
  assert.deepEqual(apart, ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json']);
  const foreign = files.filter((file) => file.startsWith('dist/') && !/\.(js|js\.map|d\.ts|wasm)$/.test(file));
  // The page of the guests' own origin.
  assert.deepEqual(foreign, ['dist/v86/serve/origin/bridge.html']);
  for (const target of Object.values(manifest.exports)) {
    for (const path of typeof target === 'string' ? [target] : Object.values(target)) {
      assert.ok(files.includes(path.replace('./', '')), `${path} is not in the package`);
    }
  }
});

test('the package depends on nothing', () => {
  for (const kind of ['dependencies', 'peerDependencies', 'optionalDependencies']) assert.equal(manifest[kind], undefined);
});

test('publint finds nothing to say', async () => {
  const { messages } = await publint({ pkgDir: root, strict: true });
  assert.deepEqual(messages, []);
});

test('the types resolve wherever modules do', async (t) => {
  const { tarball } = await pack(await folder(t));
  const modules = Object.keys(manifest.exports).filter((entry) => entry.endsWith('.wasm'));
  await capture([`${bin}attw`, tarball, '--profile', 'esm-only', '--exclude-entrypoints', ...modules]);
});
