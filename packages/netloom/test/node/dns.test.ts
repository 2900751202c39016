/**
 * `createNodeDns` asks a name server of ours over two stacks; each answer is what `node:dns` gives for the same records.
 *
 * @module
 */
import { deepEqual, equal, rejects, throws } from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { createDns, DnsClient } from '../../src/dns/index.ts';
import type { DnsResponse } from '../../src/dns/index.ts';
import { createNet, createNodeDns } from '../../src/node/index.ts';
import { createStacks, FAR } from './stacks.ts';

const stacks = await createStacks();
const records: Record<string, DnsResponse[]> = {
  'guest.test A': [{ type: 'A', ip: FAR, ttl: 60 }],
  'guest.test AAAA': [{ type: 'AAAA', ip: 'fd00::7', ttl: 61 }],
  'guest.test MX': [{ type: 'MX', preference: 10, exchange: 'mail.test', ttl: 60 }],
  'guest.test NS': [{ type: 'NS', ns: 'ns.test', ttl: 60 }],
  'guest.test TXT': [{ type: 'TXT', value: 'hello world', ttl: 60 }],
  'guest.test SOA': [{ type: 'SOA', mname: 'ns.test', rname: 'root.test', serial: 1, refresh: 2, retry: 3, expire: 4, minimum: 5, ttl: 60 }],
  '_pg._tcp.test SRV': [{ type: 'SRV', priority: 1, weight: 2, port: 5432, target: 'guest.test', ttl: 60 }],
  'www.test CNAME': [{ type: 'CNAME', cname: 'guest.test', ttl: 60 }],
  '2.0.9.10.in-addr.arpa PTR': [{ type: 'PTR', ptr: 'guest.test', ttl: 60 }],
};
const server = await (await createDns(stacks.far.udp)).serve({ request: async ({ name, type }) => records[`${name} ${type}`] });
const client = new DnsClient(stacks.near, { nameServer: { ip: FAR } });
const dns = createNodeDns(client);
after(async () => {
  await client.close();
  await server.close();
  await stacks.close();
});

test('records, by promise', async () => {
  const { promises } = dns;
  deepEqual(await promises.resolve4('guest.test'), [FAR]);
  deepEqual(await promises.resolve('guest.test'), [FAR]);
  deepEqual(await promises.resolve('guest.test', 'AAAA'), ['fd00::7']);
  const [{ address, ttl }] = (await promises.resolve6('guest.test', { ttl: true })) as [{ address: string; ttl: number }];
  deepEqual([address, ttl > 0 && ttl <= 61], ['fd00::7', true]);
  deepEqual(await promises.resolveMx('guest.test'), [{ priority: 10, exchange: 'mail.test' }]);
  deepEqual(await promises.resolveNs('guest.test'), ['ns.test']);
  deepEqual(await promises.resolveTxt('guest.test'), [['hello world']]);
  deepEqual(await promises.resolveSoa('guest.test'), { nsname: 'ns.test', hostmaster: 'root.test', serial: 1, refresh: 2, retry: 3, expire: 4, minttl: 5 });
  deepEqual(await promises.resolveSrv('_pg._tcp.test'), [{ priority: 1, weight: 2, port: 5432, name: 'guest.test' }]);
  deepEqual(await promises.resolveCname('www.test'), ['guest.test']);
  deepEqual(await promises.resolvePtr('2.0.9.10.in-addr.arpa'), ['guest.test']);
  deepEqual(await promises.reverse(FAR), ['guest.test']);
});

test('lookup', async () => {
  deepEqual(await dns.promises.lookup('guest.test'), { address: FAR, family: 4 });
  deepEqual(await dns.promises.lookup('guest.test', 6), { address: 'fd00::7', family: 6 });
  deepEqual(await dns.promises.lookup('guest.test', { all: true, order: 'ipv6first' }), [
    { address: 'fd00::7', family: 6 },
    { address: FAR, family: 4 },
  ]);
  deepEqual(await dns.promises.lookup('127.0.0.1'), { address: '127.0.0.1', family: 4 });
});

test('by callback', async () => {
  deepEqual(await promisify(dns.resolveMx)('guest.test'), [{ priority: 10, exchange: 'mail.test' }]);
  const [error, address, family] = await new Promise<unknown[]>((done) => dns.lookup('guest.test', (...values) => done(values)));
  deepEqual([error, address, family], [null, FAR, 4]);
  const [failure] = await new Promise<unknown[]>((done) => dns.resolve4('absent.test', (...values) => done(values)));
  equal((failure as NodeJS.ErrnoException).code, 'ENOTFOUND');
  throws(() => dns.lookup('guest.test', undefined as never), { code: 'ERR_INVALID_ARG_TYPE' });
});

test('errors are those of Node', async () => {
  await rejects(dns.promises.lookup('absent.test'), {
    code: 'ENOTFOUND',
    errno: -3008,
    syscall: 'getaddrinfo',
    hostname: 'absent.test',
    message: 'getaddrinfo ENOTFOUND absent.test',
  });
  await rejects(dns.promises.resolve4('absent.test'), {
    code: 'ENOTFOUND',
    syscall: 'queryA',
    hostname: 'absent.test',
    message: 'queryA ENOTFOUND absent.test',
  });
  await rejects(dns.promises.reverse('no address'), { code: 'EINVAL' });
  await rejects(dns.promises.resolve('guest.test', 'NONE'), { code: 'ERR_INVALID_ARG_VALUE' });
  const silent = new DnsClient(stacks.near, { nameServer: { ip: '10.9.0.9' }, timeout: 50, attempts: 1 });
  await rejects(createNodeDns(silent).promises.lookup('guest.test'), { code: 'EAI_AGAIN', syscall: 'getaddrinfo' });
  await silent.close();
});

test('sockets look names up with it', async () => {
  const listener = createNet(stacks.far.tcp)
    .createServer((socket) => socket.end())
    .listen(8053);
  await once(listener, 'listening');
  const socket = createNet(stacks.near.tcp, { lookup: dns.lookup }).connect(8053, 'guest.test');
  const [[error, address, family, host]] = await Promise.all([once(socket, 'lookup'), once(socket, 'connect')]);
  deepEqual([error, address, family, host], [null, FAR, 4, 'guest.test']);
  socket.resume();
  await once(socket, 'close');
  const lost = createNet(stacks.near.tcp, { lookup: dns.lookup }).connect(8053, 'absent.test');
  equal((await once(lost, 'error'))[0].message, 'getaddrinfo ENOTFOUND absent.test');
  listener.close();
});

test('without a lookup, the stack finds names itself', async () => {
  const listener = createNet(stacks.far.tcp)
    .createServer((socket) => socket.end())
    .listen(8054);
  await once(listener, 'listening');
  const net = createNet(stacks.near.tcp);
  const socket = net.connect(8054, 'guest.test');
  const [[error, address, family, host]] = await Promise.all([once(socket, 'lookup'), once(socket, 'connect')]);
  deepEqual([error, address, family, host], [null, FAR, 4, 'guest.test']);
  socket.resume();
  await once(socket, 'close');
  const [failure] = await once(net.connect(8054, 'absent.test'), 'error');
  deepEqual([failure.code, failure.message, failure.hostname], ['ENOTFOUND', 'getaddrinfo ENOTFOUND absent.test', 'absent.test']);
  listener.close();
});
