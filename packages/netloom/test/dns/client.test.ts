import { DnsClient, type DnsClientOptions, type DnsMessage, DnsServer, parseDnsMessage, type RequestFn, serializeDnsMessage } from '../../src/dns/index.ts';
import { deepEqual, equal, ok, rejects, test } from '../harness.ts';
import { macrotask, Network } from '../network.ts';

const SERVER = '10.0.0.53';

/** A client and a server that answers by `request`, each on its host; all sockets but the server's must be closed in the end. */
async function withServer(
  request: RequestFn,
  options: DnsClientOptions,
  run: (client: DnsClient, network: Network, queries: () => number) => Promise<void>,
): Promise<void> {
  const network = new Network();
  const server = new DnsServer(network.host(SERVER), { request });
  await server.listen();
  const client = new DnsClient(network.host('10.0.0.1'), { nameServer: { ip: SERVER }, timeout: 5000, ...options });
  try {
    await run(client, network, () => network.sent.filter(({ to }) => to.port === 53).length);
    equal(network.sockets.size, 1);
  } finally {
    await client.close();
    await server.close();
  }
  equal(network.sockets.size, 0);
  equal(network.connections.size, 0);
}

test('lookup takes the IPv4 address, then the IPv6 one; lookupAll takes both', async () => {
  const request: RequestFn = ({ name, type }) => {
    if (name === 'both.test' && type === 'A')
      return [
        { type, ip: '10.0.0.2', ttl: 9 },
        { type, ip: '10.0.0.3', ttl: 9 },
      ];
    if (name.endsWith('.test') && type === 'AAAA') return { type, ip: '2001:db8::2', ttl: 9 };
    return name.endsWith('.test') ? [] : undefined;
  };
  await withServer(request, {}, async (client) => {
    equal(await client.lookup('both.test'), '10.0.0.2');
    equal(await client.lookup('BOTH.test.'), '10.0.0.2');
    equal(await client.lookup('six.test'), '2001:db8::2');
    deepEqual(await client.lookupAll('both.test'), [
      { address: '10.0.0.2', family: 4 },
      { address: '10.0.0.3', family: 4 },
      { address: '2001:db8::2', family: 6 },
    ]);
    await rejects(client.lookup('absent.example'), { code: 'ENOTFOUND', message: 'lookup ENOTFOUND absent.example' });
    await rejects(client.lookupAll('absent.example'), { code: 'ENOTFOUND' });
    await rejects(client.query('six.test', 'MX'), { code: 'ENOTFOUND' });
  });
});

test('addresses, local names, the hosts table and what is no name need no server', async () => {
  await withServer(
    () => undefined,
    { hosts: { 'Db.internal': ['10.9.9.9', 'FD00::0:9'], cache: '10.9.9.8' } },
    async (client, _, queries) => {
      equal(await client.lookup('192.168.1.1'), '192.168.1.1');
      equal(await client.lookup('[::1]'), '::1');
      equal(await client.lookup('localhost'), '127.0.0.1');
      equal(await client.lookup('a.localhost.'), '127.0.0.1');
      equal(await client.lookup('db.INTERNAL'), '10.9.9.9');
      deepEqual(await client.lookupAll('db.internal'), [
        { address: '10.9.9.9', family: 4 },
        { address: 'fd00::9', family: 6 },
      ]);
      equal(await client.reverse('fd00::9'), 'db.internal');
      for (const wrong of ['', '.', 'a..b', 'x'.repeat(64), `${'x.'.repeat(200)}y`]) await rejects(client.lookup(wrong), { code: 'ENOTFOUND' });
      equal(queries(), 0);
    },
  );
});

test('an answer is kept until its TTL ends, and so is an absence for as long as the SOA says', async () => {
  const soa = { type: 'SOA', mname: 'ns', rname: 'admin', serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 60, ttl: 3600 } as const;
  const request: RequestFn = ({ name, type }) => {
    if (name === 'kept.test') return type === 'A' ? { type, ip: '10.0.0.2', ttl: 60 } : [];
    if (name === 'brief.test') return type === 'A' ? { type, ip: '10.0.0.3', ttl: 0 } : [];
    if (name === 'unkept.test') return undefined;
    return { rcode: 'NXDOMAIN', authorities: [soa] };
  };
  await withServer(request, {}, async (client, _, queries) => {
    const asked = async (name: string): Promise<number> => {
      const before = queries();
      await client.lookup(name).catch(() => {});
      return queries() - before;
    };
    deepEqual([await asked('kept.test'), await asked('KEPT.test')], [1, 0]);
    deepEqual([await asked('brief.test'), await asked('brief.test')], [1, 1]);
    deepEqual([await asked('absent.test'), await asked('absent.test')], [2, 0]);
    deepEqual([await asked('unkept.test'), await asked('unkept.test')], [2, 2]);
    client.clearCache();
    equal(await asked('kept.test'), 1);
  });
});

