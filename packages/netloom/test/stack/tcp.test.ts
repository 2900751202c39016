import { createStack } from '../../src/index.ts';
import { deepEqual, equal, ok, rejects, test, throws } from '../harness.ts';
import { A, B, collect, connected, looped, pair, turn, until } from './stacks.ts';

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);
const bytes = (of: string) => new TextEncoder().encode(of);

test('both ends tell their addresses', async () => {
  const { a, b, close } = await pair();
  const { client, server, listener } = await connected({ a, b });
  deepEqual(client.remote, { address: B, port: 80 });
  deepEqual(server.local, { address: B, port: 80 });
  deepEqual(client.local, server.remote);
  deepEqual([client.localAddress, client.localPort >= 49_152], [A, true]);
  deepEqual([listener.address, listener.port], ['0.0.0.0', 80]);
  await close();
});

test('small writes arrive apart, in order, in under 5 ms each on average', async () => {
  const { client, server, stack } = await looped();
  const writer = client.writable.getWriter();
  const reader = server.readable.getReader();
  const began = performance.now();
  for (let index = 0; index < 100; index += 1) {
    await writer.write(bytes(`one ${index}`));
    await writer.write(bytes(`two ${index}`));
    equal(text((await reader.read()).value), `one ${index}`);
    equal(text((await reader.read()).value), `two ${index}`);
  }
  ok(performance.now() - began < 500 * 10, 'no delayed acknowledgment in the way');
  await stack.close();
});

test('nothing is delivered within the call that sends it', async () => {
  const { client, server, stack } = await looped();
  let arrived = false;
  const read = server.readInto(new Uint8Array(10)).then((count) => {
    arrived = true;
    return count;
  });
  const write = client.write(bytes('hello'));
  for (let index = 0; index < 50; index += 1) await Promise.resolve();
  equal(arrived, false);
  await write;
  equal(await read, 5);
  await stack.close();
});

