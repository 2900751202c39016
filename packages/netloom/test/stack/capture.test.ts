import { createStack } from '../../src/index.ts';
import { deepEqual, equal, ok, rejects, test } from '../harness.ts';
import { connected, pair, turn, until } from './stacks.ts';

type Block = { type: number; body: DataView };

/** The blocks of a file. */
function blocks(file: Uint8Array): Block[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const found = [];
  for (let at = 0; at < file.length; ) {
    const length = view.getUint32(at + 4, true);
    equal(view.getUint32(at + length - 4, true), length);
    equal(length % 4, 0);
    found.push({ type: view.getUint32(at, true), body: new DataView(file.buffer, file.byteOffset + at + 8, length - 12) });
    at += length;
  }
  return found;
}

async function captured(stream: ReadableStream<Uint8Array>): Promise<Block[]> {
  return blocks(new Uint8Array(await new Response(stream).arrayBuffer()));
}

test('a capture of a tap is a file of pcapng with both directions', async () => {
  for (const by of ['patch', 'streams'] as const) {
    const { a, b, ta, tb, close } = await pair({ by });
    const end = new AbortController();
    const files = [captured(a.interfaces.capture(ta, { signal: end.signal })), captured(b.interfaces.capture(tb, { signal: end.signal, snapLength: 54 }))];
    const { client, server } = await connected({ a, b });
    await client.write(new Uint8Array(100));
    await server.readInto(new Uint8Array(100));
    await turn();
    end.abort();
    const [one, two] = await Promise.all(files);
    deepEqual(
      one!.slice(0, 2).map((block) => block.type),
      [0x0a0d0d0a, 1],
    );
    equal(one![0]!.body.getUint32(0, true), 0x1a2b3c4d);
    equal(one![1]!.body.getUint16(0, true), 1, 'Ethernet');
    const packets = one!.slice(2);
    ok(packets.length >= 5 && packets.every((block) => block.type === 6));
    const now = Date.now();
    const directions = new Set<number>();
    for (const { body } of packets) {
      const time = (body.getUint32(4, true) * 2 ** 32 + body.getUint32(8, true)) / 1000;
      ok(Math.abs(now - time) < 60_000);
      equal(body.getUint32(12, true), body.getUint32(16, true));
      directions.add(body.getUint32(body.byteLength - 8, true));
    }
    deepEqual([...directions].sort(), [1, 2]);
    equal(two!.length, one!.length, 'the other end sees the same');
    ok(two!.slice(2).every(({ body }) => body.getUint32(12, true) <= 54));
    ok(two!.some(({ type, body }) => type === 6 && body.getUint32(16, true) === 166));
    await close();
  }
});

test('captures of a tun and of a bridge', async () => {
  const { a, b, ta, close } = await pair({ kind: 'tun' });
  const end = new AbortController();
  const file = captured(a.interfaces.capture(ta, { signal: end.signal }));
  await connected({ a, b });
  end.abort();
  const [, description, packet] = await file;
  equal(description!.body.getUint16(0, true), 101, 'raw IP');
  equal(packet!.body.getUint8(20) >> 4, 4);
  await close();
  const router = await createStack();
  const ports = [await router.interfaces.createTap(), await router.interfaces.createTap()];
  const bridge = await router.interfaces.createBridge({ ports, ip: '10.0.0.1/24' });
  ports.forEach((port) => port.onFrames(() => {}));
  const stop = new AbortController();
  const of = captured(router.interfaces.capture(bridge, { signal: stop.signal }));
  await (await router.udp.open()).send({ host: '10.0.0.255', port: 1, data: new Uint8Array(1) });
  await until(() => ports.every((port) => port.stats().framesSent > 0));
  stop.abort();
  deepEqual(
    (await of).map((block) => (block.type === 6 ? `packet ${block.body.getUint32(0, true)}` : block.type)).sort(),
    [0x0a0d0d0a, 1, 1, 'packet 0', 'packet 1'].sort(),
  );
  await router.close();
});

test('a capture of loopback', async () => {
  const stack = await createStack();
  const [loopback] = stack.interfaces;
  const end = new AbortController();
  const file = captured(stack.interfaces.capture(loopback!, { signal: end.signal }));
  const { client, server } = await connected({ a: stack, b: stack }, '127.0.0.1');
  await client.write(new Uint8Array([1, 2, 3]));
  equal(await server.readInto(new Uint8Array(9)), 3);
  end.abort();
  const [, description, ...packets] = await file;
  equal(description!.body.getUint16(0, true), 101, 'raw IP');
  ok(packets.length >= 4 && packets.every(({ body }) => body.getUint8(20) === 0x45));
  await client.write(new Uint8Array([4]));
  equal(await server.readInto(new Uint8Array(9)), 1);
  await stack.close();
});

test('a capture that nobody reads is bounded, and cancelling ends it', async () => {
  const { a, b, ta, close } = await pair();
  const stream = a.interfaces.capture(ta, { highWaterMark: 5000 });
  const { client, server } = await connected({ a, b });
  for (let index = 0; index < 50; index += 1) {
    await client.write(new Uint8Array(1000));
    await server.readInto(new Uint8Array(1000));
  }
  const reader = stream.getReader();
  let bytes = 0;
  while (bytes < 4000) bytes += (await reader.read()).value!.length;
  ok(bytes < 8000);
  await reader.cancel();
  equal(ta.taps.size, 0);
  await close();
});

test('an aborted capture is an empty file', async () => {
  await using stack = await createStack();
  const [loopback] = stack.interfaces;
  const file = await captured(stack.interfaces.capture(loopback!, { signal: AbortSignal.abort() }));
  equal(file.length, 2);
  await rejects(stack.interfaces.remove({} as never), { code: 'EINVAL' });
});
