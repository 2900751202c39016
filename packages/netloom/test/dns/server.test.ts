import { createDns, DnsServer, type DnsServerOptions, parseDnsMessage, serializeDnsMessage, serializeQuestion } from '../../src/dns/index.ts';
import type { DatagramSocket, StreamConnection } from '../../src/transport/types.ts';
import { deepEqual, equal, ok, rejects, test } from '../harness.ts';
import { macrotask, Network } from '../network.ts';
import { records } from './records.ts';

const SERVER = '10.0.0.53';

type Asker = {
  network: Network;
  server: DnsServer;
  socket: DatagramSocket;
  ask: (data: Uint8Array) => Promise<Uint8Array>;
  connect: () => Promise<StreamConnection>;
};

async function withServer(options: DnsServerOptions, run: (asker: Asker) => Promise<void>): Promise<void> {
  const network = new Network();
  const server = new DnsServer(network.host(SERVER), options);
  await server.listen();
  const host = network.host('10.0.0.1');
  const socket = await host.udp.open();
  const ask = async (data: Uint8Array): Promise<Uint8Array> => {
    await socket.send({ host: SERVER, port: 53, data });
    return (await socket.receive())!.data;
  };
  try {
    await run({ network, server, socket, ask, connect: () => host.tcp.connect({ host: SERVER, port: 53 }) });
  } finally {
    await server.close();
    await socket.close();
  }
  equal(network.sockets.size, 0);
  equal(network.listeners.size, 0);
}

/** A query of some name and type; `edns` is the size that the asker takes. */
function queryOf(name: string, type = 'A', { edns = 0, version = 0, id = 7, opcode = 'QUERY', klass = 'IN' } = {}): Uint8Array {
  return serializeDnsMessage({
    header: {
      id,
      isResponse: false,
      opcode,
      isAuthoritativeAnswer: false,
      isTruncated: false,
      isRecursionDesired: true,
      isRecursionAvailable: false,
      rcode: 'NOERROR',
      questionCount: 0,
      answerCount: 0,
      authorityCount: 0,
      additionalCount: 0,
    },
    questions: [{ name, type, class: klass }],
    additionals: edns ? [{ name: '', type: 'OPT', class: `CLASS${edns}`, ttl: version << 16, data: new Uint8Array() }] : [],
  } as Parameters<typeof serializeDnsMessage>[0]);
}

test('every type of record is answered, also all of them to ANY', async () => {
  await withServer({ request: ({ type }) => records.filter((record) => type === 'ANY' || record.type === type) }, async ({ ask }) => {
    for (const record of records) deepEqual(parseDnsMessage(await ask(queryOf(record.name, record.type))).answers, [record]);
    deepEqual(parseDnsMessage(await ask(queryOf('www.example.com', 'ANY', { edns: 4096 }))).answers, records);
  });
});

test('an unknown name is NXDOMAIN, a name without such a record an empty answer, a handler that throws SERVFAIL', async () => {
  const errors: unknown[] = [];
  const request: DnsServerOptions['request'] = ({ name }) => {
    if (name === 'throws.test') throw new Error('broken');
    if (name === 'invalid.test') return { type: 'A', ip: 'no address', ttl: 1 };
    if (name === 'refused.test') return { rcode: 'REFUSED' };
    return name === 'known.test' ? [] : undefined;
  };
  await withServer({ request, onError: (error, query) => errors.push(query.name, (error as Error).message) }, async ({ ask }) => {
    const outcome = async (name: string): Promise<[string, number]> => {
      const { header, questions } = parseDnsMessage(await ask(queryOf(name)));
      ok(header.isResponse && header.id === 7 && header.isRecursionDesired && questions[0]?.name === name);
      return [header.rcode, header.answerCount];
    };
    deepEqual(await outcome('absent.test'), ['NXDOMAIN', 0]);
    deepEqual(await outcome('known.test'), ['NOERROR', 0]);
    deepEqual(await outcome('refused.test'), ['REFUSED', 0]);
    deepEqual(await outcome('throws.test'), ['SERVFAIL', 0]);
    deepEqual(await outcome('invalid.test'), ['SERVFAIL', 0]);
  });
  deepEqual(errors, ['throws.test', 'broken', 'invalid.test', 'invalid ipv4 address: no address']);
});

