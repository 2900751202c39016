import { DhcpClient, type DhcpClientOptions, DhcpServer, type DhcpServerOptions } from '../../src/dhcp/index.ts';
import { receivePacket } from '../../src/dhcp/packet.ts';
import { typeOf } from '../../src/dhcp/wire.ts';
import { deepEqual, equal, ok, rejects, test } from '../harness.ts';
import { macrotask, Network } from '../network.ts';

const options: DhcpServerOptions = {
  leaseRange: { start: '192.168.1.100', end: '192.168.1.110' },
  serverIdentifier: '192.168.1.1',
  netmask: '255.255.255.0',
  router: '192.168.1.1',
};

type World = {
  network: Network;
  server: DhcpServer;
  client: DhcpClient;
  addresses: string[];
  routes: string[];
  changes: (string | undefined)[];
  sent: () => (string | undefined)[];
};

/** A server and a client on its interface; in the end nothing of the client is left. */
async function withClient(
  serverOptions: Partial<DhcpServerOptions>,
  clientOptions: Partial<DhcpClientOptions>,
  run: (world: World) => Promise<void>,
): Promise<void> {
  const network = new Network();
  const server = new DhcpServer(network.host('192.168.1.1'), { ...options, ...serverOptions });
  await server.listen();
  const host = { address: '0.0.0.0' };
  const addresses: string[] = [];
  const routes: string[] = [];
  const changes: (string | undefined)[] = [];
  const tap = {
    name: 'tap0',
    mac: '02:00:00:00:00:0a',
    async addAddress(address: string) {
      addresses.push(address);
      host.address = address.split('/')[0]!;
    },
    async removeAddress(address: string) {
      addresses.splice(addresses.indexOf(address), 1);
      host.address = '0.0.0.0';
    },
  };
  const text = ({ destination, via }: { destination: string; via?: unknown }): string => `${destination} ${typeof via === 'string' ? via : 'tap0'}`;
  const table = {
    add: (route: { destination: string; via?: unknown }) => void routes.push(text(route)),
    remove: (route: { destination: string; via?: unknown }) => routes.splice(routes.indexOf(text(route)), 1),
  };
  const client = new DhcpClient(
    { udp: network.host(host).udp, routes: table },
    { interface: tap, retry: 10, onChange: (binding) => changes.push(binding?.ip), ...clientOptions },
  );
  try {
    await run({
      network,
      server,
      client,
      addresses,
      routes,
      changes,
      sent: () => withoutRepetitions(network.sent.filter(({ from }) => from.port === 68).map(({ data }) => typeOf(receivePacket(data)))),
    });
  } finally {
    await client.close();
    await server.close();
  }
  deepEqual([addresses, routes, network.sockets.size], [[], [], 0]);
}

/** A slow machine sends again what is not answered at once. */
function withoutRepetitions<T>(list: T[]): T[] {
  return list.filter((item, i) => item !== list[i - 1]);
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await macrotask();
}

test('an interface is configured, and given back', async () => {
  const settings = {
    dnsServers: ['192.168.1.53'],
    domainName: 'example.com',
    searchDomains: ['a.example.com'],
    mtu: 9000,
    ntpServers: ['192.168.1.123'],
    hostname: 'guest',
  };
  const resolver = { nameServers: [{ ip: '127.0.0.1' }], search: [] as string[] };
  await withClient(settings, { resolver, hostname: 'me', vendorClass: 'netloom' }, async ({ client, server, addresses, routes, changes, sent, network }) => {
    const binding = await client.start();
    deepEqual(
      [binding.ip, binding.cidr, binding.netmask, binding.routers, binding.serverIdentifier],
      ['192.168.1.100', '192.168.1.100/24', '255.255.255.0', ['192.168.1.1'], '192.168.1.1'],
    );
    deepEqual(
      [binding.dnsServers, binding.domainName, binding.searchDomains, binding.mtu, binding.ntpServers, binding.hostname],
      [['192.168.1.53'], 'example.com', ['a.example.com'], 9000, ['192.168.1.123'], 'guest'],
    );
    ok(binding.renewsAt < binding.rebindsAt && binding.rebindsAt < binding.expiresAt);
    deepEqual([addresses, routes], [['192.168.1.100/24'], ['0.0.0.0/0 192.168.1.1']]);
    deepEqual([resolver.nameServers, resolver.search], [[{ ip: '192.168.1.53' }], ['a.example.com']]);
    equal(client.binding, binding);
    const lease = server.leases.get('02:00:00:00:00:0a');
    deepEqual([lease?.ip, lease?.hostname, lease?.clientId], ['192.168.1.100', 'me', '01:02:00:00:00:00:0a']);
    ok(network.sent.filter(({ from }) => from.port === 68).every(({ data }) => receivePacket(data).isBroadcast));
    await client.release();
    await until(() => server.leases.size === 0);
    deepEqual([addresses, routes, changes, client.binding], [[], [], ['192.168.1.100', undefined], undefined]);
    deepEqual([resolver.nameServers, resolver.search], [[{ ip: '127.0.0.1' }], []]);
    deepEqual(sent(), ['DISCOVER', 'REQUEST', 'RELEASE']);
    await rejects(client.start(), { code: 'EINVAL' });
  });
});

