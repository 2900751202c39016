// Runs tests that are Node's alone, by its own runner: node suite.mjs node|node24 SUITE [ONLY]
//
// Suites: node (packages/netloom/test/node), package (the packed package), bundles (bundles in Chromium), examples (those of the documentation).
import { readdirSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { show } from './process.mjs';
import { TERMINALS } from './runtimes.mjs';

const LIMIT_SECONDS = process.env.NETLOOM_FULL ? 3600 : 1200;
/** Limit of one test, in milliseconds: it only ends what hangs, on a machine that may do much beside. */
const TEST_LIMIT = process.env.NETLOOM_FULL ? 1_800_000 : 600_000;

const here = fileURLToPath(new URL('.', import.meta.url));
const root = fileURLToPath(new URL('../../packages/netloom/', import.meta.url));

const [runtime, suite, only = ''] = process.argv.slice(2);
const folder = suite === 'node' ? `${root}test/node` : `${here}${suite}`;
const files = readdirSync(folder, { recursive: true })
  .filter((file) => /\.test\.(ts|mjs)$/.test(file) && file.includes(only))
  .sort()
  .map((file) => `${folder}/${file}`);
if (files.length === 0) throw new Error(`no file of ${folder} has ${only} in its name`);
const flags = ['--import', 'tsx', '--test', '--test-reporter=tap', `--test-timeout=${TEST_LIMIT}`];
if (!(await show([...TERMINALS[runtime](), ...flags, ...files], { cwd: root, limitSeconds: LIMIT_SECONDS }))) process.exitCode = 1;
