// What the modules weigh, and each entry of the built package in a bundle, minified, without the modules; fails what is over its budget.
//
// node scripts/sizes.mjs [modules|entries]
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { build } from 'esbuild';

/** Bytes of gzip. */
const MODULE_BUDGET = 100 * 1024;
/** What vectors add to either. */
const SIMD_BYTES = 1024;
/** The LAN's has the services and what joins flows to the outside besides. */
const LAN_MODULE_BUDGET = 168 * 1024;
/** The TLS of guests, which only those load that ask for it. */
const TLS_MODULE_BUDGET = 230 * 1000;
const BASE_BUDGET = 20 * 1024;

const root = fileURLToPath(new URL('..', import.meta.url));
const { exports, name } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
const part = process.argv[2];

if (part !== 'entries') {
  for (const [name, budget] of [
    ['netloom', MODULE_BUDGET],
    ['netloom-lan', LAN_MODULE_BUDGET],
  ]) {
    const variants = [
      [`${name}.wasm`, budget],
      [`${name}.simd128.wasm`, budget + SIMD_BYTES],
    ];
    for (const [file, bytes] of variants) weigh(file, readFileSync(`${root}src/engine/inline/${file}`), bytes);
  }
  weigh('netloom-tls.wasm', readFileSync(`${root}src/engine/inline/netloom-tls.wasm`), TLS_MODULE_BUDGET);
}
if (part !== 'modules') {
  for (const [entry, { default: file }] of Object.entries(exports)) {
    if (file === undefined) continue;
    const { outputFiles } = await build({
      entryPoints: [`${root}${file}`],
      bundle: true,
      minify: true,
      format: 'esm',
      target: 'es2022',
      platform: entry === './node' ? 'node' : 'browser',
      external: ['./inline/*', '../engine/inline/*'],
      write: false,
      logLevel: 'error',
    });
    weigh(entry.replace('.', name), outputFiles[0].contents, entry === '.' ? BASE_BUDGET : undefined);
  }
}

function weigh(what, bytes, budget) {
  const gzip = gzipSync(bytes, { level: 9 }).length;
  const over = budget !== undefined && gzip > budget;
  if (over) process.exitCode = 1;
  const of = budget === undefined ? '' : ` of ${budget}${over ? ': over budget' : ''}`;
  console.log(`${what.padEnd(20)} ${bytes.length} bytes, brotli ${brotliCompressSync(bytes).length}, gzip ${gzip}${of}`);
}
