/**
 * Bytes through connections.
 */
import { seconds } from './clock.mjs';
import { bridge, loopback, taps, tuns } from './topologies.mjs';

const MIB = 1 << 20;
const CHUNK_BYTES = 65_536;

async function connections({ a, b, host }, count) {
  const listener = await b.listenTcp({ port: 80 });
  const accepted = listener[Symbol.asyncIterator]();
  const pairs = [];
  for (let index = 0; index < count; index += 1) {
    const [client, next] = await Promise.all([a.connectTcp({ host, port: 80 }), accepted.next()]);
    pairs.push([client, next.value]);
  }
  return pairs;
}

/** By the streams of both ends. */
async function streamed(from, to, bytes) {
  const chunk = new Uint8Array(CHUNK_BYTES);
  const sending = (async () => {
    const writer = from.writable.getWriter();
    for (let sent = 0; sent < bytes; sent += CHUNK_BYTES) await writer.write(chunk);
    writer.releaseLock();
  })();
  const reader = to.readable.getReader();
  for (let received = 0; received < bytes; ) received += (await reader.read()).value.length;
  reader.releaseLock();
  await sending;
}

/** By `write` and `readInto`, without streams. */
async function direct(from, to, bytes) {
  const chunk = new Uint8Array(CHUNK_BYTES);
  const sending = (async () => {
    for (let sent = 0; sent < bytes; sent += CHUNK_BYTES) await from.write(chunk);
  })();
  const buffer = new Uint8Array(CHUNK_BYTES);
  for (let received = 0; received < bytes; ) received += await to.readInto(buffer);
  await sending;
}

function bulk(topology, { mtu, by, count = 1, ways = 1, api = streamed, bytes = 256 * MIB }) {
  const run = async (library) => {
    const joined = await topology(library, { mtu, by });
    const pairs = await connections(joined, count);
    const each = Math.ceil(bytes / count / ways / CHUNK_BYTES) * CHUNK_BYTES;
    const carry = ([client, server]) => Promise.all([api(client, server, each), ways === 2 ? api(server, client, each) : undefined]);
    // Engines compile what is hot as they go: the first megabytes are slower.
    await carry(pairs[0]);
    const taken = await seconds(() => Promise.all(pairs.map(carry)));
    const carried = each * count * ways;
    return { value: carried / 1e6 / taken, gigabytes: (carried + each * ways) / 1e9 };
  };
  return { unit: 'MB/s', run };
}

export const bulks = {};
for (const mtu of [1500, 65_535]) {
  const at = `MTU ${mtu}`;
  bulks[`tap/streams, ${at}`] = { ...bulk(taps, { mtu, by: 'streams' }), aim: mtu === 1500 ? 200 : undefined };
  bulks[`tap/streams, ${at}, 64 connections`] = bulk(taps, { mtu, by: 'streams', count: 64 });
  bulks[`tap/streams, ${at}, both ways`] = bulk(taps, { mtu, by: 'streams', ways: 2 });
  bulks[`tap/engine's pipes, ${at}`] = bulk(taps, { mtu, by: 'pipes' });
  bulks[`tap/patch, ${at}`] = bulk(taps, { mtu, by: 'patch' });
  bulks[`tap/patch, ${at}, 64 connections`] = bulk(taps, { mtu, by: 'patch', count: 64 });
  bulks[`tap/patch, ${at}, both ways`] = bulk(taps, { mtu, by: 'patch', ways: 2 });
  bulks[`tap/patch and readInto, ${at}`] = { ...bulk(taps, { mtu, by: 'patch', api: direct, bytes: 512 * MIB }), aim: mtu === 1500 ? 800 : undefined };
  bulks[`tap/patch and readInto, ${at}, 64 connections`] = bulk(taps, { mtu, by: 'patch', api: direct, count: 64, bytes: 512 * MIB });
  bulks[`tap/patch and readInto, ${at}, both ways`] = bulk(taps, { mtu, by: 'patch', api: direct, ways: 2, bytes: 512 * MIB });
  bulks[`tun/streams, ${at}`] = bulk(tuns, { mtu, by: 'streams' });
  bulks[`tun/patch, ${at}`] = bulk(tuns, { mtu, by: 'patch' });
  bulks[`bridge/streams, ${at}`] = bulk(bridge, { mtu, by: 'streams' });
  bulks[`bridge/patch, ${at}`] = bulk(bridge, { mtu, by: 'patch' });
}
bulks['loopback/streams'] = bulk(loopback, {});
bulks['loopback/streams, 64 connections'] = bulk(loopback, { count: 64 });
bulks['loopback/readInto'] = bulk(loopback, { api: direct, bytes: 512 * MIB });

/** What any library with the flat names can do: the peer's cases. It leaks, so it carries less. */
export const peers = {
  'tap/streams': bulk(taps, { by: 'pipes', bytes: 16 * MIB }),
  'tun/streams': bulk(tuns, { by: 'pipes', bytes: 16 * MIB }),
  'bridge/streams': bulk(bridge, { by: 'pipes', bytes: 8 * MIB }),
};
