/**
 * Runs one case in this process: node --expose-gc child.mjs CASE LIBRARY. Prints its figure and the CPU seconds that it took.
 */
import { cases } from './cases.mjs';

const [name, library] = process.argv.slice(2);
const loaded = await import(library);
const before = process.cpuUsage();
const { value, gigabytes } = await cases[name].run(loaded);
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ value, gigabytes, cpuSeconds: (user + system) / 1e6 }));
process.exit(0);
