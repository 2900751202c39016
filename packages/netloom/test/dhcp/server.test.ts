import { createDhcp, type DhcpLeaseEvent, DhcpMessageTypes, DhcpServer, type DhcpServerOptions } from '../../src/dhcp/index.ts';
import { type DhcpPacket, hexOf, ipOf, numberOf, receivePacket, serializePacket } from '../../src/dhcp/packet.ts';
import { typeOf } from '../../src/dhcp/wire.ts';
import { serializeIPv4Address } from '../../src/wire/index.ts';
import { deepEqual, equal, ok, rejects, test, throws } from '../harness.ts';
import { macrotask, Network } from '../network.ts';

const options: DhcpServerOptions = {
  leaseRange: { start: '192.168.1.100', end: '192.168.1.102' },
  leaseDuration: 3600,
  serverIdentifier: '192.168.1.1',
  netmask: '255.255.255.0',
  router: '192.168.1.1',
};
const EVERYONE = '255.255.255.255';
const [A, B, C, D] = ['02:00:00:00:00:0a', '02:00:00:00:00:0b', '02:00:00:00:00:0c', '02:00:00:00:00:0d'] as const;

type Ask = { mac?: string; ciaddr?: string; giaddr?: string; isBroadcast?: boolean; want?: string; server?: string; more?: [number, Uint8Array][] };
type Reply = { type: string | undefined; ip: string; to: string; port: number; packet: DhcpPacket } | undefined;
type Asker = { server: DhcpServer; network: Network; ask: (type: keyof typeof DhcpMessageTypes, ask?: Ask) => Promise<Reply> };

/** A server and a way to ask it; without an answer once the network is quiet, there is none. */
async function withServer(more: Partial<DhcpServerOptions>, run: (asker: Asker) => Promise<void>): Promise<void> {
  const network = new Network();
  const server = new DhcpServer(network.host('192.168.1.1').udp, { ...options, ...more });
  await server.listen();
  const socket = await network.host('0.0.0.0').udp.open({ port: 68 });
  const ask: Asker['ask'] = async (
    type,
    { mac = A, ciaddr = '0.0.0.0', giaddr = '0.0.0.0', isBroadcast = false, want, server: named, more: others = [] } = {},
  ) => {
    const all: [number, Uint8Array][] = [[53, Uint8Array.of(DhcpMessageTypes[type])], ...others];
    if (want) all.push([50, serializeIPv4Address(want)]);
    if (named) all.push([54, serializeIPv4Address(named)]);
    const fields = { op: 1, htype: 1, hlen: 6, xid: 7, seconds: 0, isBroadcast, ciaddr, yiaddr: '0.0.0.0', siaddr: '0.0.0.0', giaddr, mac };
    const before = network.sent.length;
    await socket.send({ host: '192.168.1.1', port: 67, data: serializePacket({ ...fields, options: all }) });
    for (let turn = 0; turn < 3; turn++) await macrotask();
    const sent = network.sent[before + 1];
    if (!sent) return undefined;
    ok(sent.data.length >= 300);
    const packet = receivePacket(sent.data);
    return { type: typeOf(packet), ip: packet.yiaddr, to: sent.to.host, port: sent.to.port, packet };
  };
  try {
    await run({ server, network, ask });
  } finally {
    await server.close();
    await socket.close();
  }
  equal(network.sockets.size, 0);
}

const outcome = (reply: Reply): unknown => reply && [reply.type, reply.ip];