test('a handler that never answers is SERVFAIL once its time is over', async () => {
  let signal: AbortSignal | undefined;
  const request: DnsServerOptions['request'] = (_, context) => {
    signal = context.signal;
    return new Promise(() => {});
  };
  await withServer({ request, timeout: 5 }, async ({ ask }) => {
    equal(parseDnsMessage(await ask(queryOf('slow.test'))).header.rcode, 'SERVFAIL');
    ok(signal?.aborted);
  });
});

test('what does not fit is left out and marked; EDNS makes room up to 1,232 bytes', async () => {
  const request: DnsServerOptions['request'] = () => Array.from({ length: 100 }, (_, i) => ({ type: 'A', ip: `10.1.1.${i}`, ttl: 9 }));
  await withServer({ request }, async ({ ask }) => {
    for (const [edns, limit] of [
      [0, 512],
      [100, 512],
      [900, 900],
      [4096, 1232],
    ] as const) {
      const bytes = await ask(queryOf('large.test', 'A', { edns }));
      const { header, answers, additionals } = parseDnsMessage(bytes);
      ok(header.isTruncated && bytes.length <= limit && bytes.length > limit - 16, `${bytes.length} of ${limit}`);
      equal(header.answerCount, answers!.length);
      equal(additionals!.length, edns ? 1 : 0);
    }
  });
});

test('what is no query has no answer, and a query that cannot be read or is of another kind is refused', async () => {
  await withServer({ request: () => ({ type: 'A', ip: '10.0.0.1', ttl: 1 }) }, async ({ ask, socket, network }) => {
    const silent = [new Uint8Array(), new Uint8Array(11), new Uint8Array(4097), Uint8Array.of(0, 1, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0)];
    for (const data of silent) await socket.send({ host: SERVER, port: 53, data });
    const rcode = async (data: Uint8Array): Promise<string> => parseDnsMessage(await ask(data)).header.rcode;
    equal(await rcode(queryOf('a.test').slice(0, -1)), 'FORMERR');
    equal(await rcode(Uint8Array.of(0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1)), 'FORMERR');
    equal(await rcode(queryOf('a.test', 'A', { opcode: 'NOTIFY' })), 'NOTIMP');
    equal(await rcode(queryOf('a.test', 'A', { opcode: 'OPCODE9' })), 'NOTIMP');
    equal(await rcode(queryOf('a.test', 'A', { klass: 'CLASS3' })), 'REFUSED');
    const heavy = new Uint8Array(4096);
    heavy.set(queryOf('a.test'));
    heavy[7] = 255;
    equal(await rcode(heavy), 'FORMERR');
    const two = queryOf('a.test');
    two[5] = 2;
    equal(await rcode(Uint8Array.from([...two, ...serializeQuestion({ name: 'b', type: 'A', class: 'IN' })])), 'FORMERR');
    const badVersion = parseDnsMessage(await ask(queryOf('a.test', 'A', { edns: 1232, version: 1 })));
    deepEqual([badVersion.header.rcode, badVersion.additionals![0]!.ttl >>> 24], ['NOERROR', 1]);
    equal(await rcode(queryOf('a.test')), 'NOERROR');
    equal(network.sent.filter(({ from }) => from.host === SERVER).length, 9);
  });
});

test('random bytes and flipped bits leave the server alive', async () => {
  await withServer({ request: () => records }, async ({ ask, socket, network }) => {
    const whole = queryOf('www.example.com', 'ANY', { edns: 1232 });
    for (let round = 0; round < 3000; round++) {
      const data = round % 2 ? crypto.getRandomValues(new Uint8Array(round % 80)) : whole.slice();
      if (round % 2 === 0) for (const at of crypto.getRandomValues(new Uint8Array(3))) data[at % data.length]! ^= 1 << (at & 7);
      await socket.send({ host: SERVER, port: 53, data });
    }
    const before = network.sent.length;
    while (network.sent.length === before) await macrotask();
    await socket.close();
    const other = await network.host('10.0.0.2').udp.open();
    await other.send({ host: SERVER, port: 53, data: queryOf('www.example.com', 'A', { id: 99 }) });
    equal(parseDnsMessage((await other.receive())!.data).header.id, 99);
    await other.close();
    void ask;
  });
});

test('more queries at a time than it takes are dropped', async () => {
  const waiting: (() => void)[] = [];
  const request: DnsServerOptions['request'] = () => new Promise((resolve) => waiting.push(() => resolve([])));
  await withServer({ request, maxQueries: 2 }, async ({ socket }) => {
    for (let id = 1; id <= 5; id++) await socket.send({ host: SERVER, port: 53, data: queryOf('a.test', 'A', { id }) });
    while (waiting.length < 2) await macrotask();
    for (let turn = 0; turn < 5; turn++) await macrotask();
    equal(waiting.length, 2);
    for (const answer of waiting) answer();
    const ids = [parseDnsMessage((await socket.receive())!.data).header.id, parseDnsMessage((await socket.receive())!.data).header.id];
    deepEqual(ids, [1, 2]);
  });
});

