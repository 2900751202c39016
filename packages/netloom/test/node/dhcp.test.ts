/**
 * DHCP with the clients and servers that Linux machines have.
 */
import assert from 'node:assert/strict';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createDhcp, type DhcpServer } from '../../src/dhcp/index.ts';
import { createDns } from '../../src/dns/index.ts';
import { createStack } from '../../src/index.ts';
import { Guest, lineOf } from './guest.ts';

// Of udhcpc, and of dhclient and dhcpcd, which call the same things by other names.
const SCRIPT = `#!/bin/sh
case "$1$reason" in bound|BOUND) ;; *) exit 0 ;; esac
ip addr add "\${ip:-$new_ip_address}/\${mask:-$new_subnet_mask}" dev guest0
{
  echo "address \${ip:-$new_ip_address}"
  echo "netmask \${subnet:-$new_subnet_mask}"
  echo "router \${router:-$new_routers}"
  echo "dns \${dns:-$new_domain_name_servers}"
  echo "domain \${domain:-$new_domain_name}"
  echo "search \${search:-$new_domain_search}"
  echo "mtu \${mtu:-$new_interface_mtu}"
  echo "lifetime \${lease:-$new_dhcp_lease_time}"
  echo "server \${serverid:-$new_dhcp_server_identifier}"
} >"\${0%/*}/lease"
`;

const settings = {
  leaseRange: { start: '10.7.0.100', end: '10.7.0.110' },
  leaseDuration: 600,
  serverIdentifier: '10.7.0.1',
  netmask: '255.255.255.0',
  router: '10.7.0.1',
  dnsServers: ['10.7.0.1', '10.7.0.2'],
  domainName: 'lan.test',
  searchDomains: ['lan.test', 'example.test'],
  mtu: 1400,
};