test('an offer is kept for its client, and becomes its lease; then there are no more', async () => {
  const events: DhcpLeaseEvent[] = [];
  await withServer({ onLease: (event) => events.push(event) }, async ({ server, ask }) => {
    deepEqual(outcome(await ask('DISCOVER', { mac: A })), ['OFFER', '192.168.1.100']);
    deepEqual(outcome(await ask('DISCOVER', { mac: B })), ['OFFER', '192.168.1.101']);
    deepEqual(outcome(await ask('DISCOVER', { mac: A })), ['OFFER', '192.168.1.100']);
    deepEqual(outcome(await ask('REQUEST', { mac: A, want: '192.168.1.100', server: '192.168.1.1' })), ['ACK', '192.168.1.100']);
    equal(server.leases.get(A)?.ip, '192.168.1.100');
    deepEqual(outcome(await ask('REQUEST', { mac: B, want: '192.168.1.100', server: '192.168.1.1' })), ['NAK', '0.0.0.0']);
    deepEqual(outcome(await ask('DISCOVER', { mac: C, want: '192.168.1.102' })), ['OFFER', '192.168.1.102']);
    equal(await ask('DISCOVER', { mac: D }), undefined);
    deepEqual(
      events.map(({ type, lease }) => [type, lease.ip, lease.mac]),
      [['bound', '192.168.1.100', A]],
    );
  });
});

test('a client that chose another server makes its offer free', async () => {
  await withServer({ leaseRange: { start: '192.168.1.100', end: '192.168.1.100' } }, async ({ ask }) => {
    equal((await ask('DISCOVER', { mac: A }))?.type, 'OFFER');
    equal(await ask('DISCOVER', { mac: B }), undefined);
    equal(await ask('REQUEST', { mac: A, want: '192.168.9.9', server: '192.168.9.1' }), undefined);
    equal((await ask('DISCOVER', { mac: B }))?.type, 'OFFER');
  });
});

test('a client renews to its own address, and one that comes back finds its old one', async () => {
  const events: string[] = [];
  await withServer({ onLease: ({ type }) => events.push(type) }, async ({ server, ask }) => {
    await ask('REQUEST', { mac: A, want: '192.168.1.101' });
    const before = server.leases.get(A)!.expiresAt;
    ok(before > Date.now() + 3_500_000);
    server.leases.get(A)!.expiresAt = Date.now() + 1000;
    const renewed = await ask('REQUEST', { mac: A, ciaddr: '192.168.1.101' });
    deepEqual([renewed?.type, renewed?.ip, renewed?.to, renewed?.port, renewed?.packet.ciaddr], ['ACK', '192.168.1.101', '192.168.1.101', 68, '192.168.1.101']);
    ok(server.leases.get(A)!.expiresAt > Date.now() + 3_500_000);
    server.leases.get(A)!.expiresAt = Date.now() - 1;
    deepEqual(outcome(await ask('DISCOVER', { mac: B })), ['OFFER', '192.168.1.100']);
    deepEqual(outcome(await ask('DISCOVER', { mac: A })), ['OFFER', '192.168.1.101']);
    deepEqual(events, ['bound', 'renewed']);
  });
});

test('an expired lease is given to others once nothing else is free, the oldest first', async () => {
  await withServer({ leaseRange: { start: '192.168.1.100', end: '192.168.1.101' } }, async ({ server, ask }) => {
    await ask('REQUEST', { mac: A, want: '192.168.1.100' });
    await ask('REQUEST', { mac: B, want: '192.168.1.101' });
    equal(await ask('DISCOVER', { mac: C }), undefined);
    server.leases.get(A)!.expiresAt = Date.now() - 1;
    server.leases.get(B)!.expiresAt = Date.now() - 2;
    deepEqual(outcome(await ask('DISCOVER', { mac: C })), ['OFFER', '192.168.1.101']);
    deepEqual(outcome(await ask('REQUEST', { mac: C, want: '192.168.1.101', server: '192.168.1.1' })), ['ACK', '192.168.1.101']);
    equal(server.leases.has(B), false);
  });
});

test('an address outside the range, on another network or of another client is refused to all', async () => {
  await withServer({}, async ({ ask }) => {
    for (const want of ['192.168.1.200', '10.0.0.1', '192.168.1.1']) {
      const nak = await ask('REQUEST', { want });
      deepEqual([nak?.type, nak?.ip, nak?.to, nak?.packet.options.has(51), nak?.packet.options.has(1)], ['NAK', '0.0.0.0', EVERYONE, false, false]);
    }
    const moved = await ask('REQUEST', { ciaddr: '10.0.0.9' });
    deepEqual([moved?.type, moved?.to], ['NAK', EVERYONE]);
    equal((await ask('REQUEST'))?.type, 'NAK');
  });
});

