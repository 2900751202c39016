// The README's example, in an empty project that has only the packed package.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import process from 'node:process';
import test, { after } from 'node:test';
import { capture } from '../process.mjs';
import { clean, project, root } from './packed.mjs';

after(clean);

test("the README's example says what the README says that it does", async (t) => {
  const readme = await readFile(`${root}README.md`, 'utf8');
  const [, code] = /```js\n(.*?)```/s.exec(readme) ?? assert.fail('no example');
  const [, said] = /```text\n(.*?)```/s.exec(readme) ?? assert.fail('no output of it');
  const path = await project(t);
  await writeFile(`${path}/example.js`, code);
  assert.equal(await capture([process.execPath, 'example.js'], { cwd: path, limitSeconds: 60 }), said);
});
