import { createDhcp, DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpClient, parseDhcpMessage } from '../../src/dhcp/index.ts';
import { createDns } from '../../src/dns/index.ts';
import { createStack, patch } from '../../src/index.ts';
import { parseEthernetFrame, serializeEthernetFrame } from '../../src/wire/index.ts';
import { deepEqual, equal, ok, test } from '../harness.ts';
import { macrotask } from '../network.ts';

const settings = {
  leaseRange: { start: '192.168.1.100', end: '192.168.1.110' },
  serverIdentifier: '192.168.1.1',
  netmask: '255.255.255.0',
  router: '192.168.1.1',
};

test('a stack is configured by another, reaches it by its route and names, and is taken off again', async () => {
  const [gateway, guest] = [await createStack(), await createStack()];
  const here = await guest.interfaces.createTap();
  const cable = patch(await gateway.interfaces.createTap({ ip: '192.168.1.1/24' }), here);
  await gateway.interfaces.createTap({ ip: '10.9.9.1/24' });
  const names = await createDns(gateway);
  await names.serve({ request: ({ type }) => (type === 'A' ? { type, ip: '10.9.9.1', ttl: 60 } : []) });
  const dhcp = await createDhcp(gateway.udp);
  const server = await dhcp.serve({ ...settings, dnsServers: ['192.168.1.1'] });

  const dns = await createDns(guest);
  const client = new DhcpClient(guest, { interface: here, resolver: dns.client });
  const binding = await client.start();
  deepEqual([binding.ip, here.addresses, guest.routes.lookup('10.9.9.1')?.gateway], ['192.168.1.100', ['192.168.1.100/24'], '192.168.1.1']);
  equal(await dns.lookup('far.test'), '10.9.9.1');
  const session = await guest.ping.createSession({ host: await dns.lookup('far.test') });
  equal((await session.ping()).host, '10.9.9.1');
  const { expiresAt } = binding;
  await macrotask();
  client.renew();
  while (client.binding!.expiresAt === expiresAt) await macrotask();
  equal(server.leases.get(here.mac)?.ip, '192.168.1.100');
  await client.release();
  while (server.leases.size > 0) await macrotask();
  deepEqual([here.addresses, guest.routes.lookup('10.9.9.1')], [[], null]);

  await Promise.all([dns.close(), dhcp.close(), names.close()]);
  cable.close();
  await Promise.all([gateway.close(), guest.close()]);
});

test('each interface may have a server of its own', async () => {
  const gateway = await createStack();
  const dhcp = await createDhcp(gateway);
  const guests = [];
  for (const net of ['10.1.0', '10.2.0']) {
    const guest = await createStack();
    const there = await gateway.interfaces.createTap({ ip: `${net}.1/24` });
    const here = await guest.interfaces.createTap();
    await dhcp.serve({ leaseRange: { start: `${net}.10`, end: `${net}.20` }, serverIdentifier: `${net}.1`, netmask: '255.255.255.0', interface: there.name });
    guests.push({ guest, here, cable: patch(there, here), client: await createDhcp(guest) });
  }
  const acquired = await Promise.all(guests.map(({ client, here }) => client.acquire({ interface: here })));
  deepEqual(
    acquired.map(({ binding }) => binding?.ip),
    ['10.1.0.10', '10.2.0.10'],
  );
  for (const { guest, client, cable } of guests) {
    await client.close();
    cable.close();
    await guest.close();
  }
  await dhcp.close();
  await gateway.close();
});

test("frames of a client without address are answered, as tcpip.js' programs expect", async () => {
  const stack = await createStack();
  const tap = await stack.interfaces.createTap({ ip: '192.168.1.1/24', mac: '02:00:00:00:00:01' });
  const dhcp = await createDhcp(stack.udp);
  const server = await dhcp.serve({ ...settings, leaseDuration: 3600 });
  const frames = tap.listen();
  const writer = tap.writable.getWriter();
  const mac = '02:00:00:00:00:02';

  const ask = async (...options: number[]): Promise<ReturnType<typeof parseDhcpMessage>> => {
    const payload = new Uint8Array(240 + options.length + 1);
    payload.set([1, 1, 6, 0, 1, 2, 3, 4]);
    payload.set([2, 0, 0, 0, 0, 2], 28);
    payload.set([0x63, 0x82, 0x53, 0x63, ...options, 255], 236);
    const ip = {
      version: 4,
      dscp: 0,
      ecn: 0,
      identification: 0,
      flags: 0,
      fragmentOffset: 0,
      ttl: 64,
      sourceIP: '0.0.0.0',
      destinationIP: '255.255.255.255',
    } as const;
    const udp = { sourcePort: DHCP_CLIENT_PORT, destinationPort: DHCP_SERVER_PORT, payload };
    const frame = { destinationMac: 'ff:ff:ff:ff:ff:ff', sourceMac: mac, type: 'ipv4', payload: { ...ip, protocol: 'udp', payload: udp } } as const;
    await writer.write(serializeEthernetFrame(frame));
    for (;;) {
      const { value } = await frames.next();
      ok(value);
      const { type, payload: packet } = parseEthernetFrame(value);
      if (type === 'ipv4' && packet.protocol === 'udp' && packet.payload.destinationPort === DHCP_CLIENT_PORT) return parseDhcpMessage(packet.payload.payload);
    }
  };

  const offer = await ask(53, 1, 1);
  deepEqual([offer.type, offer.yiaddr], ['OFFER', '192.168.1.100']);
  const ack = await ask(53, 1, 3, 50, 4, 192, 168, 1, 100, 54, 4, 192, 168, 1, 1);
  deepEqual([ack.type, ack.yiaddr, server.leases.get(mac)?.ip], ['ACK', '192.168.1.100', '192.168.1.100']);
  await dhcp.close();
  await stack.close();
});
