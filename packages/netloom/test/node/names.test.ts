/**
 * DNS with the resolvers and servers that Linux machines have.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDns, type DnsResponse, type DnsServerOptions } from '../../src/dns/index.ts';
import { createStack } from '../../src/index.ts';
import { Guest, lineOf } from './guest.ts';

const OURS = '10.6.0.1';
const zone: Record<string, DnsResponse[]> = {
  'web.test': [
    { type: 'A', ip: '10.6.0.80', ttl: 60 },
    { type: 'A', ip: '10.6.0.81', ttl: 60 },
    { type: 'AAAA', ip: '2001:db8::80', ttl: 60 },
  ],
  'www.web.test': [
    { type: 'CNAME', cname: 'web.test', ttl: 60 },
    { name: 'web.test', type: 'A', ip: '10.6.0.80', ttl: 60 },
  ],
  test: [
    { type: 'NS', ns: 'ns.test', ttl: 60 },
    { type: 'MX', preference: 10, exchange: 'mail.test', ttl: 60 },
    { type: 'TXT', value: `v=spf1 ${'x'.repeat(300)}`, ttl: 60 },
    { type: 'CAA', flags: 0, tag: 'issue', value: 'ca.test', ttl: 60 },
    { type: 'SOA', mname: 'ns.test', rname: 'admin.test', serial: 7, refresh: 1, retry: 2, expire: 3, minimum: 4, ttl: 60 },
    { type: 'HTTPS', priority: 1, target: '', params: { alpn: ['h2'], port: 8443, ipv4hint: ['10.6.0.80'] }, ttl: 60 },
    { type: 'TYPE65280', data: Uint8Array.of(1, 2, 3), ttl: 60 },
  ],
  '_http._tcp.test': [{ type: 'SRV', priority: 1, weight: 2, port: 80, target: 'web.test', ttl: 60 }],
  '80.0.6.10.in-addr.arpa': [{ type: 'PTR', ptr: 'web.test', ttl: 60 }],
  'many.test': Array.from({ length: 400 }, (_, i) => ({ type: 'A', ip: `10.5.${i >> 8}.${i & 255}`, ttl: 60 }) as const),
};

const request: DnsServerOptions['request'] = ({ name, type }) => {
  if (name === 'broken.test') throw new Error('broken');
  return zone[name.toLowerCase()]?.filter((record) => type === 'ANY' || record.type === type || record.type === 'CNAME' || record.name !== undefined);
};

async function withGuest(run: (guest: Guest, dig: (...args: string[]) => Promise<string>) => Promise<void>): Promise<void> {
  await using stack = await createStack();
  const tap = await stack.interfaces.createTap({ ip: `${OURS}/24` });
  await using dns = await createDns(stack);
  await dns.serve({ request });
  await using guest = await Guest.create(tap, { resolvConf: `nameserver ${OURS}\nsearch test\n` });
  await guest.exec('ip', ['addr', 'add', '10.6.0.2/24', 'dev', guest.card]);
  await run(guest, (...args) => guest.exec('dig', [`@${OURS}`, '+tries=1', '+time=10', ...args]));
}

test('dig reads every type of record from our server', async () => {
  await withGuest(async (_, dig) => {
    const short = async (name: string, type: string): Promise<string[]> => (await dig('+short', name, type)).trim().split('\n');
    assert.deepEqual(await short('web.test', 'A'), ['10.6.0.80', '10.6.0.81']);
    assert.deepEqual(await short('web.test', 'AAAA'), ['2001:db8::80']);
    assert.deepEqual(await short('www.web.test', 'A'), ['web.test.', '10.6.0.80']);
    assert.deepEqual(await short('test', 'NS'), ['ns.test.']);
    assert.deepEqual(await short('test', 'MX'), ['10 mail.test.']);
    assert.deepEqual(await short('test', 'TXT'), [`"v=spf1 ${'x'.repeat(248)}" "${'x'.repeat(52)}"`]);
    assert.deepEqual(await short('test', 'CAA'), ['0 issue "ca.test"']);
    assert.deepEqual(await short('test', 'SOA'), ['ns.test. admin.test. 7 1 2 3 4']);
    assert.deepEqual(await short('test', 'HTTPS'), ['1 . alpn="h2" port=8443 ipv4hint=10.6.0.80']);
    assert.deepEqual(await short('test', 'TYPE65280'), ['\\# 3 010203']);
    assert.deepEqual(await short('_http._tcp.test', 'SRV'), ['1 2 80 web.test.']);
    assert.deepEqual(await short('-x', '10.6.0.80'), ['web.test.']);
    assert.match(await dig('test', 'ANY'), /ANSWER: 7/);
  });
});

test('dig has the outcome of what goes wrong, and no complaint about the form', async () => {
  await withGuest(async (_, dig) => {
    assert.match(await dig('absent.test'), /status: NXDOMAIN/);
    assert.match(await dig('broken.test'), /status: SERVFAIL/);
    assert.match(await dig('web.test', 'MX'), /status: NOERROR.*\n.*ANSWER: 0/);
    assert.match(await dig('web.test', 'A', '-c', 'CH'), /status: REFUSED/);
    assert.match(await dig('+edns=1', '+noednsneg', 'web.test'), /status: BADVERS/);
    assert.match(await dig('+opcode=STATUS', 'web.test'), /status: NOTIMP/);
    const whole = await dig('+noedns', 'web.test');
    assert.match(whole, /flags: qr rd ra/);
    assert.doesNotMatch(whole, /WARNING|malformed/i);
  });
});

test('an answer too large for a datagram reaches dig by TCP', async () => {
  await withGuest(async (_, dig) => {
    const cut = await dig('+ignore', '+bufsize=700', 'many.test');
    assert.match(cut, /flags: qr tc rd ra/);
    const whole = await dig('many.test');
    assert.match(whole, /Truncated, retrying in TCP mode/);
    assert.match(whole, /ANSWER: 400/);
    assert.match(await dig('+tcp', '+keepopen', 'web.test', 'A', 'web.test', 'AAAA'), /10\.6\.0\.81.*2001:db8::80/s);
  });
});

test("glibc's and busybox's resolvers have names of our server", async () => {
  await withGuest(async (guest) => {
    assert.match(await guest.exec('getent', ['ahosts', 'web']), /10\.6\.0\.80 +STREAM web\.test/);
    assert.match(await guest.exec('getent', ['hosts', '10.6.0.80']), /web\.test/);
    assert.match(await guest.exec('getent', ['ahostsv4', 'many.test']), /10\.5\.1\.143/);
    await assert.rejects(guest.exec('getent', ['ahosts', 'absent.test.']), { code: 2 });
    assert.match(await guest.exec('busybox', ['nslookup', 'web.test', OURS]), /Address: 10\.6\.0\.81/);
  });
});

test('our resolver has every type of record from dnsmasq', async () => {
  await using stack = await createStack();
  const tap = await stack.interfaces.createTap({ ip: '10.6.0.1/24' });
  await using guest = await Guest.create(tap);
  await guest.exec('ip', ['addr', 'add', '10.6.0.2/24', 'dev', guest.card]);
  const many = Array.from({ length: 100 }, (_, i) => `--host-record=many.test,10.5.0.${i}`);
  const server = guest.start('dnsmasq', [
    '--no-daemon',
    '--conf-file=/dev/null',
    '--no-resolv',
    '--no-hosts',
    '--user=root',
    '--group=root',
    '--local=/test/',
    '--local-ttl=60',
    '--log-queries',
    ...many,
    '--host-record=web.test,10.6.0.80,2001:db8::80',
    '--cname=www.test,web.test',
    '--mx-host=test,mail.test,10',
    '--txt-record=test,hello',
    '--srv-host=_http._tcp.test,web.test,80,1,2',
    '--caa-record=test,0,issue,ca.test',
    '--ptr-record=1.2.3.4.in-addr.arpa,four.test',
    '--dns-rr=raw.test,65280,010203',
    '--auth-ttl=60',
  ]);
  await lineOf(server, /started, version/);
  await using dns = await createDns(stack, { client: { nameServer: { ip: '10.6.0.2' }, search: ['test'] } });
  assert.equal(await dns.lookup('web'), '10.6.0.80');
  assert.deepEqual(await dns.lookupAll('www.test'), [
    { address: '10.6.0.80', family: 4 },
    { address: '2001:db8::80', family: 6 },
  ]);
  assert.equal(await dns.reverse('4.3.2.1'), 'four.test');
  assert.equal(await dns.reverse('2001:db8::80'), 'web.test');
  const only = async (name: string, type: 'MX' | 'TXT' | 'SRV' | 'CAA' | 'CNAME' | 'TYPE65280'): Promise<object> => {
    const { name: owner, ttl, class: klass, ...fields } = (await dns.query(name, type))[0]!;
    assert.deepEqual([owner, ttl <= 60, klass], [name, true, 'IN']);
    return fields;
  };
  assert.deepEqual(await only('test', 'MX'), { type: 'MX', preference: 10, exchange: 'mail.test' });
  assert.deepEqual(await only('test', 'TXT'), { type: 'TXT', value: 'hello' });
  assert.deepEqual(await only('test', 'CAA'), { type: 'CAA', flags: 0, tag: 'issue', value: 'ca.test' });
  assert.deepEqual(await only('_http._tcp.test', 'SRV'), { type: 'SRV', priority: 1, weight: 2, port: 80, target: 'web.test' });
  assert.deepEqual(await only('www.test', 'CNAME'), { type: 'CNAME', cname: 'web.test' });
  assert.deepEqual(await only('raw.test', 'TYPE65280'), { type: 'TYPE65280', data: Uint8Array.of(1, 2, 3) });
  assert.equal((await dns.query('many.test', 'A')).length, 100);
  await assert.rejects(dns.lookup('absent.test.'), { code: 'ENOTFOUND' });
});
