import { serializeQuery } from '../../src/dns/query.ts';
import { parseMac } from '../../src/engine/address.ts';
import { createLan } from '../../src/lan/lan.ts';
import type { DatagramFlow, Flow, TcpFlow } from '../../src/lan/types.ts';
import { deepEqual, equal, ok, pattern, rejects, test, throws } from '../harness.ts';
import { macrotask } from '../network.ts';
import { plugIn } from './guest.ts';

const text = new TextEncoder();

/** The next flow of a LAN. */
function nextFlow<F extends Flow>(lan: { onFlow: ((flow: Flow) => void) | undefined }): Promise<F> {
  return new Promise((resolve) => {
    lan.onFlow = (flow) => resolve(flow as F);
  });
}

async function readAll(connection: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of connection) chunks.push(chunk);
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

test('lan: the MTU that a guest is told is no larger than its port takes', async () => {
  await using lan = await createLan({ mtu: 9000 });
  for (const mtu of [9000, 1500, 65_535]) {
    const told: (number | undefined)[] = [];
    const guest = await plugIn(lan, { mtu, client: { onChange: (binding) => void told.push(binding?.mtu) } });
    equal(told[0], Math.min(mtu, 9000));
    await guest.unplug();
  }
});

test('lan: guests lease addresses in order, with the gateway and names', async () => {
  await using lan = await createLan();
  const [web, other] = [await plugIn(lan, { client: { hostname: 'web' } }), await plugIn(lan)];
  deepEqual([web.address, other.address], ['192.168.86.100', '192.168.86.101']);
  equal(web.stack.routes.lookup('192.0.2.1')?.gateway, '192.168.86.1');
  equal(await other.dns.lookup('web.lan'), '192.168.86.100');
  const known = lan.guests().find((guest) => guest.addresses.includes('192.168.86.100'));
  deepEqual([known?.mac, known?.port, known?.name], [web.tap.mac, web.port.number, 'web']);
  await Promise.all([web.unplug(), other.unplug()]);
  deepEqual(lan.guests(), []);
});

test('lan: guests are told what the options of DHCP and DNS say', async () => {
  const mac = '02:00:00:00:00:77';
  await using lan = await createLan({
    ip: '10.9.0.1/16',
    ipv6: 'fd00:9::1/64',
    dhcp: { first: '10.9.1.1', last: '10.9.1.1', lease: 600, domain: 'corp.test', nameServers: ['10.9.0.1', '10.9.0.2'], fixed: { [mac]: '10.9.7.7' } },
    dns: { domain: 'corp.test', records: { 'printer.corp.test': ['10.9.3.3', 'fd00:9::3'] } },
  });
  const [known, any] = [await plugIn(lan, { mac }), await plugIn(lan)];
  deepEqual([known.address, any.address], ['10.9.7.7', '10.9.1.1']);
  const { dnsServers, domainName, expiresAt, renewsAt } = any.lease!.binding!;
  deepEqual([dnsServers, domainName, Math.round((expiresAt - renewsAt) / 1000)], [['10.9.0.1', '10.9.0.2'], 'corp.test', 300]);
  deepEqual(
    (await any.dns.client.lookupAll('printer.corp.test')).map((one) => one.address),
    ['10.9.3.3', 'fd00:9::3'],
  );
  await rejects(plugIn(lan, { client: { timeout: 300 } }), { code: 'ETIMEDOUT' });
  for (const guest of [known, any]) await guest.unplug();
});

test('lan: an isolated port reaches the gateway alone, and multicast comes in unicast frames where asked', async () => {
  await using lan = await createLan();
  const heard: string[] = [];
  const [a, b] = [await plugIn(lan, { ip: '192.168.86.2/24', multicastToUnicast: true }), await plugIn(lan, { ip: '192.168.86.3/24', isolated: true })];
  const session = await b.stack.ping.createSession({ host: lan.address });
  equal((await session.ping()).host, lan.address);
  const before = a.port.stats().framesSent;
  await rejects(b.stack.tcp.connect({ host: a.address, port: 80, timeout: 200 }), { code: 'ETIMEDOUT' });
  equal(a.port.stats().framesSent, before);
  const hear = lan.openPort({ multicastToUnicast: true }, (frame) => heard.push([...frame.subarray(0, 6)].join()));
  const source = [2, 0, 0, 0, 0, 9];
  hear.send(Uint8Array.of(255, 255, 255, 255, 255, 255, ...source, 0x88, 0xb5, ...new Uint8Array(46)));
  a.port.send(Uint8Array.of(1, 0, 0x5e, 0, 0, 0xfb, ...parseMac(a.tap.mac), 8, 0, ...new Uint8Array(46)));
  while (heard.length === 0) await macrotask();
  deepEqual(heard, [source.join()]);
  for (const guest of [a, b]) await guest.unplug();
});

