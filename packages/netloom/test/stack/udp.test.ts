import { createStack, type NetworkStack } from '../../src/index.ts';
import { deepEqual, equal, ok, pattern, rejects, test } from '../harness.ts';
import { A, B, pair, turn, until } from './stacks.ts';

const datagram = (host: string, port: number, ...data: number[]) => ({ host, port, data: new Uint8Array(data) });

test('datagrams carry the address of who sent them', async () => {
  const { a, b, close } = await pair();
  const [one, two] = await Promise.all([a.udp.open({ port: 5000 }), b.udp.open({ port: 6000 })]);
  deepEqual([one.localAddress, one.localPort], ['0.0.0.0', 5000]);
  await one.send(datagram(B, 6000, 1, 2, 3));
  deepEqual(await two.receive(), datagram(A, 5000, 1, 2, 3));
  await two.send(datagram(A, 5000));
  deepEqual(await one.receive(), datagram(B, 6000));
  await close();
});

test('streams and iteration', async () => {
  await using stack = await createStack();
  const one = await stack.udp.open({ port: 5000 });
  const two = await stack.udp.open();
  ok(two.localPort >= 49_152);
  const writer = two.writable.getWriter();
  const reader = one.readable.getReader();
  const first = reader.read();
  for (const number of [1, 2, 3]) await writer.write(datagram('127.0.0.1', 5000, number));
  equal((await first).value!.data[0], 1);
  reader.releaseLock();
  const seen = [];
  for await (const { data, port } of one) {
    equal(port, two.localPort);
    if (seen.push(data[0]) === 2) break;
  }
  deepEqual(seen, [2, 3]);
  await rejects(two.send(datagram('127.0.0.1', 5000, 1)), { message: 'writable stream already locked' });
});

test('0 to 65,507 bytes, whatever the MTU', async () => {
  for (const mtu of [576, 1500, 65_535]) {
    const { a, b, close } = await pair({ mtu });
    const sender = await a.udp.open();
    const receiver = await b.udp.open({ port: 7, receiveBufferSize: 1 << 20 });
    for (const size of [0, 1, 547, 1472, 1473, 8000, 65_507]) {
      await sender.send({ host: B, port: 7, data: pattern(size, size) });
      const { data } = (await receiver.receive())!;
      equal(data.length, size);
      deepEqual(data, pattern(size, size));
    }
    await rejects(sender.send({ host: B, port: 7, data: new Uint8Array(65_508) }), { code: 'EMSGSIZE' });
    await close();
  }
});

test('no frame is longer than the MTU', async () => {
  const { a, ta, close } = await pair({ by: 'none', mtu: 1500 });
  const lengths: number[] = [];
  ta.onFrames((frames) => frames.forEach((frame) => lengths.push(frame.length)));
  const sender = await a.udp.open();
  await sender.send({ host: '255.255.255.255', port: 7, data: new Uint8Array(60_000) });
  await until(() => lengths.length === 41);
  ok(lengths.every((length) => length <= 1514));
  await close();
});

test('ports in use, foreign addresses and malformed arguments reject', async () => {
  await using stack = await createStack();
  const socket = await stack.udp.open({ port: 53 });
  await rejects(stack.udp.open({ port: 53 }), { code: 'EADDRINUSE', message: 'bind EADDRINUSE 0.0.0.0:53' });
  await rejects(stack.udp.open({ host: '10.0.0.9' }), { code: 'EADDRNOTAVAIL' });
  await rejects(stack.udp.open({ port: 70_000 }), { code: 'EINVAL' });
  await rejects(stack.udp.open({ interface: 'tap7' }), { code: 'EINVAL' });
  await rejects(socket.send(datagram('8.8.8.8', 53, 1)), { code: 'ENETUNREACH' });
  await rejects(socket.send(datagram('127.0.0.1', 70_000, 1)), { code: 'EINVAL' });
  await rejects(socket.send({ host: '127.0.0.1', port: 1, data: 'text' as never }), { name: 'TypeError' });
});

test('closing: what waits ends, the port is free', async () => {
  await using stack = await createStack();
  const socket = await stack.udp.open({ port: 53 });
  const waiting = socket.receive();
  const iterated = (async () => {
    for await (const _ of socket);
  })();
  await socket.close();
  await socket.close();
  equal(await waiting, undefined);
  await rejects(iterated, { message: 'udp socket closed' });
  await rejects(socket.send(datagram('127.0.0.1', 53)), { message: 'udp socket closed' });
  equal(await socket.receive().catch((error: Error) => error.message), undefined);
  await (await stack.udp.open({ port: 53 })).close();
});

