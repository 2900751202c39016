import { createStack } from '../../src/index.ts';
import { deepEqual, equal, rejects, test } from '../harness.ts';
import { B, connected, looped, pair, turn, until } from './stacks.ts';

const enough = new Error('enough');
const about = { message: 'enough' };

test('everything refuses a signal that has aborted', async () => {
  const { stack, client, server, listener } = await looped();
  const signal = AbortSignal.abort(enough);
  await rejects(stack.tcp.connect({ host: '127.0.0.1', port: 80, signal }), about);
  await rejects(stack.tcp.listen({ port: 81, signal }), about);
  await rejects(stack.udp.open({ signal }), about);
  await rejects(stack.ping.createSession({ host: '127.0.0.1', signal }), about);
  await rejects(client.write(new Uint8Array(1), { signal }), about);
  await rejects(server.readInto(new Uint8Array(1), { signal }), about);
  await rejects(listener.accept({ signal }), about);
  const socket = await stack.udp.open();
  await rejects(socket.receive({ signal }), about);
  const session = await stack.ping.createSession({ host: '127.0.0.1' });
  await rejects(session.ping({ signal }), about);
  await stack.close();
});

test('connecting: while the name is looked up, while it waits, and after', async () => {
  const { a, b, ta, tb, close } = await pair({ by: 'none' });
  const naming = new AbortController();
  const named = a.tcp.connect({ host: 'nobody.example', port: 80, signal: naming.signal });
  await turn();
  naming.abort(enough);
  await rejects(named, about);
  const waiting = new AbortController();
  const connecting = a.tcp.connect({ host: B, port: 80, signal: waiting.signal });
  await turn();
  waiting.abort(enough);
  await rejects(connecting, about);
  equal(a.stats().connections, 0);
  ta.onFrames((frames) => tb.send(frames));
  tb.onFrames((frames) => ta.send(frames));
  const listener = await b.tcp.listen({ port: 80 });
  const late = new AbortController();
  const [client, server] = await Promise.all([a.tcp.connect({ host: B, port: 80, signal: late.signal }), listener.accept()]);
  late.abort(enough);
  await client.write(new Uint8Array(3));
  equal(await server!.readInto(new Uint8Array(9)), 3);
  await close();
});

test('in the same turn as the call', async () => {
  await using stack = await createStack();
  await stack.interfaces.createTun({ ip: '10.0.0.1/24' });
  const begin = [
    (signal: AbortSignal) => stack.tcp.connect({ host: B, port: 80, signal }),
    (signal: AbortSignal) => stack.tcp.connect({ host: 'nobody.example', port: 80, signal }),
    (signal: AbortSignal) => stack.tcp.listen({ host: '127.0.0.1', port: 80, signal }),
    (signal: AbortSignal) => stack.udp.open({ host: '127.0.0.1', port: 80, signal }),
    (signal: AbortSignal) => stack.ping.createSession({ host: B, signal }),
  ];
  for (const call of begin) {
    const abort = new AbortController();
    const promise = call(abort.signal);
    abort.abort(enough);
    await rejects(promise, about);
  }
  equal(stack.stats().connections, 0);
});

test('reading: the connection lives on', async () => {
  const { stack, client, server } = await looped();
  const abort = new AbortController();
  const reading = server.readInto(new Uint8Array(9), { signal: abort.signal });
  abort.abort(enough);
  await rejects(reading, about);
  await client.write(new Uint8Array(3));
  equal(await server.readInto(new Uint8Array(9)), 3);
  await stack.close();
});

test('writing: what has begun breaks the connection off, what has not is left out', async () => {
  const { a, b, close } = await pair();
  const { client, server } = await connected({ a, b });
  let stuck = false;
  const fill = (async () => {
    while (!stuck) await client.write(new Uint8Array(65_536));
  })();
  let before = -1;
  while (before !== a.stats().interfaces['tap0']!.bytesSent) {
    before = a.stats().interfaces['tap0']!.bytesSent;
    for (let index = 0; index < 20; index += 1) await turn();
  }
  stuck = true;
  const abort = new AbortController();
  const left = client.write(new Uint8Array([1, 2, 3]), { signal: abort.signal });
  abort.abort(enough);
  await rejects(left, about);
  const buffer = new Uint8Array(1 << 20);
  const reading = (async () => {
    let bytes = 0;
    for (let count; (count = await server.readInto(buffer)) > 0; bytes += count);
    return bytes;
  })();
  await fill;
  await client.writable.close();
  equal((await reading) % 65_536, 0, 'no byte of what was left out');
  const big = new AbortController();
  const second = await connected({ a, b }, B, 81);
  const begun = second.client.write(new Uint8Array(64 << 20), { signal: big.signal });
  await turn();
  big.abort(enough);
  await rejects(begun, about);
  await rejects(second.client.write(new Uint8Array(1)), about);
  await until(() => b.stats().connections < 2);
  await close();
});

test('accepting and receiving: the next one gets what comes', async () => {
  await using stack = await createStack();
  const listener = await stack.tcp.listen({ port: 80 });
  const abort = new AbortController();
  const accepting = listener.accept({ signal: abort.signal });
  const socket = await stack.udp.open({ port: 7 });
  const receiving = socket.receive({ signal: abort.signal });
  abort.abort(enough);
  await rejects(accepting, about);
  await rejects(receiving, about);
  const [client, server] = await Promise.all([stack.tcp.connect({ host: '127.0.0.1', port: 80 }), listener.accept()]);
  equal(client.localPort, server!.remotePort);
  await socket.send({ host: '127.0.0.1', port: 7, data: new Uint8Array([1]) });
  deepEqual((await socket.receive())!.data, new Uint8Array([1]));
});

test('a signal closes listeners and sockets', async () => {
  await using stack = await createStack();
  const abort = new AbortController();
  const listener = await stack.tcp.listen({ port: 80, signal: abort.signal });
  const socket = await stack.udp.open({ port: 80, signal: abort.signal });
  const accepting = listener.accept();
  const receiving = socket.receive();
  abort.abort();
  equal(await accepting, undefined);
  equal(await receiving, undefined);
  await rejects(stack.tcp.connect({ host: '127.0.0.1', port: 80 }), { code: 'ECONNREFUSED' });
});
