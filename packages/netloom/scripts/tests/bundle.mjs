// Bundles the tests that run everywhere into one module, build/tests.js, over the built dist.
import { readdirSync, readFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Folders of tests that are Node's alone. */
const APART = ['node', 'package'];

/** The files of tests that run everywhere, from test/. */
function everywhere() {
  return readdirSync(`${root}test`, { recursive: true })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.test.ts') && !APART.includes(file.split('/')[0]))
    .sort();
}

/** What tests import of src, or by the package's name, is the built file, left where it is. */
const overDist = {
  name: 'over-dist',
  setup({ onResolve }) {
    const { exports, name } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
    const external = (file) => ({ path: `../${relative(root, file)}`, external: true });
    onResolve({ filter: new RegExp(`^${name}(/|$)`) }, ({ path }) => {
      const entry = exports[path.replace(name, '.')];
      return entry ? external(resolve(root, entry.default ?? entry)) : { errors: [{ text: `the package has no entry ${path}` }] };
    });
    onResolve({ filter: /^\..*\/src\/.*\.ts$/ }, ({ path, resolveDir }) => {
      const file = relative(`${root}src`, resolve(resolveDir, path));
      return file.startsWith('..') ? undefined : external(`${root}dist/${file.replace(/\.ts$/, '.js')}`);
    });
  },
};

/** Writes build/tests.js: `run(only, print)` evaluates each file and runs its tests; `plan` tells how the run ended. */
export async function bundleTests() {
  const files = everywhere().map((file) => `[${JSON.stringify(file)}, () => import(${JSON.stringify(`./${file}`)})]`);
  await build({
    stdin: {
      contents: `
        import { runFiles } from './harness/files.ts';
        export { plan } from './harness.ts';
        export const run = (only, print) => runFiles([${files.join()}], only, print);
      `,
      resolveDir: `${root}test`,
      sourcefile: 'tests.ts',
    },
    bundle: true,
    format: 'esm',
    target: 'es2022',
    sourcemap: 'inline',
    outfile: `${root}build/tests.js`,
    plugins: [overDist],
    logLevel: 'warning',
  });
}