test('lan: a connect is answered when the flow is, and carries bytes and half-closes both ways', async () => {
  await using lan = await createLan();
  const guest = await plugIn(lan, { ip: '192.168.86.50/24' });
  const opened = nextFlow<TcpFlow>(lan);
  const connecting = guest.stack.tcp.connect({ host: '198.51.100.7', port: 8080 });
  let stands = false;
  void connecting.then(() => (stands = true));
  const flow = await opened;
  deepEqual([flow.protocol, flow.destination, flow.source.address], ['tcp', { address: '198.51.100.7', port: 8080 }, '192.168.86.50']);
  deepEqual(flow.guest, { mac: guest.tap.mac, port: guest.port.number });
  for (let turn = 0; turn < 5; turn += 1) await macrotask();
  equal(stands, false);
  const outside = flow.accept();
  throws(() => flow.accept(), { code: 'EINVAL' });
  const client = await connecting;
  deepEqual([outside.localAddress, outside.localPort, outside.remotePort], ['198.51.100.7', 8080, client.localPort]);
  const up = pattern(300_000);
  const sent = client.write(up).then(() => client.writable.close());
  deepEqual(await readAll(outside), up);
  await sent;
  const down = pattern(200_000, 7);
  const answered = outside.write(down).then(() => outside.writable.close());
  deepEqual(await readAll(client), down);
  await answered;
  await Promise.all([outside.closed, client.closed]);
  await guest.unplug();
});

test("lan: flows to the gateway's own address are asked about as any other", async () => {
  await using lan = await createLan();
  const guest = await plugIn(lan, { ip: '192.168.86.50/24' });
  const opened = nextFlow<TcpFlow>(lan);
  const connecting = guest.stack.tcp.connect({ host: lan.address, port: 4000 });
  const outside = (await opened).accept();
  const client = await connecting;
  await outside.write(text.encode('hello'));
  equal(await client.readInto(new Uint8Array(9)), 5);
  await guest.unplug();
});

test('lan: refusals are what the guest sees', async () => {
  await using lan = await createLan();
  const guest = await plugIn(lan, { ip: '192.168.86.50/24' });
  const connect = (port: number) => guest.stack.tcp.connect({ host: '198.51.100.7', port, timeout: 300 });
  lan.onFlow = (flow) => flow.refuse(({ 1: 'refused', 2: 'unreachable', 3: 'denied', 4: 'timeout' } as const)[flow.destination.port as 1]);
  await rejects(connect(1), { code: 'ECONNREFUSED' });
  await rejects(connect(2), { code: 'EHOSTUNREACH' });
  await rejects(connect(3), { code: 'ECONNREFUSED' });
  await rejects(connect(4), { code: 'ETIMEDOUT' });
  lan.onFlow = undefined;
  await rejects(connect(1), { code: 'ECONNREFUSED' });
  equal(lan.stats().flows, 0);
  await guest.unplug();
});

test('lan: a guest that gives up aborts its flow', async () => {
  await using lan = await createLan();
  const guest = await plugIn(lan, { ip: '192.168.86.50/24' });
  const opened = nextFlow<TcpFlow>(lan);
  const connecting = guest.stack.tcp.connect({ host: '198.51.100.7', port: 80, signal: AbortSignal.any([]) }).catch(() => {});
  const { signal, accept } = await opened.then((flow) => ({ signal: flow.signal, accept: () => flow.accept() }));
  guest.port.close();
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
  throws(accept, { code: 'ECONNABORTED' });
  await guest.stack.close();
  await connecting;
});

test('lan: datagrams go both ways, each by itself, and pings are answered for everyone', async () => {
  await using lan = await createLan();
  const guest = await plugIn(lan, { ip: '192.168.86.50/24' });
  lan.onFlow = (flow) => {
    const channel = (flow as DatagramFlow).accept((datagram) => void channel.send(datagram.slice().reverse()));
  };
  const socket = await guest.stack.udp.open();
  await socket.send({ host: '198.51.100.7', port: 5000, data: Uint8Array.of(1, 2, 3) });
  deepEqual(await socket.receive(), { host: '198.51.100.7', port: 5000, data: Uint8Array.of(3, 2, 1) });
  await socket.send({ host: '198.51.100.7', port: 5000, data: new Uint8Array(0) });
  equal((await socket.receive())?.data.length, 0);
  const big = pattern(20_000);
  await socket.send({ host: '198.51.100.7', port: 5000, data: big });
  deepEqual((await socket.receive())?.data, big.slice().reverse());
  const session = await guest.stack.ping.createSession({ host: '1.2.3.4' });
  equal((await session.ping()).host, '1.2.3.4');
  await guest.unplug();
});

