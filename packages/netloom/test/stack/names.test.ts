import { createStack } from '../../src/index.ts';
import { createDns } from '../../src/dns/index.ts';
import { equal, rejects, test } from '../harness.ts';
import { B, pair } from './stacks.ts';

test('names in connect, listen, open, send and ping', async () => {
  await using stack = await createStack();
  const { serve } = await createDns(stack);
  await serve({ request: async ({ name, type }) => (name === 'example.com' && type === 'A' ? { type, ip: '127.0.0.1', ttl: 300 } : undefined) });
  const listener = await stack.tcp.listen({ host: 'example.com', port: 80 });
  equal(listener.address, '127.0.0.1');
  const connection = await stack.tcp.connect({ host: 'example.com', port: 80 });
  equal(connection.remoteAddress, '127.0.0.1');
  const socket = await stack.udp.open({ host: 'example.com', port: 7 });
  await socket.send({ host: 'example.com', port: 7, data: new Uint8Array([1]) });
  equal((await socket.receive())!.host, '127.0.0.1');
  const session = await stack.ping.createSession({ host: 'example.com' });
  equal((await session.ping()).host, '127.0.0.1');
  await rejects(stack.tcp.connect({ host: 'example.org', port: 80 }), { code: 'ENOTFOUND' });
  equal((await stack.tcp.connect({ host: 'localhost', port: 80 })).remoteAddress, '127.0.0.1');
});

test('the name server may be another stack', async () => {
  const { a, b, close } = await pair();
  const client = await createStack({ nameServer: { ip: B, port: 5353 } });
  const { serve } = await createDns(b.udp);
  await serve({ port: 5353, request: async ({ type }) => (type === 'A' ? { type, ip: '10.7.7.7', ttl: 1 } : undefined) });
  await a.close();
  const tap = await client.interfaces.createTap({ ip: '10.0.0.1/24' });
  const theirs = [...b.interfaces].at(-1)!;
  if (theirs.type !== 'tap') throw new Error('not a tap');
  tap.onFrames((frames) => theirs.send(frames));
  await b.interfaces.remove(theirs);
  const again = await b.interfaces.createTap({ ip: `${B}/24` });
  again.onFrames((frames) => tap.send(frames));
  tap.onFrames((frames) => again.send(frames));
  await rejects(client.tcp.connect({ host: 'printer.example', port: 80 }), { code: 'ENETUNREACH', message: /10\.7\.7\.7/ });
  await client.close();
  await close();
});
