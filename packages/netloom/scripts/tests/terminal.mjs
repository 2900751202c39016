// Runs build/tests.js in Node, Deno or Bun, and sees that the process then ends by itself.
import process from 'node:process';
import { setTimeout } from 'node:timers';
import { plan, run } from '../../build/tests.js';

const GRACE_SECONDS = 20;

const results = await run(process.argv[2] ?? '', console.log);
process.exitCode = results.failed.length === 0 ? 0 : 1;
console.log(plan(results));
setTimeout(() => {
  console.log('not ok - something keeps the process after the last test\n# fail 1');
  process.exit(1);
}, GRACE_SECONDS * 1000).unref();
