/**
 * Datagrams, connects, memory and start: what is counted by the piece.
 */
import { seconds, turn } from './clock.mjs';
import { loopback, taps } from './topologies.mjs';

const DATAGRAMS = 200_000;
const CONNECTS = 20_000;
const OPEN = 5000;

function datagrams(length) {
  const run = async (library) => {
    const { a, b, host } = await taps(library, { mtu: 1500, by: 'patch' });
    const receiver = await b.udp.open({ port: 7, receiveBufferSize: 1 << 24 });
    const sender = await a.udp.open();
    const data = new Uint8Array(length);
    const taken = await seconds(async () => {
      const receiving = (async () => {
        for (let index = 0; index < DATAGRAMS; index += 1) await receiver.receive();
      })();
      for (let index = 0; index < DATAGRAMS; index += 1) {
        await sender.send({ host, port: 7, data });
        // As much as the receiver's buffer and the link's queue hold together goes in one turn.
        if (index % 256 === 255) await turnOf();
      }
      await receiving;
    });
    return { value: DATAGRAMS / taken };
  };
  return { unit: 'datagrams/s', run };
}

const turnOf = () => new Promise((resolve) => (globalThis.setImmediate ?? setTimeout)(resolve));

function connects(topology, options, atOnce) {
  const run = async (library) => {
    const { a, b, host } = await topology(library, options);
    const listener = await b.tcp.listen({ port: 80 });
    const one = async () => {
      const [client, server] = await Promise.all([a.tcp.connect({ host, port: 80 }), listener.accept()]);
      await client.close();
      await server.close();
    };
    const many = async (count) => {
      for (let done = 0; done < count; done += atOnce) await Promise.all(Array.from({ length: atOnce }, one));
    };
    await many(CONNECTS / 10);
    const taken = await seconds(() => many(CONNECTS));
    return { value: CONNECTS / taken };
  };
  return { unit: 'connects/s', run };
}

const heap = async () => {
  for (let round = 0; round < 3; round += 1) {
    globalThis.gc?.();
    await turn();
  }
  return globalThis.process?.memoryUsage?.().heapUsed ?? performance.memory.usedJSHeapSize;
};

/** What each end of an open connection takes. */
function held(what) {
  const run = async (library) => {
    const { a, b, host } = await taps(library, { mtu: 1500, by: 'patch' });
    const listener = await b.tcp.listen({ port: 80 });
    const open = () => Promise.all([a.tcp.connect({ host, port: 80 }), listener.accept()]);
    const used = what === 'heap' ? heap : async () => a.stats().memoryBytes + b.stats().memoryBytes;
    const kept = [];
    for (let index = 0; index < OPEN / 10; index += 1) kept.push(await open());
    const before = await used();
    for (let index = 0; index < OPEN; index += 1) kept.push(await open());
    const after = await used();
    if (kept.length < OPEN) throw new Error('they must be held');
    return { value: (after - before) / OPEN / 2 };
  };
  return { unit: 'B', run };
}

/** Growth of heap and WebAssembly memory over 100,000 connections, after 50,000 others. */
const growth = {
  unit: 'B',
  aim: 0,
  run: async (library) => {
    const { a, b, host } = await loopback(library);
    const listener = await b.tcp.listen({ port: 80 });
    const many = async (count) => {
      for (let index = 0; index < count; index += 1) {
        const [client, server] = await Promise.all([a.tcp.connect({ host, port: 80 }), listener.accept()]);
        await client.close();
        await server.close();
      }
      return (await heap()) + a.stats().memoryBytes;
    };
    const before = await many(50_000);
    return { value: (await many(100_000)) - before };
  },
};

export const smalls = {
  'udp/64 B': datagrams(64),
  'udp/1,400 B': datagrams(1400),
  'connect/one by one': { ...connects(taps, { mtu: 1500, by: 'patch' }, 1), aim: 10_000 },
  'connect/100 at once': connects(taps, { mtu: 1500, by: 'patch' }, 100),
  'connect/loopback, one by one': connects(loopback, {}, 1),
  'memory/JS heap per open connection': { ...held('heap'), aim: 4096 },
  'memory/WebAssembly per open connection': held('wasm'),
  'memory/growth over 100,000 connections': growth,
  'start/the first stack': { unit: 'ms', run: async (library) => ({ value: (await seconds(() => library.createStack())) * 1000 }) },
  'start/a further stack': {
    unit: 'ms',
    run: async (library) => {
      await library.createStack();
      return { value: (await seconds(() => library.createStack())) * 1000 };
    },
  },
};
