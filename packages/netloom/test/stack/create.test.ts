import { createStack, NetworkError, NetworkStack } from '../../src/index.ts';
import { loadModule } from '../../src/engine/module.ts';
import { deepEqual, equal, ok, rejects, test, throws } from '../harness.ts';
import { looped, until } from './stacks.ts';

test('a stack begins with a loopback interface', async () => {
  await using stack = await createStack();
  ok(stack instanceof NetworkStack);
  await stack.ready;
  const [loopback, ...others] = stack.interfaces;
  equal(others.length, 0);
  deepEqual([loopback!.type, loopback!.name, loopback!.ip, loopback!.netmask, loopback!.mtu], ['loopback', 'lo0', '127.0.0.1', '255.0.0.0', 65_535]);
  deepEqual(loopback!.addresses, ['127.0.0.1/8', '::1/128']);
});

test('a stack without loopback has no interface', async () => {
  await using stack = await createStack({ initializeLoopback: false });
  deepEqual([...stack.interfaces], []);
});

test('options out of range are refused', async () => {
  await rejects(createStack({ bufferSize: 1 }), { code: 'EINVAL', message: /bufferSize must be/ });
});

test('the module may be given compiled, as bytes, or as a response', async () => {
  const module = await loadModule();
  equal(await loadModule(), module, 'compiled once');
  for (const wasm of [module]) {
    await using stack = await createStack({ wasm });
    equal([...stack.interfaces].length, 1);
  }
  await rejects(createStack({ wasm: new Uint8Array([1, 2, 3]) }), { name: 'CompileError' });
  await rejects(createStack({ wasm: new Response('', { status: 404 }) }), { name: 'TypeError', message: /did not load: 404/ });
});

test('the module imports nothing', async () => {
  deepEqual(WebAssembly.Module.imports(await loadModule()), []);
});

test('stats tell of connections, drops, memory and interfaces', async () => {
  const { stack, client } = await looped();
  client.reset();
  await rejects(stack.tcp.connect({ host: '127.0.0.1', port: 9 }), { code: 'ECONNREFUSED' });
  await until(() => stack.stats().connections === 0);
  const { memoryBytes, drops, interfaces } = stack.stats();
  ok(memoryBytes > 65_536);
  ok(drops['tcp_no_flow']! >= 1, JSON.stringify(drops));
  ok(interfaces['lo0']!.framesSent >= 5);
  ok(interfaces['lo0']!.bytesReceived > 100);
  await stack.close();
});

test('closing a stack settles everything that waits, and later calls reject', async () => {
  const { stack, listener, client, server } = await looped();
  const socket = await stack.udp.open();
  const session = await stack.ping.createSession({ host: '127.0.0.1' });
  const tap = await stack.interfaces.createTap({ ip: '10.0.0.1/24' });
  const read = client.readInto(new Uint8Array(1));
  const received = socket.receive();
  const accepted = listener.accept();
  const connecting = stack.tcp.connect({ host: '10.0.0.9', port: 1 });
  const iterated = (async () => {
    for await (const _ of tap.listen());
  })();
  const settled = Promise.allSettled([read, received, accepted, connecting, iterated, client.closed, server.closed]);
  await stack.close();
  await stack.close();
  const codes = (await settled).map((result) => (result.status === 'rejected' ? (result.reason as NetworkError).code : result.value));
  deepEqual(codes, ['ECONNABORTED', undefined, undefined, 'ECONNABORTED', undefined, 'ECONNABORTED', 'ECONNABORTED']);
  const about = { code: 'ECONNABORTED', message: 'the stack was closed' };
  await rejects(stack.tcp.connect({ host: '127.0.0.1', port: 80 }), about);
  await rejects(stack.tcp.listen({ port: 80 }), about);
  await rejects(stack.udp.open(), about);
  await rejects(stack.ping.createSession({ host: '127.0.0.1' }), about);
  await rejects(session.ping(), about);
  await rejects(stack.interfaces.createTap(), about);
  await rejects(client.write(new Uint8Array(1)), about);
  throws(() => stack.routes.add({ destination: '0.0.0.0/0', via: tap }), about);
  equal(stack.stats().connections, 0);
});
