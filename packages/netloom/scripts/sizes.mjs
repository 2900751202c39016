// What each entry of the built package weighs in a bundle, minified, without the WebAssembly modules; the base entry has a budget.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const BASE_BUDGET_GZIP_BYTES = 20 * 1024;

const root = fileURLToPath(new URL('..', import.meta.url));
const { exports, name } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
let fits = true;
for (const [entry, { default: file }] of Object.entries(exports)) {
  if (file === undefined) continue;
  const { outputFiles } = await build({
    entryPoints: [`${root}${file}`],
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    platform: entry === './node' ? 'node' : 'browser',
    external: ['*/engine/inline/*', '*/inline/*'],
    write: false,
    logLevel: 'error',
  });
  const bytes = outputFiles[0].contents;
  const gzip = gzipSync(bytes, { level: 9 }).length;
  const budget = entry === '.' ? ` of ${BASE_BUDGET_GZIP_BYTES}` : '';
  fits &&= entry !== '.' || gzip <= BASE_BUDGET_GZIP_BYTES;
  console.log(`${entry.replace('.', name).padEnd(18)} ${bytes.length} bytes, gzip ${gzip}${budget}, brotli ${brotliCompressSync(bytes).length}`);
}
if (!fits) {
  console.error('over budget');
  process.exit(1);
}