test('many sockets come and go', async () => {
  await using stack = await createStack();
  for (let index = 0; index < 1000; index += 1) {
    await using socket = await stack.udp.open();
    await socket.send(datagram('127.0.0.1', socket.localPort, 1));
    equal((await socket.receive())!.port, socket.localPort);
  }
});

test('what nobody reads is bounded and dropped', async () => {
  await using stack = await createStack();
  const receiver = await stack.udp.open({ port: 7, receiveBufferSize: 10_000 });
  const sender = await stack.udp.open();
  for (let index = 0; index < 100; index += 1) {
    await sender.send({ host: '127.0.0.1', port: 7, data: new Uint8Array(1000) });
    await turn();
  }
  ok(stack.stats().drops['udp_queue_full']! >= 85, JSON.stringify(stack.stats().drops));
  await receiver.receive();
});

test('a sender waits while a link is full, and goes on when it is read', async () => {
  const { a, ta, close } = await pair({ by: 'none', kind: 'tun', queueSize: 20_000 });
  const reader = ta.readable.getReader();
  const sender = await a.udp.open();
  let sent = 0;
  const sending = (async () => {
    for (; sent < 200; sent += 1) await sender.send({ host: B, port: 7, data: new Uint8Array(1000) });
  })();
  for (let index = 0; index < 20; index += 1) await turn();
  ok(sent < 200, `${sent} sent`);
  for (let index = 0; index < 200; index += 1) equal((await reader.read()).value!.length, 1028);
  await sending;
  await close();
});

test('a broadcast leaves by every tap with its address, and is heard from 0.0.0.0 too', async () => {
  await using stack = await createStack();
  const [one, two] = [await stack.interfaces.createTap({ ip: '192.168.1.1/24' }), await stack.interfaces.createTap({ ip: '192.168.2.1/24' })];
  const heard = [one, two].map((tap) => tap.listen());
  const socket = await stack.udp.open({ port: 68 });
  await socket.send(datagram('255.255.255.255', 67, 9));
  for (const [place, frames] of heard.entries()) {
    const { value } = await frames.next();
    deepEqual(value!.slice(0, 6), new Uint8Array(6).fill(255));
    deepEqual(value!.slice(26, 34), new Uint8Array([192, 168, place + 1, 1, 255, 255, 255, 255]));
  }
});

test('a client without an address reaches a server by broadcast, and is answered', async () => {
  const { a, b, ta, close } = await pair({ by: 'patch' });
  await ta.setAddresses([]);
  const client = await a.udp.open({ port: 68, interface: 'tap0' });
  const server = await b.udp.open({ port: 67, interface: 'tap0' });
  await client.send(datagram('255.255.255.255', 67, 1));
  deepEqual(await server.receive(), datagram('0.0.0.0', 68, 1));
  await server.send(datagram('255.255.255.255', 68, 2));
  deepEqual(await client.receive(), datagram(B, 67, 2));
  await close();
});

test('a socket of one interface hears there alone', async () => {
  await using stack = await createStack();
  const others = await Promise.all([createStack(), createStack()]);
  const received: number[] = [];
  const sockets = [];
  for (const [place, other] of others.entries()) {
    const tap = await stack.interfaces.createTap({ ip: `10.${place}.0.1/24` });
    const theirs = await other.interfaces.createTap({ ip: `10.${place}.0.2/24` });
    tap.onFrames((frames) => theirs.send(frames));
    theirs.onFrames((frames) => tap.send(frames));
    sockets.push(await stack.udp.open({ port: 67, interface: tap.name }));
  }
  for (const [place, socket] of sockets.entries()) void socket.receive().then((got) => received.push(place, got!.data[0]!));
  const send = async (stackOf: NetworkStack, number: number) => (await stackOf.udp.open()).send(datagram('255.255.255.255', 67, number));
  await send(others[1]!, 11);
  await until(() => received.length === 2);
  await send(others[0]!, 10);
  await until(() => received.length === 4);
  deepEqual(received, [1, 11, 0, 10]);
  for (const other of others) await other.close();
});

test('IPv6 datagrams', async () => {
  const { a, b, close } = await pair({ addresses: [] });
  const [ta, tb] = [[...a.interfaces].at(-1)!, [...b.interfaces].at(-1)!];
  await ta.addAddress('fd00::1/64');
  await tb.addAddress('fd00::2/64');
  const receiver = await b.udp.open({ host: 'fd00::2', port: 7 });
  const sender = await a.udp.open();
  await sender.send({ host: 'fd00::2', port: 7, data: pattern(4000) });
  const got = (await receiver.receive())!;
  deepEqual([got.host, got.port], ['fd00::1', sender.localPort]);
  deepEqual(got.data, pattern(4000));
  await close();
});