test('a released address is free at once, a declined one after its time', async () => {
  const events: string[] = [];
  await withServer({ leaseRange: { start: '192.168.1.100', end: '192.168.1.100' }, onLease: ({ type }) => events.push(type) }, async ({ server, ask }) => {
    await ask('REQUEST', { mac: A, want: '192.168.1.100' });
    equal(await ask('RELEASE', { mac: A, ciaddr: '192.168.1.55' }), undefined);
    equal(server.leases.size, 1);
    await ask('RELEASE', { mac: B, ciaddr: '192.168.1.100' });
    equal(server.leases.size, 1);
    equal(await ask('RELEASE', { mac: A, ciaddr: '192.168.1.100', server: '192.168.1.1' }), undefined);
    equal(server.leases.size, 0);
    await ask('DECLINE', { mac: B, want: '192.168.1.100' });
    equal((await ask('DISCOVER', { mac: B }))?.type, 'OFFER');
    await ask('DECLINE', { mac: B, want: '192.168.1.100', server: '192.168.1.1' });
    equal(await ask('DISCOVER', { mac: B }), undefined);
    deepEqual(events, ['bound', 'released', 'declined']);
  });
});

test('INFORM is told the settings, without an address or times', async () => {
  await withServer({ dnsServers: ['192.168.1.53'] }, async ({ server, ask }) => {
    const reply = await ask('INFORM', { ciaddr: '192.168.1.50' });
    deepEqual([reply?.type, reply?.ip, reply?.to, reply?.packet.options.has(51)], ['ACK', '0.0.0.0', '192.168.1.50', false]);
    equal(ipOf(reply?.packet.options.get(6)), '192.168.1.53');
    equal(server.leases.size, 0);
  });
});

test('a client is known by its identifier, which is echoed; one MAC address may have several', async () => {
  const [first, second] = [Uint8Array.of(0, 1, 2), Uint8Array.of(0, 3)];
  await withServer({}, async ({ server, ask }) => {
    const request = (mac: string, id: Uint8Array, want: string): Promise<Reply> => ask('REQUEST', { mac, want, more: [[61, id]] });
    const ack = await request(A, first, '192.168.1.100');
    deepEqual(ack?.packet.options.get(61), first);
    equal((await request(A, second, '192.168.1.100'))?.type, 'NAK');
    equal((await request(A, second, '192.168.1.101'))?.type, 'ACK');
    deepEqual(
      [...server.leases].map(([key, { ip, clientId }]) => [key, ip, clientId]),
      [
        [A, '192.168.1.100', hexOf(first)],
        [`${A}/00:03`, '192.168.1.101', '00:03'],
      ],
    );
    // The first client has another network card now.
    deepEqual(outcome(await ask('DISCOVER', { mac: B, more: [[61, first]] })), ['OFFER', '192.168.1.100']);
  });
});

test('reserved addresses are given to whom they are reserved for, in the range or not, and to nobody else', async () => {
  const reservations = [
    { mac: A.toUpperCase(), ip: '192.168.1.100' },
    { clientId: '00:AB', ip: '192.168.1.7' },
  ];
  await withServer({ reservations }, async ({ ask }) => {
    deepEqual(outcome(await ask('DISCOVER', { mac: B })), ['OFFER', '192.168.1.101']);
    deepEqual(outcome(await ask('DISCOVER', { mac: A })), ['OFFER', '192.168.1.100']);
    deepEqual(outcome(await ask('DISCOVER', { mac: C, more: [[61, Uint8Array.of(0, 0xab)]] })), ['OFFER', '192.168.1.7']);
    equal((await ask('REQUEST', { mac: C, want: '192.168.1.7', more: [[61, Uint8Array.of(0, 0xab)]] }))?.type, 'ACK');
    equal((await ask('REQUEST', { mac: B, want: '192.168.1.100' }))?.type, 'NAK');
    equal((await ask('REQUEST', { mac: A, want: '192.168.1.102' }))?.type, 'NAK');
  });
});

