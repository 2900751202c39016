// The processes of a run: the servers, which live as long as it, and one for every measurement.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const LIMIT_SECONDS = 400;
const path = (name) => fileURLToPath(new URL(name, import.meta.url));

/** Starts the servers; `ports` tells where they are. */
export async function serversProcess() {
  const server = spawn(process.execPath, [path('servers.mjs')], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await once(createInterface({ input: server.stdout }), 'line');
  return { ports: JSON.parse(line), stop: () => server.stdin.end() };
}

/** Measures in a process of its own: `{ figures }`, or `{ error }`. */
export function child(measured, side, options) {
  return new Promise((resolve) => {
    const script = path(measured.part === 'ideal' ? 'ideal.mjs' : 'guest.mjs');
    const one = spawn(process.execPath, [script, JSON.stringify({ ...measured, side, ...options })], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    let errors = '';
    one.stdout.on('data', (chunk) => (said += chunk));
    one.stderr.on('data', (chunk) => (errors += chunk));
    const late = setTimeout(() => one.kill('SIGKILL'), LIMIT_SECONDS * 1000);
    one.on('close', () => {
      clearTimeout(late);
      const line = said.split('\n').find((text) => text.startsWith('{'));
      const why = errors.split('\n').find((text) => /^\w*Error\b/.test(text)) ?? 'ended without a figure';
      resolve(line ? JSON.parse(line) : { error: why });
    });
  });
}
