// Formats or lints our JavaScript and TypeScript, as biome.json has it: node lint.mjs format|lint [--write]
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { show } from './process.mjs';
import { program } from './runtimes.mjs';

const LIMIT_SECONDS = 120;
const root = fileURLToPath(new URL('../..', import.meta.url));
const command = [program(`@biomejs/cli-linux-${process.arch}/biome`), ...process.argv.slice(2), '--error-on-warnings', '--max-diagnostics=50'];
if (!(await show(command, { cwd: root, limitSeconds: LIMIT_SECONDS }))) process.exitCode = 1;