test("a relay agent's clients get addresses of its network, by the agent", async () => {
  const relayed = [{ leaseRange: { start: '10.5.0.10', end: '10.5.0.20' }, netmask: '255.255.0.0', router: '10.5.0.1' }];
  const agent = Uint8Array.of(1, 2, 9, 9);
  await withServer({ relayed }, async ({ ask }) => {
    const offer = await ask('DISCOVER', { giaddr: '10.5.0.1', more: [[82, agent]] });
    deepEqual([offer?.type, offer?.ip, offer?.to, offer?.port, offer?.packet.giaddr], ['OFFER', '10.5.0.10', '10.5.0.1', 67, '10.5.0.1']);
    deepEqual(offer?.packet.options.get(82), agent);
    equal(ipOf(offer?.packet.options.get(3)), '10.5.0.1');
    const nak = await ask('REQUEST', { giaddr: '10.5.0.1', want: '192.168.1.100' });
    deepEqual([nak?.type, nak?.to, nak?.packet.isBroadcast], ['NAK', '10.5.0.1', true]);
    equal(await ask('DISCOVER', { giaddr: '10.6.0.1' }), undefined);
    equal((await ask('REQUEST', { giaddr: '10.5.0.1', want: '10.5.0.10' }))?.type, 'ACK');
    deepEqual(outcome(await ask('REQUEST', { ciaddr: '10.5.0.10' })), ['ACK', '10.5.0.10']);
  });
});

test('every option arrives; those asked for come first where not all fit', async () => {
  const more = {
    dnsServers: ['192.168.1.53'],
    domainName: 'example.com',
    searchDomains: ['a.example.com'],
    mtu: 9000,
    ntpServers: ['192.168.1.123'],
    routes: [{ destination: '10.0.0.0/8', router: '192.168.1.9' }],
    options: { 150: Uint8Array.of(1, 2), 224: new Uint8Array(250).fill(7) },
  };
  await withServer(more, async ({ ask }) => {
    const large: [number, Uint8Array][] = [[57, Uint8Array.of(5, 220)]];
    const { options: all } = (await ask('DISCOVER', { more: large }))!.packet;
    deepEqual(
      [1, 3, 6, 15, 26, 42, 51, 54, 58, 59, 119, 121, 150, 224].filter((code) => !all.has(code)),
      [],
    );
    deepEqual([numberOf(all.get(26)), numberOf(all.get(51)), numberOf(all.get(58)), numberOf(all.get(59))], [9000, 3600, 1800, 3150]);
    equal(all.get(224)!.length, 250);
    const few = (await ask('DISCOVER'))!.packet.options;
    deepEqual([few.has(224), few.has(150)], [false, true]);
    const chosen = (await ask('DISCOVER', { more: [[55, Uint8Array.of(224)]] }))!.packet.options;
    ok(chosen.has(224) && chosen.has(54));
  });
  await withServer({ leaseDuration: 1e12, renewalTime: 10, rebindingTime: 20 }, async ({ ask }) => {
    const { options: times } = (await ask('DISCOVER'))!.packet;
    deepEqual([numberOf(times.get(51)), numberOf(times.get(58)), numberOf(times.get(59))], [0xffffffff, 10, 20]);
  });
});

test('the broadcast flag comes back, and what is no request has no answer', async () => {
  await withServer({}, async ({ ask, network }) => {
    equal((await ask('DISCOVER', { isBroadcast: true }))?.packet.isBroadcast, true);
    equal(await ask('ACK'), undefined);
    equal(await ask('OFFER'), undefined);
    equal(await ask('DISCOVER', { more: [[53, Uint8Array.of(99)]] }), undefined);
    const before = network.sent.length;
    const other = await network.host('10.0.0.9').udp.open();
    for (let round = 0; round < 500; round++) await other.send({ host: '192.168.1.1', port: 67, data: crypto.getRandomValues(new Uint8Array(round)) });
    for (let turn = 0; turn < 3; turn++) await macrotask();
    equal(network.sent.length, before + 500);
    await other.close();
    equal((await ask('DISCOVER'))?.type, 'OFFER');
  });
});

