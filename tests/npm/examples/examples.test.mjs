// Runs every example of the sources as a module of its own over the built package, and checks its types.
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import test, { after, before } from 'node:test';
import { transform } from 'esbuild';
import { capture } from '../process.mjs';
import { examples, root } from './extract.mjs';

/** It only ends what hangs; the compiler takes seconds alone, and minutes on a machine that does much beside. */
const LIMIT_SECONDS = 300;

// Inside the package, so that they import it by its name.
const folder = `${root}build/examples`;
const all = examples();
const fileOf = (place) => `${folder}/${place.replaceAll(/[/:]/g, '-')}`;

before(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
});
after(() => rmSync(folder, { recursive: true, force: true }));

test('there are examples', () => assert.ok(all.length > 0));

test('the types of the examples are right', async () => {
  for (const { place, code } of all) if (code !== undefined) writeFileSync(`${fileOf(place)}.ts`, `${code}\nexport {};\n`);
  const config = {
    extends: '../../tsconfig.json',
    compilerOptions: { types: ['node'], rootDir: '../..', noEmit: true, noUnusedLocals: false, noUnusedParameters: false, useUnknownInCatchVariables: false },
    include: ['*.ts'],
    exclude: [],
  };
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(config));
  await capture([process.execPath, `${root}node_modules/typescript/bin/tsc`, '-p', folder], { cwd: folder, limitSeconds: LIMIT_SECONDS });
});

for (const { place, code } of all) {
  test(place, async () => {
    assert.ok(code !== undefined, 'the example has no code');
    const { code: runnable } = await transform(code, { loader: 'ts', target: 'node20', format: 'esm' });
    const file = `${fileOf(place)}.mjs`;
    writeFileSync(file, runnable);
    await capture([process.execPath, file], { cwd: folder, limitSeconds: LIMIT_SECONDS });
  });
}
