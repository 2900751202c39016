/**
 * The npm benchmark: node run.mjs [--runs N] [--chromium] [--peer MODULE] [NAME...]. Each run of a case is a fresh process; a row is the median,
 * the range, and the CPU seconds per gigabyte.
 *
 * The peer is tcpip.js, the stock build, if `npm install tcpip` finds it or `--peer` names it; it takes the cases `peer/...` alone.
 */
import { spawn } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cases } from './cases.mjs';
import { runInChromium } from './chromium.mjs';

const OWN = new URL('../../packages/netloom/dist/index.js', import.meta.url).href;
const CHILD = fileURLToPath(new URL('child.mjs', import.meta.url));
const LIMIT_SECONDS = 180;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: 'string', default: '5' }, chromium: { type: 'boolean', default: false }, peer: { type: 'string' } },
});
const runs = Number(values.runs);
const peer = values.peer ?? (await found('tcpip'));
const wanted = Object.keys(cases).filter((name) => positionals.length === 0 || positionals.some((part) => name.includes(part)));

console.log(`Node ${process.versions.node}, ${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores; medians of ${runs} runs\n`);
await table('Node', wanted.filter((name) => !name.startsWith('peer/')), (name) => runInNode(name, OWN));
if (values.chromium) await table('Chromium', wanted.filter((name) => !name.startsWith('peer/')), runInChromium);
if (peer) await table(`Peer (${values.peer ?? 'tcpip'}), Node`, wanted.filter((name) => name.startsWith('peer/')), (name) => runInNode(name, peer));
else console.log('The peer, tcpip.js, was not found: npm install tcpip, or --peer MODULE.');

async function table(title, names, run) {
  if (names.length === 0) return;
  console.log(`| ${title} | median | range | unit | CPU s/GB | aim |\n|---|---:|---|---|---:|---:|`);
  for (const name of names) {
    const results = [];
    for (let index = 0; index < runs; index += 1) results.push(await run(name).catch((error) => ({ error })));
    const failed = results.find((result) => result.error);
    if (failed) {
      console.log(`| ${name} | failed: ${failed.error.message.split('\n')[0]} |||||`);
      process.exitCode = 1;
      continue;
    }
    const figures = results.map((result) => result.value).sort((a, b) => a - b);
    const perGigabyte = results.filter((result) => result.gigabytes).map((result) => result.cpuSeconds / result.gigabytes);
    const { unit, aim } = cases[name];
    const row = [name, text(median(figures)), `${text(figures[0])} to ${text(figures.at(-1))}`, unit, perGigabyte.length ? median(perGigabyte).toFixed(2) : '', aim ?? ''];
    console.log(`| ${row.join(' | ')} |`);
  }
  console.log();
}

function median(figures) {
  const sorted = [...figures].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function text(figure) {
  return Math.abs(figure) < 100 ? figure.toFixed(1) : Math.round(figure).toLocaleString('en-US');
}

function runInNode(name, library) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--expose-gc', CHILD, name, library], { stdio: ['ignore', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr']) child[stream].on('data', (chunk) => (output[stream] += chunk));
    const late = setTimeout(() => child.kill('SIGKILL'), LIMIT_SECONDS * 1000);
    child.on('close', (code) => {
      clearTimeout(late);
      if (code === 0 && output.stdout) resolve(JSON.parse(output.stdout));
      else reject(new Error(output.stderr.trim().split('\n').find((line) => line.includes('Error')) ?? `ended with ${code}`));
    });
  });
}

async function found(module) {
  try {
    return import.meta.resolve(module);
  } catch {
    return undefined;
  }
}
