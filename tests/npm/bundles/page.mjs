// A browser for a file of tests, and a folder with the script of its pages.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { launch } from '../chromium.mjs';

export const netloom = fileURLToPath(new URL('../../../packages/netloom/', import.meta.url));

/** Has `browser`, and `folder` with `page.js`, bundled of a file of the package's tests; they are there once the tests begin, and gone after them. */
export function pagesOf(source) {
  const made = {};
  before(async () => {
    made.browser = await launch();
    made.folder = await mkdtemp(join(tmpdir(), 'netloom-page-'));
    const entryPoints = [`${netloom}test/${source}`];
    await build({ entryPoints, bundle: true, format: 'esm', outfile: `${made.folder}/page.js`, logLevel: 'error' });
  });
  after(async () => {
    await made.browser?.close();
    if (made.folder) await rm(made.folder, { recursive: true });
  });
  return made;
}