test('refused, unreachable, without a route, and silent targets reject with their codes', async () => {
  const { a, b, ta, tb, close } = await pair({ by: 'none' });
  const none = a.tcp.connect({ host: '9.9.9.9', port: 80 });
  await rejects(none, { code: 'ENETUNREACH', message: 'connect ENETUNREACH 9.9.9.9:80' });
  const silent = a.tcp.connect({ host: B, port: 80, timeout: 30 });
  await rejects(silent, { code: 'ETIMEDOUT', message: 'connect ETIMEDOUT 10.0.0.2:80' });
  await rejects(a.tcp.connect({ host: '10.0.0.77', port: 80 }), { code: 'EHOSTUNREACH' });
  ta.onFrames((frames) => tb.send(frames));
  tb.onFrames((frames) => ta.send(frames));
  await rejects(a.tcp.connect({ host: B, port: 81 }), { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 10.0.0.2:81' });
  equal(b.stats().connections, 0);
  await close();
});

test('malformed arguments reject', async () => {
  await using stack = await createStack();
  for (const port of [0, -1, 65_536, 1.5, Number.NaN]) await rejects(stack.tcp.connect({ host: '127.0.0.1', port }), { code: 'EINVAL' });
  for (const port of [-1, 65_536]) await rejects(stack.tcp.listen({ port }), { code: 'EINVAL' });
  await rejects(stack.tcp.listen({ port: 1, backlog: 0 }), { code: 'EINVAL' });
  await rejects(stack.tcp.connect({ host: '', port: 80 }), { code: 'EINVAL' });
  await rejects(stack.tcp.connect({ host: '127.0.0.1', port: 80, keepAlive: 10 }), { code: 'EINVAL' });
  await rejects(stack.tcp.connect({ host: '127.0.0.1', port: 80, receiveBufferSize: 100 }), { code: 'EINVAL' });
  await rejects(stack.tcp.connect({ host: '127.0.0.1', port: 80, localAddress: '10.9.9.9' }), { code: 'EADDRNOTAVAIL' });
  await rejects(stack.tcp.connect({ host: '127.0.0.1', port: 80, localAddress: 'here' }), { code: 'EINVAL' });
});

test('a listener has the host it was given, and its port alone', async () => {
  await using stack = await createStack();
  await stack.interfaces.createTun({ ip: '10.0.0.1/24' });
  const listener = await stack.tcp.listen({ host: '127.0.0.1', port: 80 });
  equal(listener.address, '127.0.0.1');
  await rejects(stack.tcp.listen({ host: '127.0.0.1', port: 80 }), { code: 'EADDRINUSE' });
  await rejects(stack.tcp.listen({ port: 80 }), { code: 'EADDRINUSE' });
  await rejects(stack.tcp.listen({ host: '10.0.0.9', port: 81 }), { code: 'EADDRNOTAVAIL' });
  const other = await stack.tcp.listen({ host: '10.0.0.1', port: 80 });
  const [, accepted] = await Promise.all([stack.tcp.connect({ host: '10.0.0.1', port: 80 }), other.accept()]);
  equal(accepted!.localAddress, '10.0.0.1');
  await other.close();
  await rejects(stack.tcp.connect({ host: '10.0.0.1', port: 80 }), { code: 'ECONNREFUSED' });
  const free = await stack.tcp.listen({ port: 0 });
  ok(free.port >= 49_152);
});

test('closing a listener ends its iteration, resets what waits, and frees the port', async () => {
  await using stack = await createStack();
  const listener = await stack.tcp.listen({ port: 80 });
  const waiting = await stack.tcp.connect({ host: '127.0.0.1', port: 80 });
  const iterated = (async () => {
    let count = 0;
    for await (const _ of listener) count += 1;
    return count;
  })();
  await turn();
  const late = await stack.tcp.connect({ host: '127.0.0.1', port: 80 });
  equal(await Promise.race([iterated, turn()]), undefined);
  await listener.close();
  await listener.close();
  equal(await iterated, 2);
  equal(await listener.accept(), undefined);
  await using again = await stack.tcp.listen({ port: 80 });
  const pending = await stack.tcp.connect({ host: '127.0.0.1', port: 80 });
  await again.close();
  await rejects(pending.readInto(new Uint8Array(1)), { code: 'ECONNRESET' });
  waiting.reset();
  late.reset();
});

test('connections that arrive before anybody accepts are all there, and more than the backlog must try again', async () => {
  await using stack = await createStack();
  const listener = await stack.tcp.listen({ port: 80, backlog: 4 });
  const clients = await Promise.all(Array.from({ length: 4 }, () => stack.tcp.connect({ host: '127.0.0.1', port: 80 })));
  await clients[0]!.write(bytes('early'));
  await turn();
  const ports = [];
  for await (const connection of listener) if (ports.push(connection.remotePort) === 4) break;
  deepEqual(
    ports,
    clients.map((client) => client.localPort),
  );
  const [more, accepted] = await Promise.all([stack.tcp.connect({ host: '127.0.0.1', port: 80 }), listener.accept()]);
  equal(accepted!.remotePort, more.localPort);
});

test('what came before accept is read after it', async () => {
  await using stack = await createStack();
  const listener = await stack.tcp.listen({ port: 80 });
  const client = await stack.tcp.connect({ host: '127.0.0.1', port: 80 });
  await client.write(bytes('early'));
  await client.writable.close();
  await turn();
  const server = await listener.accept();
  equal(text(await collect(server!)), 'early');
});

test('half-close: the client ends, the server still answers', async () => {
  const { client, server, stack } = await looped();
  await client.write(bytes('question'));
  await client.writable.close();
  equal(text(await collect(server)), 'question');
  await server.write(bytes('answer'));
  await server.writable.close();
  equal(text(await collect(client)), 'answer');
  await Promise.all([client.closed, server.closed]);
  await rejects(client.write(bytes('more')), { code: 'EPIPE' });
  await stack.close();
});

test('closing: pending and later reads and writes reject, the peer gets the rest and then the end', async () => {
  const { client, server, stack } = await looped();
  const writer = client.writable.getWriter();
  const reader = client.readable.getReader();
  const pending = reader.read();
  await writer.write(bytes('last words'));
  await client.close();
  await client.close();
  const about = { message: 'tcp connection closed', code: 'ECONNABORTED' };
  await rejects(pending, about);
  await rejects(reader.read(), about);
  await rejects(writer.write(bytes('x')), about);
  await rejects(writer.closed, about);
  await rejects(client.readable.getReader === undefined ? Promise.resolve() : client.write(bytes('x')), { message: 'writable stream already locked' });
  await client.closed;
  equal(text(await collect(server)), 'last words');
  await server.close();
  await stack.close();
});

test('streams made after a close reject too', async () => {
  const { client, stack } = await looped();
  await client.close();
  await rejects(client.readable.getReader().read(), { message: 'tcp connection closed' });
  await rejects(client.writable.getWriter().write(bytes('x')), { message: 'tcp connection closed' });
  await rejects(client.readInto(new Uint8Array(1)), { message: 'readable stream already locked' });
  client.setOptions({ noDelay: false });
  client.reset();
  await stack.close();
});

test('reset: the peer hears of it', async () => {
  const { client, server, stack } = await looped();
  const reading = server.readInto(new Uint8Array(1));
  const closed = server.closed;
  client.reset();
  await rejects(reading, { code: 'ECONNRESET' });
  await rejects(closed, { code: 'ECONNRESET' });
  await rejects(server.write(bytes('x')), { code: 'ECONNRESET' });
  await rejects(client.closed, { code: 'ECONNABORTED' });
  await until(() => stack.stats().connections === 0);
  await stack.close();
});

test('aborting the writable resets, cancelling the readable drops what comes', async () => {
  const { client, server, stack } = await looped();
  await server.readable.cancel();
  for (let index = 0; index < 100; index += 1) await client.write(new Uint8Array(65_536));
  await server.write(bytes('still here'));
  equal(await client.readInto(new Uint8Array(100)), 10);
  const reading = client.readInto(new Uint8Array(1));
  await server.writable.abort(new Error('enough'));
  await rejects(reading, { code: 'ECONNRESET' });
  await stack.close();
});

test('iterating over a locked stream throws', async () => {
  const { client, stack } = await looped();
  client.readable.getReader();
  throws(() => client[Symbol.asyncIterator](), { message: 'readable stream already locked' });
  await rejects(client.readInto(new Uint8Array(1)), { message: 'readable stream already locked' });
  await stack.close();
});

test('leaving an iteration early cancels the reads', async () => {
  const { client, server, stack } = await looped();
  await client.write(bytes('one'));
  for await (const chunk of server) {
    equal(text(chunk), 'one');
    break;
  }
  equal(server.readable.locked, false);
  equal((await server.readable.getReader().read()).done, true);
  await stack.close();
});

test('only bytes can be written', async () => {
  const { client, stack } = await looped();
  await rejects(client.write('text' as never), { name: 'TypeError' });
  await client.write(new Uint8Array(0));
  await rejects(client.writable.getWriter().write('text' as never), { name: 'TypeError' });
  await stack.close();
});

test('disposal closes', async () => {
  await using stack = await createStack();
  const listener = await stack.tcp.listen({ port: 80 });
  const client = await stack.tcp.connect({ host: '127.0.0.1', port: 80 });
  {
    await using server = (await listener.accept())!;
    await server.write(bytes('bye'));
  }
  equal(text(await collect(client)), 'bye');
});

test('options may change while a connection lives', async () => {
  const { client, server, stack } = await looped();
  client.setOptions({ noDelay: false, keepAlive: 1000 });
  client.setOptions({ keepAlive: false, sendBufferSize: 4096, receiveBufferSize: 4096 });
  throws(() => client.setOptions({ sendBufferSize: 1 }), { code: 'EINVAL' });
  await client.write(bytes('works'));
  equal(await server.readInto(new Uint8Array(9)), 5);
  await stack.close();
});
