/**
 * What only a stack shows: IPv6 without the host's, missing routes, silent hosts, and the end of the stack itself.
 *
 * @module
 */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { createStack, patch } from '../../src/index.ts';
import { createDgram, createNet } from '../../src/node/index.ts';
import { createStacks, FAR } from './stacks.ts';

test('IPv6: net and dgram', async () => {
  const [near, far] = await Promise.all([createStack(), createStack()]);
  patch(await near.interfaces.createTap({ addresses: ['fd09::1/64'] }), await far.interfaces.createTap({ addresses: ['fd09::2/64'] }));
  const server = createNet(far.tcp).createServer((socket) => socket.end(`${socket.remoteFamily} ${socket.remoteAddress}`));
  server.listen({ port: 80, host: 'fd09::2' });
  await once(server, 'listening');
  deepEqual(server.address() as AddressInfo, { address: 'fd09::2', family: 'IPv6', port: 80 });
  equal(await text(createNet(near.tcp).connect(80, 'fd09::2')), 'IPv6 fd09::1');
  server.close();

  const echo = createDgram(far.udp).createSocket('udp6', (message, from) => echo.send(message, from.port, from.address));
  echo.bind(7);
  await once(echo, 'listening');
  deepEqual([echo.address().address, echo.address().family], ['::', 'IPv6']);
  const client = createDgram(near.udp).createSocket('udp6');
  client.send('question', 7, 'fd09::2');
  const [message, from] = await once(client, 'message');
  deepEqual([String(message), from.address, from.family, from.port], ['question', 'fd09::2', 'IPv6', 7]);
  client.close();
  echo.close();
  await Promise.all([near.close(), far.close()]);
});

test('a stack has neither sockets of the file system nor handles', async () => {
  const stack = await createStack();
  const net = createNet(stack.tcp);
  throws(() => net.connect({ path: '/run/socket' } as never), { code: 'ERR_INVALID_ARG_VALUE' });
  throws(() => net.connect('/run/socket'), { code: 'ERR_INVALID_ARG_VALUE' });
  throws(() => net.createServer().listen('/run/socket'), { code: 'ERR_INVALID_ARG_VALUE' });
  throws(() => net.createServer().listen({ fd: 3 } as never), { code: 'ERR_INVALID_ARG_VALUE' });
  throws(() => new net.Socket({ fd: 3 } as never), { code: 'ERR_INVALID_ARG_VALUE' });
  await stack.close();
});

test('no route, and nobody there', async () => {
  const stacks = await createStacks();
  const net = createNet(stacks.near.tcp);
  const [lost] = await once(net.connect(80, '203.0.113.1'), 'error');
  deepEqual([lost.code, lost.errno, lost.message], ['ENETUNREACH', -101, 'connect ENETUNREACH 203.0.113.1:80']);
  const [silent] = await once(net.connect(80, '10.9.0.77'), 'error');
  deepEqual([silent.code, silent.message], ['EHOSTUNREACH', 'connect EHOSTUNREACH 10.9.0.77:80']);
  const socket = createDgram(stacks.near.udp).createSocket('udp4');
  const error = await new Promise<NodeJS.ErrnoException>((done) => socket.send('x', 80, '203.0.113.1', (failure) => done(failure as Error)));
  deepEqual([error.code, error.message], ['ENETUNREACH', 'send ENETUNREACH 203.0.113.1:80']);
  socket.close();
  await stacks.close();
});

test('a stack that closes ends its sockets and servers', async () => {
  const stacks = await createStacks();
  const server = createNet(stacks.far.tcp).createServer().listen(80);
  await once(server, 'listening');
  const accepted = once(server, 'connection');
  const near = createNet(stacks.near.tcp).connect(80, FAR);
  const [[far]] = await Promise.all([accepted, once(near, 'connect')]);
  const socket = createDgram(stacks.far.udp).createSocket('udp4').bind(53);
  await once(socket, 'listening');
  const [failed, ended] = [once(far, 'error'), Promise.all([once(server, 'close'), once(socket, 'close')])];
  await stacks.far.close();
  equal((await failed)[0].code, 'ECONNABORTED');
  await ended;
  equal(server.listening, false);
  const [refused] = await once(createNet(stacks.far.tcp).connect(80, '127.0.0.1'), 'error');
  ok(refused.code, String(refused));
  near.destroy();
  await stacks.close();
});