test('classless routes stand for the routers, and a gateway off the network is reached directly', async () => {
  const routes = [
    { destination: '0.0.0.0/0', router: '10.9.9.9' },
    { destination: '172.16.0.0/12', router: '192.168.1.5' },
    { destination: '10.1.0.0/16', router: '0.0.0.0' },
  ];
  await withClient({ routes }, {}, async ({ client, routes: table }) => {
    await client.start();
    deepEqual(table, ['10.9.9.9/32 tap0', '0.0.0.0/0 10.9.9.9', '172.16.0.0/12 192.168.1.5', '10.1.0.0/16 tap0']);
  });
});

test('lost messages are sent again', async () => {
  await withClient({}, {}, async ({ client, network, sent }) => {
    let lost = 5;
    network.drop = () => lost-- > 0;
    equal((await client.start()).ip, '192.168.1.100');
    deepEqual(sent(), ['DISCOVER', 'REQUEST']);
    ok(network.sent.filter(({ from }) => from.port === 68).length > 2);
  });
});

test('it renews by its own address before the lease ends', async () => {
  await withClient({ leaseDuration: 2 }, {}, async ({ client, changes, network, server }) => {
    const { expiresAt } = await client.start();
    await until(() => changes.length === 2);
    ok(client.binding!.expiresAt > expiresAt);
    ok(server.leases.get('02:00:00:00:00:0a')!.expiresAt > expiresAt - 1000);
    const renewal = network.sent.filter(({ from }) => from.port === 68).at(-1)!;
    deepEqual(
      [renewal.from.host, renewal.to.host, receivePacket(renewal.data).ciaddr, receivePacket(renewal.data).options.has(54)],
      ['192.168.1.100', '192.168.1.1', '192.168.1.100', false],
    );
    client.renew();
    await until(() => changes.length === 3);
  });
});

test('without answer it asks every server, then gives the address up and begins anew', async () => {
  await withClient({ leaseDuration: 1 }, {}, async ({ client, changes, network }) => {
    await client.start();
    network.drop = () => true;
    await until(() => changes.length === 2);
    deepEqual(changes, ['192.168.1.100', undefined]);
    equal(client.binding, undefined);
    const targets = network.sent.filter(({ from }) => from.host === '192.168.1.100').map(({ to }) => to.host);
    deepEqual([targets[0], targets.at(-1)], ['192.168.1.1', '255.255.255.255']);
    network.drop = () => false;
    await until(() => changes.length === 3);
    equal(client.binding!.ip, '192.168.1.100');
  });
});

test('a NAK makes it begin anew', async () => {
  await withClient({ leaseDuration: 3600 }, { requestedIP: '192.168.1.105' }, async ({ client, changes, server }) => {
    equal((await client.start()).ip, '192.168.1.105');
    server.leases.clear();
    server.leases.set('02:00:00:00:00:ff', { ip: '192.168.1.105', mac: '02:00:00:00:00:ff', expiresAt: Date.now() + 60_000 });
    client.renew();
    await until(() => changes.length === 3);
    deepEqual(changes, ['192.168.1.105', undefined, '192.168.1.100']);
  });
});

test('an address in use, and one that the interface cannot take, is declined', async () => {
  const used = new Set(['192.168.1.100']);
  await withClient({}, { isInUse: async (ip) => used.has(ip) }, async ({ client, sent }) => {
    equal((await client.start()).ip, '192.168.1.101');
    deepEqual(sent(), ['DISCOVER', 'REQUEST', 'DECLINE', 'DISCOVER', 'REQUEST']);
  });
});

test('without a server it gives up in time, or when it is told to', async () => {
  await withClient({}, { timeout: 30 }, async ({ client, network }) => {
    network.drop = () => true;
    await rejects(client.start(), { code: 'ETIMEDOUT', message: 'no dhcp server answered on tap0' });
  });
  const controller = new AbortController();
  await withClient({}, { signal: controller.signal }, async ({ client, network }) => {
    network.drop = () => true;
    const started = client.start();
    await until(() => network.sent.length > 0);
    controller.abort();
    await rejects(started, { name: 'AbortError' });
  });
  await withClient({}, {}, async ({ client, network }) => {
    network.drop = () => true;
    const started = client.start();
    await until(() => network.sent.length > 0);
    await Promise.all([rejects(started, { code: 'ECONNABORTED' }), client.close()]);
  });
});

test('replies of others, to others, without what a lease needs and of random bytes are passed over', async () => {
  await withClient({}, {}, async ({ client, network }) => {
    const forge = (data: Uint8Array, change: (bytes: Uint8Array) => void): void => {
      const bytes = data.slice();
      change(bytes);
      network.deliver({ from: { host: '192.168.1.66', port: 67 }, to: { host: '255.255.255.255', port: 68 }, data: bytes });
    };
    network.drop = ({ from, data }) => {
      if (from.host !== '192.168.1.1') return false;
      forge(data, (bytes) => bytes.set([6, 6, 6, 6], 4));
      forge(data, (bytes) => bytes.set([2, 6, 6, 6], 28));
      forge(data, (bytes) => bytes.set([1], 0));
      forge(data, (bytes) => bytes.set([224, 0, 0, 1], 16));
      forge(data, (bytes) => bytes.set([255], 240));
      forge(data, (bytes) => bytes.set([99], 242));
      forge(data, (bytes) => crypto.getRandomValues(bytes.subarray(236)));
      return false;
    };
    equal((await client.start()).ip, '192.168.1.100');
  });
});
