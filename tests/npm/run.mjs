// Runs the package's tests in one runtime after the other: node run.mjs [RUNTIME…] [--only TEXT]
//
// Runtimes: node (the one that runs this), node24, deno, bun, window, worker; all, if none is named.
import process from 'node:process';
import { parseArgs } from 'node:util';
import { bundleTests, root } from '../../packages/netloom/scripts/tests/bundle.mjs';
import { runInChromium } from './browser.mjs';
import { show } from './process.mjs';
import { TERMINALS } from './runtimes.mjs';

const LIMIT_SECONDS = process.env.NETLOOM_FULL ? 3600 : 600;

const { positionals, values } = parseArgs({ allowPositionals: true, options: { only: { type: 'string', default: '' } } });
const runtimes = positionals.length > 0 ? positionals : [...Object.keys(TERMINALS), 'window', 'worker'];

await bundleTests();
for (const runtime of runtimes) {
  console.log(`## ${runtime}`);
  const command = TERMINALS[runtime];
  const passed = command
    ? await show([...command(), 'scripts/tests/terminal.mjs', values.only], { cwd: root, limitSeconds: LIMIT_SECONDS })
    : await runInChromium(runtime, values.only, root, LIMIT_SECONDS);
  if (!passed) process.exitCode = 1;
}