test('lan: pings are flows where the LAN does not answer them', async () => {
  await using lan = await createLan({ answerPings: false });
  const guest = await plugIn(lan, { ip: '192.168.86.50/24' });
  const seen: string[] = [];
  lan.onFlow = (flow) => {
    seen.push(flow.protocol);
    const channel = (flow as DatagramFlow).accept((datagram) => void channel.send(datagram));
  };
  const session = await guest.stack.ping.createSession({ host: '1.2.3.4' });
  equal((await session.ping()).host, '1.2.3.4');
  deepEqual(seen, ['ping']);
  await guest.unplug();
});

test('lan: a datagram that is refused is told by ICMP', async () => {
  await using lan = await createLan();
  const guest = await plugIn(lan, { ip: '192.168.86.50/24' });
  const opened = nextFlow(lan);
  const socket = await guest.stack.udp.open();
  await socket.send({ host: '198.51.100.7', port: 5000, data: Uint8Array.of(1) });
  const before = guest.tap.stats().framesReceived;
  (await opened).refuse('refused');
  while (guest.tap.stats().framesReceived === before) await macrotask();
  equal(lan.stats().flows, 0);
  await guest.unplug();
});

test('lan: echo is binary on ports 7 and 8', async () => {
  await using lan = await createLan();
  const guest = await plugIn(lan, { ip: '192.168.86.50/24' });
  const socket = await guest.stack.udp.open();
  const data = Uint8Array.from({ length: 256 }, (_, index) => index);
  for (const port of [7, 8]) {
    await socket.send({ host: lan.address, port, data });
    deepEqual(await socket.receive(), { host: lan.address, port, data });
  }
  await guest.unplug();
});

/** An address for whatever a query asks. */
function replyTo(query: Uint8Array): Uint8Array {
  const reply = Uint8Array.of(...query, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 203, 0, 113, 9);
  reply[2] = 0x81;
  reply[7] = 1;
  return reply;
}

test('lan: DNS queries are asked and answered from the address that was asked; silence is SERVFAIL', async () => {
  await using lan = await createLan({ dns: { timeout: 100 } });
  const guest = await plugIn(lan, { ip: '192.168.86.50/24' });
  lan.onQuery = ({ id, message, guest: from }) => {
    equal(from.mac, guest.tap.mac);
    if (message[12] === 5) lan.answer(id, replyTo(message));
  };
  const socket = await guest.stack.udp.open();
  const ask = async (name: string) => {
    const query = serializeQuery(77, { name, type: 'A', class: 'IN' }, false);
    await socket.send({ host: '8.8.8.8', port: 53, data: query });
    const reply = (await socket.receive())!;
    equal(reply.host, '8.8.8.8');
    return reply.data;
  };
  equal((await ask('known.test'))[3]! & 15, 0);
  equal((await ask('silent.test'))[3]! & 15, 2);
  lan.onQuery = undefined;
  equal((await ask('nobody.test'))[3]! & 15, 2);
  await guest.unplug();
});

test('lan: static DNS gives every name one IPv4 address and none of IPv6', async () => {
  await using lan = await createLan({ dns: { wildcard: '192.168.87.1' } });
  const guest = await plugIn(lan);
  equal(await guest.dns.lookup('example.org'), '192.168.87.1');
  equal(await guest.dns.lookup('8080.external'), '192.168.87.1');
  await rejects(guest.dns.client.query('example.org', 'AAAA'), { code: 'ENOTFOUND' });
  await guest.unplug();
});

test('lan: NTP tells the time of the page', async () => {
  await using lan = await createLan();
  const guest = await plugIn(lan, { ip: '192.168.86.50/24' });
  const socket = await guest.stack.udp.open();
  const request = new Uint8Array(48);
  request[0] = 0x23;
  await socket.send({ host: '203.0.113.1', port: 123, data: request });
  const { data } = (await socket.receive())!;
  const seconds = new DataView(data.buffer, data.byteOffset).getUint32(40) - 2_208_988_800;
  ok(Math.abs(seconds - Date.now() / 1000) < 5, `${seconds}`);
  await guest.unplug();
});

