/**
 * Chromium for one case at a time: a fresh browser, a page that runs the case, and the CPU time of the browser's processes.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const DIST = fileURLToPath(new URL('../../packages/netloom/dist/', import.meta.url));
const TYPES = { '.mjs': 'text/javascript', '.js': 'text/javascript', '.wasm': 'application/wasm', '.html': 'text/html' };
const LIMIT_SECONDS = 120;
const TICKS_PER_SECOND = 100;

export async function runInChromium(name, program = process.env.CHROMIUM ?? 'chromium') {
  const profile = await mkdtemp(join(tmpdir(), 'netloom-bench-'));
  const told = {};
  const outcome = new Promise((resolve, reject) => Object.assign(told, { resolve, reject }));
  let browser;
  let before = 0;
  const server = createServer(async (request, response) => {
    try {
      const { pathname } = new URL(request.url, 'http://localhost');
      if (request.method === 'POST') {
        const chunks = [];
        for await (const chunk of request) chunks.push(chunk);
        const body = JSON.parse(Buffer.concat(chunks).toString());
        if (pathname === '/began') before = await cpuSeconds(browser.pid);
        if (pathname === '/ended') told.resolve({ ...body, cpuSeconds: (await cpuSeconds(browser.pid)) - before });
        if (pathname === '/failed') told.reject(new Error(body.message));
        return response.end();
      }
      const path = pathname === '/' ? undefined : pathname.startsWith('/netloom/') ? join(DIST, normalize(pathname.slice(9))) : join(HERE, normalize(pathname));
      response.setHeader('content-type', path ? (TYPES[extname(path)] ?? 'application/octet-stream') : 'text/html');
      response.end(path ? await readFile(path) : '<!doctype html><script type="module" src="/page.mjs"></script>');
    } catch {
      response.statusCode = 404;
      response.end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${server.address().port}/?case=${encodeURIComponent(name)}`;
  const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run', '--enable-precise-memory-info', '--js-flags=--expose-gc'];
  browser = spawn(program, [...flags, `--user-data-dir=${profile}`, address], { stdio: 'ignore' });
  const ended = new Promise((resolve) => browser.once('close', resolve));
  browser.once('error', told.reject);
  const late = setTimeout(() => told.reject(new Error(`${name} was not done after ${LIMIT_SECONDS} s`)), LIMIT_SECONDS * 1000);
  try {
    return await outcome;
  } finally {
    clearTimeout(late);
    browser.kill('SIGTERM');
    await ended;
    server.close();
    server.closeAllConnections();
    await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

/** CPU seconds of a process and of those that it started, from /proc. */
async function cpuSeconds(root) {
  const processes = new Map();
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => undefined);
    if (!stat) continue;
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    processes.set(Number(entry), { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) });
  }
  const isOurs = (pid) => pid === root || (processes.has(pid) && processes.get(pid).parent > 1 && isOurs(processes.get(pid).parent));
  return [...processes].reduce((sum, [pid, { ticks }]) => (isOurs(pid) ? sum + ticks : sum), 0) / TICKS_PER_SECOND;
}
