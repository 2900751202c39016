import { createStack, patch, type NetworkStack } from '../../src/index.ts';
import { deepEqual, equal, rejects, test, throws } from '../harness.ts';
import { turn } from './stacks.ts';

/** A client at 10.1.0.2 and a server at 10.2.0.2, with a router between. */
async function routed({
  masquerade = false,
  forwarding = true,
} = {}): Promise<{ client: NetworkStack; router: NetworkStack; server: NetworkStack; close(): Promise<void> }> {
  const [client, router, server] = await Promise.all([createStack(), createStack({ forwarding }), createStack()]);
  patch(await client.interfaces.createTap({ ip: '10.1.0.2/24' }), await router.interfaces.createTap({ ip: '10.1.0.1/24' }));
  patch(await server.interfaces.createTap({ ip: '10.2.0.2/24' }), await router.interfaces.createTap({ ip: '10.2.0.1/24', masquerade }));
  client.routes.add({ destination: '0.0.0.0/0', via: '10.1.0.1' });
  if (!masquerade) server.routes.add({ destination: '10.1.0.0/24', via: '10.2.0.1' });
  const close = async () => {
    await Promise.all([client.close(), router.close(), server.close()]);
  };
  return { client, router, server, close };
}

test('routes are listed, looked up, added and removed', async () => {
  await using stack = await createStack({ initializeLoopback: false });
  const tap = await stack.interfaces.createTap({ ip: '10.0.0.2/24', addresses: ['fd00::2/64'] });
  const tun = await stack.interfaces.createTun();
  stack.routes.add({ destination: '0.0.0.0/0', via: '10.0.0.1' });
  stack.routes.add({ destination: '192.168.7.7/16', via: tun });
  stack.routes.add({ destination: '::/0', via: 'fd00::1' });
  deepEqual(
    stack.routes.list().map(({ destination, gateway, source, via }) => [destination, gateway, source, via.name]),
    [
      ['10.0.0.0/24', undefined, 'connected', 'tap0'],
      ['fd00::/64', undefined, 'connected', 'tap0'],
      ['0.0.0.0/0', '10.0.0.1', 'static', 'tap0'],
      ['192.168.0.0/16', undefined, 'static', 'tun0'],
      ['::/0', 'fd00::1', 'static', 'tap0'],
    ].sort((one, two) => order(stack, one[0]!) - order(stack, two[0]!)),
  );
  equal(stack.routes.lookup('192.168.1.1')!.via, tun);
  equal(stack.routes.lookup('10.0.0.77')!.via, tap);
  equal(stack.routes.lookup('8.8.8.8')!.gateway, '10.0.0.1');
  equal(stack.routes.lookup('2001:db8::1')!.gateway, 'fd00::1');
  equal(stack.routes.remove({ destination: '0.0.0.0/0', via: '10.0.0.1' }), true);
  equal(stack.routes.remove({ destination: '0.0.0.0/0', via: '10.0.0.1' }), false);
  equal(stack.routes.lookup('8.8.8.8'), null);
  equal([...stack.routes].length, 4);
});

const order = (stack: NetworkStack, destination: string) => stack.routes.list().findIndex((route) => route.destination === destination);

test('routes that make no sense are refused', async () => {
  await using stack = await createStack();
  const tap = await stack.interfaces.createTap({ ip: '10.0.0.2/24' });
  throws(() => stack.routes.add({ destination: '0.0.0.0/0', via: '192.168.0.1' }), { code: 'ENETUNREACH' });
  throws(() => stack.routes.add({ destination: '0.0.0.0/0', via: '192.168.0.1', interface: tap }), { code: 'ENETUNREACH' });
  throws(() => stack.routes.add({ destination: '0.0.0.0/0' }), { code: 'EINVAL' });
  throws(() => stack.routes.add({ destination: 'everywhere', via: '10.0.0.1' }), { code: 'EINVAL' });
  throws(() => stack.routes.lookup('nowhere'), { code: 'EINVAL' });
});

test('the longest prefix wins', async () => {
  await using stack = await createStack();
  const [wide, narrow] = [await stack.interfaces.createTun({ ip: '10.0.0.1/24' }), await stack.interfaces.createTun({ ip: '10.1.0.1/24' })];
  stack.routes.add({ destination: '0.0.0.0/0', via: wide });
  stack.routes.add({ destination: '192.168.0.0/16', via: narrow });
  const [first, second] = [wide.readable.getReader(), narrow.readable.getReader()];
  const socket = await stack.udp.open();
  await socket.send({ host: '203.0.113.10', port: 1, data: new Uint8Array([1]) });
  await socket.send({ host: '192.168.20.30', port: 1, data: new Uint8Array([2]) });
  deepEqual([...(await first.read()).value!.slice(16, 20)], [203, 0, 113, 10]);
  deepEqual([...(await second.read()).value!.slice(16, 20)], [192, 168, 20, 30]);
});

test('a router forwards', async () => {
  const { client, server, close } = await routed();
  const listener = await server.tcp.listen({ port: 80 });
  const [connection, accepted] = await Promise.all([client.tcp.connect({ host: '10.2.0.2', port: 80 }), listener.accept()]);
  equal(accepted!.remoteAddress, '10.1.0.2');
  await connection.write(new Uint8Array(100_000));
  let count = 0;
  while (count < 100_000) count += await accepted!.readInto(new Uint8Array(65_536));
  const session = await client.ping.createSession({ host: '10.2.0.2' });
  equal((await session.ping()).host, '10.2.0.2');
  await close();
});

test('a router that masquerades lends its address, for TCP, UDP and ping', async () => {
  const { client, server, close } = await routed({ masquerade: true });
  const listener = await server.tcp.listen({ port: 80 });
  const [connection, accepted] = await Promise.all([client.tcp.connect({ host: '10.2.0.2', port: 80 }), listener.accept()]);
  equal(accepted!.remoteAddress, '10.2.0.1');
  await accepted!.write(new Uint8Array([1, 2, 3]));
  equal(await connection.readInto(new Uint8Array(9)), 3);
  const echo = await server.udp.open({ port: 7 });
  const socket = await client.udp.open();
  await socket.send({ host: '10.2.0.2', port: 7, data: new Uint8Array([1]) });
  const question = (await echo.receive())!;
  equal(question.host, '10.2.0.1');
  await echo.send(question);
  equal((await socket.receive())!.host, '10.2.0.2');
  const session = await client.ping.createSession({ host: '10.2.0.2' });
  equal((await session.ping()).host, '10.2.0.2');
  await close();
});

test('a stack that does not forward is no router', async () => {
  const { client, router, close } = await routed({ forwarding: false });
  await rejects(client.tcp.connect({ host: '10.2.0.2', port: 80, timeout: 50 }), {});
  await turn();
  equal([...router.interfaces].at(-1)!.stats().framesSent, 0);
  await close();
});

test('a router without a way says so', async () => {
  const { client, close } = await routed();
  await rejects(client.tcp.connect({ host: '198.51.100.1', port: 80 }), { code: 'EHOSTUNREACH' });
  await close();
});
