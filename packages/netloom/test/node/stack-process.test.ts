/**
 * What a stack means for its process: it ends when nothing is waited for, and memory comes back.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const INDEX = new URL('../../src/index.ts', import.meta.url).href;
const TSX = fileURLToPath(import.meta.resolve('tsx'));

/** What a program prints. */
async function run(program: string, ...flags: string[]): Promise<string> {
  const source = `import { createStack, patch } from '${INDEX}';\n${program}`;
  const child = spawn(process.execPath, [...flags, '--import', TSX, '--input-type=module', '-e', source], { stdio: ['ignore', 'pipe', 'pipe'] });
  const late = setTimeout(() => child.kill('SIGKILL'), 60_000);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => child.on('close', (...ended) => resolve(ended)));
  clearTimeout(late);
  assert.equal(signal, null, `had to be killed: ${output}`);
  assert.equal(code, 0, output);
  return output.trim();
}

test('a process with an idle stack, its listener and a connection, exits', async () => {
  const output = await run(`
    const stack = await createStack();
    const listener = await stack.tcp.listen({ port: 80 });
    const [client, server] = await Promise.all([stack.tcp.connect({ host: '127.0.0.1', port: 80 }), listener.accept()]);
    client.readInto(new Uint8Array(1));
    listener.accept();
    (await stack.udp.open()).receive();
    console.log('idle');
  `);
  assert.equal(output, 'idle');
});

test('a process waits for what is in progress: a connect, a ping, a lookup', async () => {
  for (const operation of [
    `stack.tcp.connect({ host: '10.0.0.9', port: 80 })`,
    `stack.tcp.connect({ host: '10.0.0.9', port: 80, timeout: 300 })`,
    `(await stack.ping.createSession({ host: '10.0.0.9', timeout: 300 })).ping()`,
    `stack.tcp.connect({ host: 'nobody.example', port: 80 })`,
  ]) {
    const output = await run(`
      const stack = await createStack();
      (await stack.interfaces.createTap({ ip: '10.0.0.1/24' })).onFrames(() => {});
      (async () => ${operation})().catch((error) => console.log(error.name));
    `);
    assert.equal(output, 'NetworkError', operation);
  }
});

test('a process waits for a write that waits for its peer', async () => {
  const output = await run(`
    const stack = await createStack();
    const listener = await stack.tcp.listen({ port: 80 });
    const [client, server] = await Promise.all([stack.tcp.connect({ host: '127.0.0.1', port: 80 }), listener.accept()]);
    client.write(new Uint8Array(64 << 20)).catch((error) => console.log(error.code));
    setTimeout(() => server.reset(), 300).unref();
  `);
  assert.equal(output, 'ECONNRESET');
});

test('what is waited for is not collected, whoever holds the stack', async () => {
  const output = await run(
    `
    async function connect() {
      const stack = await createStack();
      (await stack.interfaces.createTap({ ip: '10.0.0.1/24' })).onFrames(() => {});
      return stack.tcp.connect({ host: '10.0.0.9', port: 80 });
    }
    const collecting = setInterval(() => gc(), 20);
    await connect().catch((error) => console.log(error.code));
    clearInterval(collecting);
  `,
    '--expose-gc',
  );
  assert.equal(output, 'EHOSTUNREACH');
});

test('a dropped stack is collected', async () => {
  const output = await run(
    `
    const collected = [];
    const registry = new FinalizationRegistry((name) => collected.push(name));
    async function use(name) {
      const [a, b] = await Promise.all([createStack(), createStack()]);
      patch(await a.interfaces.createTap({ ip: '10.0.0.1/24' }), await b.interfaces.createTap({ ip: '10.0.0.2/24' }));
      const listener = await b.tcp.listen({ port: 80 });
      const [client, server] = await Promise.all([a.tcp.connect({ host: '10.0.0.2', port: 80 }), listener.accept()]);
      await client.write(new Uint8Array(1000));
      client.readInto(new Uint8Array(1));
      registry.register(a, name);
    }
    for (const name of ['one', 'two', 'three']) await use(name);
    for (let round = 0; round < 100 && collected.length < 3; round += 1) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    console.log(collected.sort().join());
  `,
    '--expose-gc',
  );
  assert.equal(output, 'one,three,two');
});

test('tens of thousands of connections opened and closed leave nothing', { timeout: 300_000 }, async () => {
  const output = await run(
    `
    const stack = await createStack();
    const listener = await stack.tcp.listen({ port: 80 });
    const round = async (count) => {
      for (let index = 0; index < count; index += 1) {
        const [client, server] = await Promise.all([stack.tcp.connect({ host: '127.0.0.1', port: 80 }), listener.accept()]);
        await client.write(new Uint8Array(10));
        await server.readInto(new Uint8Array(10));
        await client.close();
        await server.close();
      }
      gc();
      await new Promise((resolve) => setTimeout(resolve));
      gc();
      return [process.memoryUsage().heapUsed, stack.stats().memoryBytes];
    };
    const before = await round(30_000);
    const after = await round(${process.env['NETLOOM_FULL'] ? 100_000 : 20_000});
    console.log(JSON.stringify([after[0] - before[0], after[1] - before[1]]));
  `,
    '--expose-gc',
  );
  const [heap, memory] = JSON.parse(output) as [number, number];
  assert.ok(heap < 1 << 20, `${heap} bytes of heap`);
  // A table may have grown once more, on a slow machine; flows that were kept would have 30 MB.
  assert.ok(memory <= 3 << 20, `${memory} bytes of WebAssembly memory`);
});