test('the cache holds no more than it may', async () => {
  await withServer(
    ({ type }) => (type === 'A' ? { type, ip: '10.0.0.2', ttl: 60 } : []),
    { cacheSize: 2 },
    async (client, _, queries) => {
      for (const name of ['a', 'b', 'a', 'c', 'a', 'b']) await client.lookup(name);
      // a, b, -, c (b makes room), -, b
      equal(queries(), 4);
    },
  );
});

test('those who ask for the same at once share one question', async () => {
  await withServer(
    ({ type }) => (type === 'A' ? { type, ip: '10.0.0.2', ttl: 0 } : []),
    {},
    async (client, _, queries) => {
      const answers = await Promise.all(Array.from({ length: 100 }, () => client.lookup('same.test')));
      ok(answers.every((answer) => answer === '10.0.0.2'));
      equal(queries(), 1);
    },
  );
});

test('aliases are followed, within an answer and beyond; a loop of them ends', async () => {
  const request: RequestFn = ({ name, type }) => {
    if (name === 'a.test')
      return [
        { type: 'CNAME', cname: 'b.test', ttl: 9 },
        { name: 'B.test', type: 'CNAME', cname: 'c.test', ttl: 9 },
      ];
    if (name === 'c.test') return type === 'A' ? { type, ip: '10.0.0.4', ttl: 9 } : [];
    return { type: 'CNAME', cname: name === 'x.test' ? 'y.test' : 'x.test', ttl: 9 };
  };
  await withServer(request, {}, async (client) => {
    equal(await client.lookup('a.test'), '10.0.0.4');
    deepEqual(await client.query('a.test', 'CNAME'), [{ name: 'a.test', class: 'IN', ttl: 9, type: 'CNAME', cname: 'b.test' }]);
    await rejects(client.lookup('x.test'), { code: 'ENOTFOUND' });
  });
});

test('search domains are tried in the order that the dots of a name say', async () => {
  const asked: string[] = [];
  const request: RequestFn = ({ name, type }) => {
    if (type === 'A') asked.push(name);
    return name === 'web.two.test' && type === 'A' ? { type, ip: '10.0.0.5', ttl: 0 } : undefined;
  };
  await withServer(request, { search: ['one.test', 'two.test.'] }, async (client) => {
    equal(await client.lookup('web'), '10.0.0.5');
    deepEqual(asked.splice(0), ['web.one.test', 'web.two.test']);
    await rejects(client.lookup('web.two'), { code: 'ENOTFOUND' });
    deepEqual(asked.splice(0), ['web.two', 'web.two.one.test', 'web.two.two.test']);
    await rejects(client.lookup('web.'), { code: 'ENOTFOUND' });
    deepEqual(asked, ['web']);
  });
});

test('a name in another script is asked for in ASCII', async () => {
  await withServer(
    ({ name, type }) => (name === 'xn--bcher-kva.test' && type === 'A' ? { type, ip: '10.0.0.6', ttl: 0 } : undefined),
    {},
    async (client) => {
      equal(await client.lookup('bücher.test'), '10.0.0.6');
    },
  );
});

test('reverse gives the name of an address', async () => {
  await withServer(
    ({ name, type }) => (name === '7.0.0.10.in-addr.arpa' && type === 'PTR' ? { type, ptr: 'seven.test', ttl: 9 } : undefined),
    {},
    async (client) => {
      equal(await client.reverse('10.0.0.7'), 'seven.test');
      await rejects(client.reverse('10.0.0.8'), { code: 'ENOTFOUND' });
      await rejects(client.reverse('no address'), { message: /invalid ipv4 address/ });
    },
  );
});

test('a lost query is sent again, from another port and with another id', async () => {
  await withServer(
    ({ type }) => (type === 'A' ? { type, ip: '10.0.0.2', ttl: 0 } : []),
    { timeout: 20 },
    async (client, network) => {
      let lost = 2;
      network.drop = ({ to }) => to.port === 53 && lost-- > 0;
      equal(await client.lookup('again.test'), '10.0.0.2');
      const queries = network.sent.filter(({ to }) => to.port === 53);
      ok(queries.length >= 3);
      ok(queries.every(({ from }) => from.port >= 49_152));
      ok(new Set(queries.map(({ from, data }) => `${from.port} ${data[0]} ${data[1]}`)).size === queries.length);
    },
  );
});

test('a silent server ends in ETIMEDOUT, one that fails in EAI_AGAIN, and the next in the list is asked', async () => {
  const request: RequestFn = () => {
    throw new Error('broken');
  };
  await withServer(request, { timeout: 20 }, async (client, network) => {
    await rejects(client.lookup('x.test'), { code: 'EAI_AGAIN' });
    client.nameServers = [{ ip: '10.0.0.99' }];
    await rejects(client.lookup('x.test'), { code: 'ETIMEDOUT', message: 'lookup ETIMEDOUT x.test' });
    const healthy = new DnsServer(network.host('10.0.0.54').udp, { port: 5353, request: ({ type }) => (type === 'A' ? { type, ip: '10.0.0.2', ttl: 0 } : []) });
    await healthy.listen();
    client.nameServers = [{ ip: '10.0.0.99' }, { ip: SERVER }, { ip: '10.0.0.54', port: 5353 }];
    equal(await client.lookup('x.test'), '10.0.0.2');
    await healthy.close();
    client.nameServers = [];
    await rejects(client.lookup('x.test'), { code: 'EAI_AGAIN' });
  });
});