async function withGuest(run: (guest: Guest, server: DhcpServer, script: string) => Promise<void>): Promise<void> {
  await using stack = await createStack();
  const tap = await stack.interfaces.createTap({ ip: '10.7.0.1/24' });
  await using dhcp = await createDhcp(stack);
  const server = await dhcp.serve(settings);
  await using guest = await Guest.create(tap);
  const script = join(guest.folder, 'script');
  await writeFile(script, SCRIPT);
  await chmod(script, 0o700);
  await run(guest, server, script);
  const lease = Object.fromEntries(
    (await readFile(join(guest.folder, 'lease'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => [line.split(' ')[0], line.slice(line.indexOf(' ') + 1)]),
  );
  const known = [...server.leases.values()][0]!;
  assert.equal(lease['address'], known.ip);
  assert.equal(known.mac, JSON.parse(await guest.exec('ip', ['-j', 'link', 'show', guest.card]))[0].address);
  assert.ok(known.expiresAt > Date.now() && known.expiresAt <= Date.now() + 600_000);
  assert.deepEqual(
    [lease['netmask'], lease['router'], lease['dns'], lease['domain'], lease['lifetime'], lease['server']],
    ['255.255.255.0', '10.7.0.1', '10.7.0.1 10.7.0.2', 'lan.test', '600', '10.7.0.1'],
  );
  assert.equal(lease['mtu'], '1400');
  assert.match(lease['search']!, /^lan\.test\.? example\.test\.?$/);
}

test('busybox udhcpc has a lease of ours, and gives it back', async () => {
  await withGuest(async (guest, server, script) => {
    await guest.exec('udhcpc', ['-i', guest.card, '-f', '-n', '-q', '-t', '10', '-T', '1', '-O', 'mtu', '-O', 'search', '-s', script]);
    const [{ ip } = { ip: '' }] = server.leases.values();
    // A second run comes back with another transaction, and is given the same.
    const client = guest.start('udhcpc', ['-i', guest.card, '-f', '-R', '-t', '10', '-T', '1', '-r', ip, '-O', 'mtu', '-O', 'search', '-s', script]);
    await lineOf(client, new RegExp(`lease of ${ip} obtained`));
    assert.equal(server.leases.size, 1);
    const { expiresAt } = [...server.leases.values()][0]!;
    client.kill('SIGUSR1');
    while ([...server.leases.values()][0]!.expiresAt === expiresAt) await new Promise((resolve) => setTimeout(resolve, 10));
    const released = lineOf(client, /releasing lease/i).catch(() => {});
    const before = { ...[...server.leases.values()][0]! };
    client.kill('SIGTERM');
    await released;
    while (server.leases.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    server.leases.set(before.mac, before);
  });
});

test('ISC dhclient has a lease of ours', async () => {
  await withGuest(async (guest, _, script) => {
    const conf = join(guest.folder, 'dhclient.conf');
    await writeFile(conf, 'request subnet-mask, routers, domain-name-servers, domain-name, domain-search, interface-mtu;\n');
    const client = guest.start('dhclient', [
      '-4',
      '-1',
      '-d',
      '-sf',
      script,
      '-cf',
      conf,
      '-lf',
      join(guest.folder, 'leases'),
      '-pf',
      join(guest.folder, 'pid'),
      guest.card,
    ]);
    await lineOf(client, /^bound to 10\.7\.0\.1\d\d/);
  });
});

test('dhcpcd has a lease of ours, after probing the address by ARP', async () => {
  await withGuest(async (guest, _, script) => {
    const mounts = 'for at in /var/lib/dhcpcd /run; do mkdir -p $at && mount -t tmpfs none $at || exit; done';
    await guest.exec('sh', ['-c', `${mounts}; exec dhcpcd -4 -1 -B -o domain_search -o interface_mtu -c $0 $1`, script, guest.card]);
  });
});

/** A stack without address, and a guest that serves. */
async function withServingGuest(serve: (guest: Guest) => Promise<void>, run: (guest: Guest) => Promise<void>, check: (address: string) => void): Promise<void> {
  await using stack = await createStack();
  const tap = await stack.interfaces.createTap();
  await using guest = await Guest.create(tap);
  await guest.exec('ip', ['addr', 'add', '10.8.0.1/24', 'dev', guest.card]);
  await serve(guest);
  await using dns = await createDns(stack);
  await using dhcp = await createDhcp(stack);
  const client = await dhcp.acquire({ interface: tap, hostname: 'netloom', resolver: dns.client });
  const binding = client.binding!;
  assert.deepEqual(
    [tap.addresses, binding.netmask, binding.routers, binding.dnsServers, binding.serverIdentifier],
    [[binding.cidr], '255.255.255.0', ['10.8.0.1'], ['10.8.0.1'], '10.8.0.1'],
  );
  assert.equal(stack.routes.lookup('192.0.2.1')?.gateway, '10.8.0.1');
  assert.match(binding.domainName ?? '', /^lan\.test$/);
  check(binding.ip);
  assert.match(await guest.exec('ping', ['-c', '1', '-W', '5', binding.ip]), / 0% packet loss/);
  const { expiresAt } = binding;
  client.renew();
  while (client.binding!.expiresAt === expiresAt) await new Promise((resolve) => setTimeout(resolve, 10));
  await run(guest);
  await client.release();
  assert.deepEqual(tap.addresses, []);
}

test('our client has a lease of dnsmasq, and its name servers', async () => {
  await withServingGuest(
    async (guest) => {
      const server = guest.start('dnsmasq', [
        '--no-daemon',
        '--conf-file=/dev/null',
        '--no-resolv',
        '--no-hosts',
        `--interface=${guest.card}`,
        '--bind-interfaces',
        '--dhcp-range=10.8.0.50,10.8.0.60,1h',
        '--domain=lan.test',
        '--dhcp-authoritative',
        '--no-ping',
        '--user=root',
        '--group=root',
        `--dhcp-leasefile=${join(guest.folder, 'leases')}`,
        '--log-dhcp',
      ]);
      await lineOf(server, /DHCP, IP range/);
    },
    async (guest) => {
      const leases = await readFile(join(guest.folder, 'leases'), 'utf8');
      assert.match(leases, / 10\.8\.0\.\d+ netloom 01:/);
    },
    (address) => assert.match(address, /^10\.8\.0\.(5\d|60)$/),
  );
});

test('our client has a lease of busybox udhcpd', async () => {
  await withServingGuest(
    async (guest) => {
      const conf = join(guest.folder, 'udhcpd.conf');
      const lines = [
        'start 10.8.0.70',
        'end 10.8.0.80',
        `interface ${guest.card}`,
        `lease_file ${join(guest.folder, 'leases')}`,
        `pidfile ${join(guest.folder, 'pid')}`,
        'opt dns 10.8.0.1',
        'opt subnet 255.255.255.0',
        'opt router 10.8.0.1',
        'opt domain lan.test',
        'opt lease 3600',
      ];
      await writeFile(conf, `${lines.join('\n')}\n`);
      await writeFile(join(guest.folder, 'leases'), '');
      await lineOf(guest.start('udhcpd', ['-f', conf]), /started/);
    },
    async () => {},
    (address) => assert.match(address, /^10\.8\.0\.(7\d|80)$/),
  );
});
