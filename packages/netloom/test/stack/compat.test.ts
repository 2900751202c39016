/**
 * Code written for tcpip.js: its flat names, its options, the texts of its errors.
 */
import {
  connectStreams,
  createStack,
  type BridgeInterface,
  type LoopbackInterface,
  type NetworkInterface,
  type TapInterface,
  type TcpConnection,
  type TcpListener,
  type TunInterface,
  type UdpDatagram,
  type UdpSocket,
} from '../../src/index.ts';
import type { DatagramTransport, StreamTransport } from '../../src/transport/index.ts';
import { deepEqual, equal, ok, rejects, test } from '../harness.ts';
import { turn } from './stacks.ts';

async function first<T>(iterable: Iterable<T> | AsyncIterable<T>): Promise<T> {
  const iterator = Symbol.asyncIterator in iterable ? iterable[Symbol.asyncIterator]() : iterable[Symbol.iterator]();
  const { value, done } = await iterator.next();
  ok(!done);
  return value;
}

test('flat names make, find and remove interfaces', async () => {
  const stack = await createStack({ initializeLoopback: false });
  await stack.ready;
  const loopback: LoopbackInterface = await stack.createLoopbackInterface({ ip: '127.0.0.1/8' });
  const tun: TunInterface = await stack.createTunInterface({ ip: '192.168.1.1/24' });
  const tap: TapInterface = await stack.createTapInterface();
  const bridge: BridgeInterface = await stack.createBridgeInterface({ ports: [tap] });
  const all: NetworkInterface[] = [loopback, tun, tap, bridge];
  equal(await first(stack.interfaces), loopback);
  ok(Array.from(stack.interfaces).every((one, place) => one === all[place]));
  for (const one of all.reverse()) await stack.removeInterface(one);
  deepEqual(Array.from(stack.interfaces), []);
  await stack.close();
});

test('flat names connect, listen, open and ping', async () => {
  const stack = await createStack();
  const listener: TcpListener = await stack.listenTcp({ host: '127.0.0.1', port: 8080 });
  const [outbound, inbound]: [TcpConnection, TcpConnection] = await Promise.all([stack.connectTcp({ host: '127.0.0.1', port: 8080 }), first(listener)]);
  const data = new Uint8Array([1, 2, 3, 4]);
  await outbound.writable.getWriter().write(data);
  deepEqual((await inbound.readable.getReader().read()).value, data);
  const one: UdpSocket = await stack.openUdp({ port: 8080 });
  const two = await stack.openUdp({ port: 8081 });
  await two.writable.getWriter().write({ host: '127.0.0.1', port: 8080, data } satisfies UdpDatagram);
  deepEqual((await one.readable.getReader().read()).value, { host: '127.0.0.1', port: 8081, data });
  const session = await stack.createPingSession({ host: '127.0.0.1', timeout: 1000 });
  const reply = await session.ping({ payload: data });
  deepEqual([reply.host, reply.identifier, reply.sequenceNumber], ['127.0.0.1', session.identifier, 0]);
  await session.close();
  await rejects(session.ping(), { message: 'icmp ping session closed' });
  await stack.close();
});

test("a stack's parts are transports", async () => {
  const stack = await createStack();
  const streams: StreamTransport = stack.tcp;
  const datagrams: DatagramTransport = stack.udp;
  ok(streams.listen && datagrams.open);
  await stack.close();
});

test('closing with and without locks, and the texts of its errors', async () => {
  const stack = await createStack();
  const listener = await stack.listenTcp({ port: 8080 });
  const open = () => Promise.all([stack.connectTcp({ host: '127.0.0.1', port: 8080 }), first(listener)]);
  {
    const [outbound, inbound] = await open();
    await inbound.close();
    await outbound.close();
  }
  {
    const [outbound, inbound] = await open();
    const writer = outbound.writable.getWriter();
    const reader = inbound.readable.getReader();
    await outbound.close();
    await inbound.close();
    const write = writer.write(new Uint8Array(4));
    const read = reader.read();
    await rejects(write, { message: 'tcp connection closed' });
    await rejects(read, { message: 'tcp connection closed' });
  }
  {
    const [outbound, inbound] = await open();
    await outbound.writable.getWriter().close();
    await inbound.readable.getReader().cancel();
  }
  {
    const [, inbound] = await open();
    inbound.readable.getReader();
    await rejects(
      async () => {
        for await (const _ of inbound);
      },
      { message: 'readable stream already locked' },
    );
  }
  await stack.close();
});

test('a server closes while a read of its is pending, and the client has all of its answer', async () => {
  const stack = await createStack();
  const listener = await stack.listenTcp({ port: 8080 });
  const [client, server] = await Promise.all([stack.connectTcp({ host: '127.0.0.1', port: 8080 }), first(listener)]);
  const reader = server.readable.getReader();
  const writer = server.writable.getWriter();
  await client.writable.getWriter().write(new Uint8Array(7));
  equal((await reader.read()).value!.length, 7);
  reader.read().catch(() => {});
  await writer.write(new Uint8Array(92).fill(1));
  await writer.write(new Uint8Array(15).fill(2));
  await writer.close();
  const answer = client.readable.getReader();
  deepEqual([(await answer.read()).value!.length, (await answer.read()).value!.length, (await answer.read()).done], [92, 15, true]);
  await stack.close();
});

test('streams joined by hand or by connectStreams, with transforms', async () => {
  const [one, two] = await Promise.all([createStack(), createStack()]);
  const tap1 = await one.createTapInterface({ mac: '00:1a:2b:3c:4d:5e', ip: '192.168.1.1/24' });
  const tap2 = await two.createTapInterface({ mac: '00:1a:2b:3c:4d:5f', ip: '192.168.1.2/24' });
  let [there, back] = [0, 0];
  connectStreams(tap1, tap2, {
    transformAtoB: (frame) => ((there += 1), frame),
    transformBtoA: (frame) => ((back += 1), frame),
  });
  const listener = await two.listenTcp({ port: 8080 });
  const [outbound, inbound] = await Promise.all([one.connectTcp({ host: '192.168.1.2', port: 8080 }), first(listener)]);
  const began = performance.now();
  await outbound.writable.getWriter().write(new Uint8Array([1]));
  equal((await inbound.readable.getReader().read()).value!.length, 1);
  ok(performance.now() - began < 1000, 'no timer in the way');
  await turn();
  ok(there >= 3 && back >= 2);
  await Promise.all([one.close(), two.close()]);
});
