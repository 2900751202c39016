// What a bundler takes of the package, and what importing it does.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test, { after } from 'node:test';
import { build } from 'esbuild';
import { capture } from '../process.mjs';
import { clean, entries, manifest, project, root } from './packed.mjs';

after(clean);

const bundle = (contents, options = {}) =>
  build({ stdin: { contents, resolveDir: root }, bundle: true, format: 'esm', metafile: true, write: false, logLevel: 'silent', ...options });

for (const entry of entries) {
  test(`${entry} leaves nothing in a bundle that does not use it`, async () => {
    const platform = entry.endsWith('/node') ? 'node' : 'browser';
    const { outputFiles } = await bundle(`import '${entry}'; import * as all from '${entry}';`, { platform });
    const code = outputFiles[0].text.replace(/^\s*(\/\/.*|import "node:.*)$/gm, '').trim();
    assert.equal(code, '');
  });

  if (entry.endsWith('/node')) continue;

  test(`${entry} reaches nothing of Node`, async () => {
    const { metafile } = await bundle(`export * from '${entry}'`, { platform: 'browser' });
    const inputs = Object.entries(metafile.inputs);
    for (const [file, { imports }] of inputs) {
      assert.ok(!/(^|\/)dist\/node\//.test(file), `${file} is reached`);
      assert.deepEqual(
        imports.filter((one) => one.external).map((one) => one.path),
        [],
        file,
      );
    }
    assert.ok(inputs.length > 1);
  });

  test(`${entry} names no global of Node without asking whether it is there`, async () => {
    const { outputFiles } = await bundle(`export * from '${entry}'`, { platform: 'browser' });
    // Called bare, these throw in a browser.
    assert.doesNotMatch(outputFiles[0].text, /(?<![\w.$?])(?:Buffer|process|setImmediate|require|__dirname)(?:\.|\()/);
  });
}

test('an entry that does not open stacks does not bring the module', async () => {
  const { metafile } = await bundle(`export * from '${manifest.name}/wire'; export * from '${manifest.name}/transport'`, { platform: 'browser' });
  assert.deepEqual(
    Object.keys(metafile.inputs).filter((file) => file.includes('/engine/')),
    [],
  );
});

test('importing every entry changes no global and holds no process', async (t) => {
  const path = await project(t);
  const code = `
    const look = () => JSON.stringify([globalThis, Object.prototype, Array.prototype, Promise.prototype, Uint8Array.prototype].map((one) => Reflect.ownKeys(one).map(String)));
    // Node itself makes some of its globals only when they are touched.
    for (const key of Reflect.ownKeys(globalThis)) try { globalThis[key]; } catch {}
    const before = look();
    ${entries.map((entry) => `await import('${entry}');`).join('\n')}
    if (look() !== before) throw new Error('globals changed');
    console.log('imported');
  `;
  assert.match(await capture([process.execPath, '--input-type=module', '-e', code], { cwd: path, limitSeconds: 60 }), /imported/);
  assert.equal(JSON.parse(await readFile(`${path}/node_modules/${manifest.name}/package.json`, 'utf8')).sideEffects, false);
});