test('lan: connect reaches guests by address and by name, and says why not', async () => {
  await using lan = await createLan();
  const guest = await plugIn(lan, { client: { hostname: 'web' } });
  const listener = await guest.stack.tcp.listen({ port: 80 });
  for (const host of [guest.address, 'web', 'WEB.lan']) {
    const connection = await lan.connect(host, 80);
    equal(connection.remoteAddress, guest.address);
    await connection.write(text.encode('hello'));
    const server = (await listener.accept())!;
    equal(server.remoteAddress, lan.address);
    deepEqual(await server.readInto(new Uint8Array(5)), 5);
    await connection.close();
    await server.close();
  }
  await rejects(lan.connect(guest.address, 81), { code: 'ECONNREFUSED' });
  await rejects(lan.connect('192.168.86.77', 80, { timeout: 100 }), { code: 'ETIMEDOUT' });
  await rejects(lan.connect('192.0.2.1', 80), { code: 'ENETUNREACH' });
  await rejects(lan.connect('nobody', 80), { code: 'ENOTFOUND' });
  await rejects(lan.connect(guest.address, 0), { code: 'EINVAL' });
  const aborted = AbortSignal.abort(new Error('no more'));
  await rejects(lan.connect(guest.address, 80, { signal: aborted }), { message: 'no more' });
  await guest.unplug();
});

test('lan: guests reach each other, each frame goes to its owner alone, and without a gateway nothing else', async () => {
  await using lan = await createLan({ gateway: false, dhcp: false, dns: false, answerPings: false });
  const on = (ip: string) => plugIn(lan, { ip });
  const [a, b, c] = [await on('192.168.86.2/24'), await on('192.168.86.3/24'), await on('192.168.86.4/24')];
  const listener = await b.stack.tcp.listen({ port: 80 });
  const client = await a.stack.tcp.connect({ host: b.address, port: 80 });
  const server = (await listener.accept())!;
  const heard = c.port.stats().framesSent;
  await client.write(pattern(50_000));
  await client.writable.close();
  equal((await readAll(server)).length, 50_000);
  equal(c.port.stats().framesSent, heard);
  for (const guest of [a, b, c]) await guest.unplug();
});

test('lan: a switch alone says nothing, and leaves the usual gateway to a guest', async () => {
  await using lan = await createLan({ ip: false });
  const router = await plugIn(lan, { ip: '192.168.86.1/24', mac: '52:54:00:01:02:03' });
  const guest = await plugIn(lan, { ip: '192.168.86.7/24' });
  const listener = await router.stack.tcp.listen({ port: 80 });
  const client = await guest.stack.tcp.connect({ host: '192.168.86.1', port: 80 });
  const server = (await listener.accept())!;
  deepEqual([server.remoteAddress, client.remoteAddress, lan.address], ['192.168.86.7', '192.168.86.1', '']);
  ok(lan.guests().some((one) => one.addresses[0] === '192.168.86.7'));
  await rejects(lan.connect('192.168.86.7', 80), { code: 'ENETUNREACH' });
  equal(lan.stats().flows, 0);
  for (const one of [router, guest]) await one.unplug();
});

test('lan: what is no frame is counted, and never thrown', async () => {
  await using lan = await createLan();
  const port = lan.openPort({}, () => {});
  for (let length = 0; length < 80; length += 1) port.send(pattern(length, length));
  port.send(new Uint8Array(70_000));
  port.send(new Uint8Array(400_000));
  const { drops } = lan.stats();
  ok(Object.values(drops).reduce((sum, count) => sum + count, 0) > 20, JSON.stringify(drops));
  port.close();
  port.send(new Uint8Array(60));
  await lan.close();
  port.send(new Uint8Array(60));
  port.close();
  throws(() => lan.openPort({}, () => {}), { code: 'ECONNABORTED' });
});

test('lan: closing ends what is open', async () => {
  const lan = await createLan();
  const guest = await plugIn(lan, { ip: '192.168.86.50/24' });
  const opened = nextFlow<TcpFlow>(lan);
  const connecting = guest.stack.tcp.connect({ host: '198.51.100.7', port: 80 });
  const outside = (await opened).accept();
  await connecting;
  const reading = outside.readInto(new Uint8Array(1));
  await lan.close();
  await rejects(reading, { code: 'ECONNABORTED' });
  await lan.close();
  deepEqual([lan.guests(), lan.stats().flows], [[], 0]);
  await guest.stack.close();
});

test('lan: options out of range are told', async () => {
  const bad = [
    { ip: '192.168.86.1' },
    { ip: 'fd00::1/64' },
    { mac: '01:00:00:00:00:01' },
    { mtu: 67 },
    { dhcp: { first: '10.0.0.1' } },
    { dhcp: { first: '192.168.86.9', last: '192.168.86.8' } },
    { dhcp: { lease: 1 } },
    { dns: { wildcard: 'x' } },
    { dns: { records: { a: ['x'] } } },
    { ipv6: 'fd00::1/48' },
    { echoPorts: [0] },
    { dialTimeout: 1 },
  ];
  for (const options of bad) await rejects(createLan(options), { code: 'EINVAL' });
});