test('leases go from one server to the next', async () => {
  let saved = '';
  await withServer({}, async ({ server, ask }) => {
    await ask('REQUEST', {
      mac: A,
      want: '192.168.1.101',
      more: [
        [12, Uint8Array.of(97)],
        [61, Uint8Array.of(5)],
      ],
    });
    await ask('REQUEST', { mac: B, want: '192.168.1.102' });
    server.leases.get(B)!.expiresAt = 0;
    saved = JSON.stringify(server.exportLeases());
  });
  await withServer({ leases: JSON.parse(saved) }, async ({ server, ask }) => {
    deepEqual(
      [...server.leases.values()].map(({ ip, mac, clientId, hostname }) => [ip, mac, clientId, hostname]),
      [['192.168.1.101', A, '05', 'a']],
    );
    deepEqual(outcome(await ask('DISCOVER', { mac: C, want: '192.168.1.101' })), ['OFFER', '192.168.1.100']);
  });
});

test('starving it of addresses does not grow it', async () => {
  await withServer({}, async ({ server, ask }) => {
    for (let i = 0; i < 200; i++) {
      const mac = `02:00:00:00:01:${i.toString(16).padStart(2, '0')}`;
      await ask('DISCOVER', { mac });
      await ask('REQUEST', { mac, want: '192.168.1.102' });
    }
    ok(server.leases.size <= 3);
  });
});

test('settings that cannot be are refused, and closing ends the service', async () => {
  const network = new Network();
  const host = network.host('192.168.1.1');
  for (const wrong of [
    { netmask: '255.0.255.0.0' },
    { leaseRange: { start: '192.168.1.9', end: '192.168.1.1' } },
    { leaseRange: { start: '192.168.1.9', end: '192.168.2.1' } },
    { router: 'gateway' },
    { serverIdentifier: '' },
  ]) {
    throws(() => new DhcpServer(host, { ...options, ...wrong }));
  }
  const dhcp = await createDhcp(host.udp);
  await dhcp.serve(options);
  await rejects(dhcp.serve(options), { code: 'EADDRINUSE' });
  await dhcp.close();
  equal(network.sockets.size, 0);
  const controller = new AbortController();
  await dhcp.serve({ ...options, signal: controller.signal });
  controller.abort();
  while (network.sockets.size > 0) await macrotask();
});

test('a transport that has streams alone serves as well, and is asked for nothing but the port', async () => {
  const network = new Network();
  const { udp } = network.host('192.168.1.1');
  const asked: unknown[] = [];
  const open: typeof udp.open = async (given) => {
    asked.push(JSON.parse(JSON.stringify(given)));
    const socket = await udp.open(given);
    return { readable: socket.readable, writable: socket.writable, close: () => socket.close() } as typeof socket;
  };
  const server = new DhcpServer({ open }, options);
  await server.listen();
  const client = await network.host('0.0.0.0').udp.open({ port: 68 });
  const fields = {
    op: 1,
    htype: 1,
    hlen: 6,
    xid: 7,
    seconds: 0,
    isBroadcast: false,
    ciaddr: '0.0.0.0',
    yiaddr: '0.0.0.0',
    siaddr: '0.0.0.0',
    giaddr: '0.0.0.0',
    mac: A,
  };
  await client.send({ host: '192.168.1.1', port: 67, data: serializePacket({ ...fields, options: [[53, Uint8Array.of(1)]] }) });
  equal(receivePacket((await client.receive())!.data).yiaddr, '192.168.1.100');
  deepEqual(asked, [{ port: 67 }]);
  await server.close();
  await client.close();
});
