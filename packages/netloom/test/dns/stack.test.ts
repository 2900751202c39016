import { createDns, DnsClient, DnsServer } from '../../src/dns/index.ts';
import { createStack, patch } from '../../src/index.ts';
import { deepEqual, equal, rejects, test } from '../harness.ts';

test('names are resolved over loopback, by the stack itself too', async () => {
  const stack = await createStack();
  const { serve, lookup, reverse, close } = await createDns(stack);
  await serve({
    request: async ({ name, type }) => {
      if (type === 'PTR') return { type, ptr: 'example.com', ttl: 300 };
      return name === 'example.com' && type === 'A' ? { type, ip: '127.0.0.1', ttl: 300 } : undefined;
    },
  });
  equal(await lookup('example.com'), '127.0.0.1');
  equal(await reverse('10.0.0.1'), 'example.com');
  equal(await reverse('2001:db8::1'), 'example.com');
  const listener = await stack.tcp.listen({ port: 80 });
  const connection = await stack.tcp.connect({ host: 'example.com', port: 80 });
  equal(connection.remoteAddress, '127.0.0.1');
  await rejects(stack.tcp.connect({ host: 'absent.example', port: 80 }), { code: 'ENOTFOUND' });
  await connection.close();
  await listener.close();
  await close();
  await stack.close();
});

test('without a name server a lookup fails', async () => {
  const stack = await createStack();
  const client = new DnsClient(stack, { timeout: 50 });
  await rejects(client.lookup('x.test'), { code: 'ETIMEDOUT' });
  await client.close();
  await stack.close();
});

test('thousands of lookups leave no socket, and an answer that does not fit comes by TCP', async () => {
  const [near, far] = [await createStack(), await createStack()];
  const cable = patch(await near.interfaces.createTap({ ip: '10.0.0.1/24' }), await far.interfaces.createTap({ ip: '10.0.0.2/24' }));
  const answers = Array.from({ length: 500 }, (_, i) => ({ type: 'A', ip: `10.1.${i >> 8}.${i & 255}`, ttl: 0 }) as const);
  const server = new DnsServer(far, { request: ({ name, type }) => (type !== 'A' ? [] : name === 'large.test' ? answers : { type, ip: '10.0.0.3', ttl: 0 }) });
  await server.listen();
  const client = new DnsClient(near, { nameServer: { ip: '10.0.0.2' }, cacheSize: 0 });
  for (let round = 0; round < 20; round++) {
    const names = Array.from({ length: 100 }, (_, i) => `n${i}.test`);
    deepEqual(new Set(await Promise.all(names.map((name) => client.lookup(name)))), new Set(['10.0.0.3']));
  }
  equal((await client.query('large.test', 'A')).length, 500);
  await client.close();
  await server.close();
  cable.close();
  await Promise.all([near.close(), far.close()]);
});

test('a name server may have an IPv6 address, written in any way', async () => {
  const [near, far] = [await createStack(), await createStack()];
  const cable = patch(await near.interfaces.createTap({ ip: 'fd00::1/64' }), await far.interfaces.createTap({ ip: 'fd00::2/64' }));
  const server = new DnsServer(far, {
    request: ({ type }) => (type === 'AAAA' ? Array.from({ length: 100 }, (_, i) => ({ type, ip: `fd00::${i + 1}`, ttl: 0 })) : []),
  });
  await server.listen();
  const client = new DnsClient(near, { nameServer: { ip: 'FD00:0::0:2' } });
  equal(await client.lookup('six.test'), 'fd00::1');
  equal((await client.query('six.test', 'AAAA')).length, 100);
  await Promise.all([client.close(), server.close()]);
  cable.close();
  await Promise.all([near.close(), far.close()]);
});