test('an answer that does not fit a datagram comes by TCP', async () => {
  const answers = Array.from({ length: 200 }, (_, i) => ({ type: 'A', ip: `10.1.0.${i}`, ttl: 9 }) as const);
  await withServer(
    ({ type }) => (type === 'A' ? answers : []),
    {},
    async (client, network) => {
      equal((await client.query('large.test', 'A')).length, 200);
      const byUdp = new DnsClient(network.host('10.0.0.2').udp, { nameServer: { ip: SERVER } });
      const partial = await byUdp.query('large.test', 'A');
      ok(partial.length > 0 && partial.length < 200);
      await byUdp.close();
    },
  );
});

/** A server that answers every query with what `answer` makes of it. */
async function withAnswers(
  answer: (query: DnsMessage) => (Uint8Array | { from: string; data: Uint8Array })[],
  run: (client: DnsClient) => Promise<void>,
): Promise<void> {
  const network = new Network();
  const socket = await network.host(SERVER).udp.open({ port: 53 });
  const serving = (async () => {
    for await (const { host, port, data } of socket) {
      for (const given of answer(parseDnsMessage(data))) {
        const { from, data: bytes } = given instanceof Uint8Array ? { from: SERVER, data: given } : given;
        network.deliver({ from: { host: from, port: 53 }, to: { host, port }, data: bytes });
      }
    }
  })();
  const client = new DnsClient(network.host('10.0.0.1').udp, { nameServer: { ip: SERVER }, timeout: 5000 });
  await run(client);
  await client.close();
  await socket.close();
  await serving;
  equal(network.sockets.size, 0);
}

function answerTo(query: DnsMessage, ip: string): DnsMessage {
  return {
    ...query,
    header: { ...query.header, isResponse: true },
    answers: [{ name: query.questions[0]!.name, class: 'IN', type: 'A', ip, ttl: 0 }],
    additionals: [],
  };
}

test('an answer of another id, question, kind or source, and one that is no message, is passed over', async () => {
  await withAnswers(
    (query) => {
      const forged = answerTo(query, '6.6.6.6');
      const wrong = [
        serializeDnsMessage({ ...forged, header: { ...forged.header, id: query.header.id ^ 1 } }),
        serializeDnsMessage({ ...forged, header: { ...forged.header, isResponse: false } }),
        serializeDnsMessage({ ...forged, questions: [{ name: 'other.test', type: 'A', class: 'IN' }] }),
        serializeDnsMessage({ ...forged, questions: [{ ...query.questions[0]!, type: 'AAAA' }] }),
        serializeDnsMessage({ ...forged, questions: [] }),
        { from: '10.0.0.66', data: serializeDnsMessage(forged) },
        serializeDnsMessage(forged).slice(0, -1),
        new Uint8Array(),
        crypto.getRandomValues(new Uint8Array(300)),
      ];
      return [...wrong, serializeDnsMessage(answerTo(query, '10.0.0.2'))];
    },
    async (client) => equal(await client.lookup('true.test'), '10.0.0.2'),
  );
});

test('an answer about another name is none', async () => {
  await withAnswers(
    (query) => {
      const answer = answerTo(query, '6.6.6.6');
      return [serializeDnsMessage({ ...answer, answers: [{ ...answer.answers![0]!, name: 'other.test' }] })];
    },
    (client) => rejects(client.lookup('true.test'), { code: 'ENOTFOUND' }).then(() => {}),
  );
});

test('a server that knows no EDNS is asked without it', async () => {
  let queries = 0;
  await withAnswers(
    (query) => {
      queries += 1;
      const answer = answerTo(query, '10.0.0.2');
      if (query.header.additionalCount === 0) return [serializeDnsMessage(answer)];
      return [serializeDnsMessage({ header: { ...answer.header, rcode: 'FORMERR' }, questions: [] })];
    },
    async (client) => equal(await client.lookup('old.test'), '10.0.0.2'),
  );
  equal(queries, 2);
});

test('a lookup can be given up, alone or by closing the client; its socket closes', async () => {
  await withServer(
    () => new Promise(() => {}),
    { timeout: 60_000 },
    async (client, network) => {
      await rejects(client.lookup('x.test', { signal: AbortSignal.abort() }), { name: 'AbortError' });
      const controller = new AbortController();
      const first = client.lookup('x.test', { signal: controller.signal });
      const second = client.lookup('x.test');
      while (network.sockets.size < 2) await macrotask();
      controller.abort();
      await rejects(first, { name: 'AbortError' });
      equal(network.sockets.size, 2);
      const third = client.query('y.test', 'MX', { signal: AbortSignal.timeout(1) });
      await rejects(third, { name: 'TimeoutError' });
      await client.close();
      await rejects(second, { code: 'ECONNABORTED', message: 'dns client closed' });
      await rejects(client.lookup('z.test'), { code: 'ECONNABORTED' });
    },
  );
});