test('by TCP queries may come in one piece or byte by byte, one after the other', async () => {
  const many = Array.from({ length: 1000 }, (_, i) => ({ type: 'A', ip: `10.1.${i >> 8}.${i & 255}`, ttl: 9 }) as const);
  await withServer({ request: () => many }, async ({ connect }) => {
    const connection = await connect();
    const writer = connection.writable.getWriter();
    const reader = connection.readable.getReader();
    const framed = (id: number): number[] => {
      const query = queryOf('many.test', 'A', { id });
      return [0, query.length, ...query];
    };
    void writer.write(Uint8Array.from([...framed(1), ...framed(2)]));
    for (const byte of framed(3)) void writer.write(Uint8Array.of(byte));
    let bytes: number[] = [];
    for (const id of [1, 2, 3]) {
      while (bytes.length < 2 || bytes.length < 2 + (bytes[0]! << 8) + bytes[1]!) bytes = [...bytes, ...(await reader.read()).value!];
      const length = (bytes[0]! << 8) + bytes[1]!;
      const answer = parseDnsMessage(Uint8Array.from(bytes.slice(2, 2 + length)));
      deepEqual([answer.header.id, answer.answers!.length, answer.header.isTruncated], [id, 1000, false]);
      bytes = bytes.slice(2 + length);
    }
    await connection.close();
    const claims = await connect();
    void claims.writable.getWriter().write(Uint8Array.of(255, 255, 1));
    equal((await claims.readable.getReader().read()).done, true);
    await claims.close();
  });
});

test('of too many connections the one silent for longest makes room', async () => {
  await withServer({ request: () => [], maxConnections: 2 }, async ({ connect }) => {
    const connections = [await connect(), await connect(), await connect()];
    equal((await connections[0]!.readable.getReader().read()).done, true);
    for (const connection of connections.slice(1)) {
      const query = queryOf('a.test');
      void connection.writable.getWriter().write(Uint8Array.from([0, query.length, ...query]));
      equal((await connection.readable.getReader().read()).done, false);
    }
    for (const connection of connections) await connection.close();
  });
});

test('a port in use rejects, and closing frees it', async () => {
  const network = new Network();
  const host = network.host(SERVER);
  const dns = await createDns(host);
  const server = await dns.serve({ request: () => [] });
  await rejects(dns.serve({ request: () => [] }), { code: 'EADDRINUSE' });
  await server.close();
  const controller = new AbortController();
  await dns.serve({ request: () => [], tcp: false, signal: controller.signal });
  equal(network.listeners.size, 0);
  controller.abort();
  while (network.sockets.size > 0) await macrotask();
  await dns.serve({ request: () => [] });
  await dns.close();
  equal(network.sockets.size, 0);
});

test("what tcpip.js' programs do: a function of one answer, and names of addresses", async () => {
  const network = new Network();
  const { lookup, reverse, serve } = await createDns(network.host('127.0.0.1').udp);
  const server = await serve({
    request: async ({ name, type }) => {
      if (type === 'PTR') return { type, ptr: 'example.com', ttl: 300 };
      if (name !== 'example.com' || type !== 'A') throw new Error(`unexpected test query: ${name} ${type}`);
      return { type, ip: '10.0.0.1', ttl: 300 };
    },
  });
  equal(await lookup('example.com'), '10.0.0.1');
  equal(await reverse('2001:db8::1'), 'example.com');
  await server.close();
});

test('a transport that has streams alone serves as well', async () => {
  const network = new Network();
  const { udp } = network.host(SERVER);
  const open: typeof udp.open = async (options) => {
    const { readable, writable, close } = await udp
      .open(options)
      .then((socket) => ({ readable: socket.readable, writable: socket.writable, close: () => socket.close() }));
    return { readable, writable, close } as DatagramSocket;
  };
  const { lookup, serve, close } = await createDns({ open }, { client: { nameServer: { ip: SERVER } } });
  await serve({ request: ({ type }) => (type === 'A' ? { type, ip: '10.0.0.1', ttl: 1 } : []) });
  equal(await lookup('a.test'), '10.0.0.1');
  await close();
  equal(network.sockets.size, 0);
});
