import { createStack } from '../../src/index.ts';
import { fromReadable, fromReader } from '../../src/transport/index.ts';
import { deepEqual, equal, full, fillPattern, ok, pattern, rejects, test } from '../harness.ts';
import { collect, connected, looped, pair, turn } from './stacks.ts';

const MIB = 1 << 20;

test('a byte stream: readers fill their own buffers', async () => {
  const { client, server, stack } = await looped();
  await client.write(pattern(1000));
  await client.writable.close();
  const reader = server.readable.getReader({ mode: 'byob' });
  let buffer = new ArrayBuffer(300);
  const lengths = [];
  let offset = 0;
  while (true) {
    const { value, done } = await reader.read(new Uint8Array(buffer));
    if (done) break;
    deepEqual(value, pattern(value!.length, offset));
    offset += value!.length;
    lengths.push(value!.length);
    buffer = value!.buffer as ArrayBuffer;
  }
  deepEqual(lengths, [300, 300, 300, 100]);
  await stack.close();
});

test('a reader of bytes that waits gets what comes, and the end', async () => {
  const { client, server, stack } = await looped();
  const reader = server.readable.getReader({ mode: 'byob' });
  const first = reader.read(new Uint8Array(10));
  await client.write(new Uint8Array([1, 2, 3]));
  deepEqual((await first).value, new Uint8Array([1, 2, 3]));
  const second = reader.read(new Uint8Array(10));
  await client.writable.close();
  equal((await second).done, true);
  await stack.close();
});

test("readInto fills the caller's buffer, and tells the end", async () => {
  const { client, server, stack } = await looped();
  await client.write(pattern(10_000));
  await client.writable.close();
  const buffer = new Uint8Array(4096);
  const lengths = [];
  for (let offset = 0, count = 0; (count = await server.readInto(buffer)) > 0; offset += count) {
    deepEqual(buffer.slice(0, count), pattern(count, offset));
    lengths.push(count);
  }
  deepEqual(lengths, [4096, 4096, 1808]);
  equal(await server.readInto(buffer), 0);
  await stack.close();
});

test('a reader released while it waited leaves the stream whole', async () => {
  const { client, server, stack } = await looped();
  const first = server.readable.getReader();
  const pending = first.read();
  first.releaseLock();
  await rejects(pending, { name: 'TypeError' });
  await client.write(pattern(5));
  await client.writable.close();
  deepEqual(await collect(server), pattern(5));
  await stack.close();
});

test('two reads at once without a stream are refused', async () => {
  const { client, server, stack } = await looped();
  const first = server.readInto(new Uint8Array(1));
  await rejects(server.readInto(new Uint8Array(1)), { name: 'TypeError' });
  await client.write(new Uint8Array(1));
  equal(await first, 1);
  await stack.close();
});

test('a stopped reader stops the writer, and memory is bounded', async () => {
  const { a, b, close } = await pair();
  const { client, server } = await connected({ a, b });
  const writer = client.writable.getWriter();
  let sent = 0;
  let stalled = false;
  const sending = (async () => {
    while (sent < 64 * MIB) {
      await writer.write(fillPattern(new Uint8Array(65_536), sent));
      sent += 65_536;
    }
    await writer.close();
  })();
  let before = -1;
  while (before !== sent) {
    before = sent;
    for (let index = 0; index < 50; index += 1) await turn();
  }
  stalled = sent < 64 * MIB;
  ok(stalled, 'the writer waits');
  ok(sent <= 9 * MIB, `${sent} bytes are under way`);
  ok(a.stats().memoryBytes + b.stats().memoryBytes < 24 * MIB);
  let received = 0;
  const buffer = new Uint8Array(65_536);
  for (let count = 0; (count = await server.readInto(buffer)) > 0; received += count) {
    if (received % MIB < 65_536) deepEqual(buffer.slice(0, count), pattern(count, received));
  }
  equal(received, 64 * MIB);
  await sending;
  await close();
});

test(
  '64 MiB (1 GiB when full) through one connection with flat memory',
  async () => {
    const total = (full ? 1024 : 64) * MIB;
    const { a, b, close } = await pair({ by: 'streams' });
    const { client, server } = await connected({ a, b });
    const sending = (async () => {
      const writer = client.writable.getWriter();
      for (let sent = 0; sent < total; sent += 65_536) await writer.write(fillPattern(new Uint8Array(65_536), sent));
      await writer.close();
    })();
    let received = 0;
    for await (const chunk of server) {
      equal(chunk[0], pattern(1, received)[0]);
      received += chunk.length;
    }
    await sending;
    equal(received, total);
    ok(a.stats().memoryBytes + b.stats().memoryBytes < 24 * MIB, "memory is the buffers', whatever is carried");
    await close();
  },
  { limitSeconds: 300 },
);

test('both ways at once, without a stall', async () => {
  const { a, b, close } = await pair({ by: 'streams' });
  const { client, server } = await connected({ a, b });
  const each = 4 * MIB;
  const send = async (to: typeof client) => {
    for (let sent = 0; sent < each; sent += 65_536) await to.write(fillPattern(new Uint8Array(65_536), sent));
    await to.writable.close();
  };
  const [, , one, two] = await Promise.all([send(client), send(server), collect(client), collect(server)]);
  deepEqual(one, pattern(each));
  deepEqual(two, pattern(each));
  await close();
});

test(
  '1,000 parallel connections, all of them sending',
  async () => {
    const { a, b, close } = await pair({ by: 'streams' });
    const listener = await b.tcp.listen({ port: 80, backlog: 1000 });
    const echoing = (async () => {
      for await (const connection of listener) void connection.readable.pipeTo(connection.writable);
    })();
    const one = async (number: number) => {
      const connection = await a.tcp.connect({ host: '10.0.0.2', port: 80 });
      const sent = pattern(20_000, number);
      const [, received] = await Promise.all([connection.write(sent).then(() => connection.writable.close()), collect(connection)]);
      deepEqual(received, sent);
    };
    await Promise.all(Array.from({ length: 1000 }, (_, number) => one(number)));
    await listener.close();
    await echoing;
    await close();
  },
  { limitSeconds: 120 },
);

test('streams of others are iterated over and released', async () => {
  const stream = () => new Blob(['abc']).stream();
  const chunks = [];
  for await (const chunk of fromReadable(stream())) chunks.push(chunk.length);
  deepEqual(chunks, [3]);
  const kept = stream();
  for await (const _ of fromReadable(kept, { preventCancel: true })) break;
  equal(kept.locked, false);
  const reader = stream().getReader();
  for await (const chunk of fromReader(reader)) chunks.push(chunk.length);
  deepEqual(chunks, [3, 3]);
  await rejects(reader.read(), { name: 'TypeError' });
});

test('a stream pipes into a connection, and a connection into a stream', async () => {
  const { client, server, stack } = await looped();
  const piped = new Blob([pattern(100_000).slice()]).stream().pipeTo(client.writable);
  const received = new Uint8Array(await new Response(server.readable).arrayBuffer());
  await piped;
  deepEqual(received, pattern(100_000));
  await stack.close();
});

test('a stack works with nothing but itself', async () => {
  await using stack = await createStack();
  equal((await stack.tcp.listen({ port: 0 })).port > 0, true);
});
