// Programs run to their end, and ended if they outlive a limit.
import { spawn } from 'node:child_process';
import process from 'node:process';

/** Runs a command with our output; resolves with whether it ended well. */
export async function show(command, { cwd, limitSeconds, env }) {
  const child = spawn(command[0], command.slice(1), { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'inherit'] });
  return (await end(child, limitSeconds)) === 0;
}

/** Runs a command; resolves with what it said, rejects with that if it ended badly. */
export async function capture(command, { cwd, limitSeconds = 300, env } = {}) {
  const child = spawn(command[0], command.slice(1), { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
  const code = await end(child, limitSeconds);
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}:\n${said}`);
  return said;
}

function end(child, limitSeconds) {
  const timer = setTimeout(() => {
    console.log(`not ok - ${child.spawnfile} is not done after ${limitSeconds} s\n# fail 1`);
    child.kill('SIGKILL');
  }, limitSeconds * 1000);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  }).finally(() => clearTimeout(timer));
}
