/**
 * What keeps a process running: open sockets and servers do, as Node's; closed ones, `unref`ed ones and an idle stack do not.
 * Each case is a process of its own, whose script tells how far it came.
 *
 * @module
 */
import { equal } from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const PRELUDE = `
  import { createDgram, createNet } from './src/node/index.ts';
  import { createStacks, FAR } from './test/node/stacks.ts';
  const { near, far } = await createStacks();
  const nets = { near: createNet(near.tcp), far: createNet(far.tcp) };
  // Does not keep the process: what is printed after it shows that something else did.
  const later = (action) => setTimeout(action, 200).unref();
`;

async function said(script: string, context: { signal: AbortSignal }): Promise<string> {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', PRELUDE + script], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    signal: context.signal,
  });
  const [output, [status]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  equal(status, 0);
  return output.trim();
}

const LIMIT = { timeout: 60_000 };

test('an idle stack lets the process end', LIMIT, async (context) => {
  equal(await said(`later(() => console.log('kept'));`, context), '');
});

test('a server that listens keeps it until it closes', LIMIT, async (context) => {
  equal(await said(`const server = nets.far.createServer().listen(80, () => later(() => server.close(() => console.log('kept'))));`, context), 'kept');
});

test('a server that is unrefed does not', LIMIT, async (context) => {
  equal(await said(`nets.far.createServer().unref().listen(80, () => later(() => console.log('kept')));`, context), '');
});

test('an open socket keeps it until it closes', LIMIT, async (context) => {
  const script = `
    nets.far.createServer((socket) => socket.resume().unref()).unref().listen(80, () => {
      const socket = nets.near.connect(80, FAR, () => later(() => socket.destroy()));
      socket.on('close', () => console.log('kept'));
    });`;
  equal(await said(script, context), 'kept');
});

test('a socket that is unrefed does not', LIMIT, async (context) => {
  const script = `
    nets.far.createServer((socket) => socket.unref()).unref().listen(80, () => {
      const socket = nets.near.connect(80, FAR, () => {
        console.log('connected');
        socket.unref();
        later(() => console.log('kept'));
      });
    });`;
  equal(await said(script, context), 'connected');
});

test('a bound datagram socket keeps it until it closes', LIMIT, async (context) => {
  const script = `
    const socket = createDgram(far.udp).createSocket('udp4').bind(53, () => later(() => socket.close(() => console.log('kept'))));`;
  equal(await said(script, context), 'kept');
});
