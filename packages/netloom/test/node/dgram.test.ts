/**
 * `createDgram` beside `node:dgram`: every body runs on both.
 *
 * @module
 */
import { deepEqual, equal, ok, throws } from 'node:assert/strict';
import { once } from 'node:events';
import type { RemoteInfo, Socket } from 'node:dgram';
import { dgramTest } from './subjects.ts';
import type { DgramSubject } from './subjects.ts';

async function bound({ server, host }: DgramSubject): Promise<Socket> {
  const socket = server.createSocket('udp4').bind(0, host);
  await once(socket, 'listening');
  return socket;
}

async function closed(...sockets: Socket[]): Promise<void> {
  await Promise.all(sockets.map((socket) => new Promise<void>((done) => socket.close(done))));
}

dgramTest('sends in all forms', async (subject) => {
  const server = await bound(subject);
  const client = subject.client.createSocket({ type: 'udp4' });
  const { port } = server.address();
  const heard: string[] = [];
  const all = new Promise<void>((done) => server.on('message', (message) => (heard.push(String(message)), heard.length === 7 && done())));
  const sent = (send: (done: (error: Error | null, bytes: number) => void) => void) =>
    new Promise<number>((done, failed) => send((error, bytes) => (error ? failed(error) : done(bytes))));
  const bytes = Buffer.from('0123456789');
  equal(await sent((done) => client.send('text', port, subject.host, done)), 4);
  equal(await sent((done) => client.send(bytes, port, subject.host, done)), 10);
  equal(await sent((done) => client.send(bytes, 2, 3, port, subject.host, done)), 3);
  equal(await sent((done) => client.send(['a', Buffer.from('b'), new Uint8Array([99])], port, subject.host, done)), 3);
  equal(await sent((done) => client.send(new DataView(bytes.buffer, bytes.byteOffset, 2), port, subject.host, done)), 2);
  equal(await sent((done) => client.send('', port, subject.host, done)), 0);
  client.send('last', port, subject.host);
  await all;
  deepEqual(heard, ['text', '0123456789', '234', 'abc', '01', '', 'last']);
  await closed(client, server);
});

dgramTest('tells who sent', async (subject) => {
  const server = await bound(subject);
  const client = subject.client.createSocket('udp4');
  client.bind(0, subject.clientHost);
  await once(client, 'listening');
  client.send('question', server.address().port, subject.host);
  const [message, from] = (await once(server, 'message')) as [Buffer, RemoteInfo];
  deepEqual({ ...from }, { address: subject.clientHost, family: 'IPv4', port: client.address().port, size: 8 });
  server.send(message, from.port, from.address);
  equal(String((await once(client, 'message'))[0]), 'question');
  await closed(client, server);
});

dgramTest('connect: sends to one peer, hears from it alone', async (subject) => {
  const server = await bound(subject);
  const stranger = await bound(subject);
  const client = subject.client.createSocket('udp4');
  client.connect(server.address().port, subject.host);
  await once(client, 'connect');
  const peer = client.remoteAddress();
  deepEqual([peer.address, peer.family, peer.port], [subject.host, 'IPv4', server.address().port]);
  throws(() => client.connect(1, subject.host), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' });
  throws(() => client.send('x', 0, 1, 1, subject.host), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' });
  client.send('hello');
  const [, from] = (await once(server, 'message')) as [Buffer, RemoteInfo];
  const heard = once(client, 'message');
  await new Promise((done) => stranger.send('not for you', from.port, from.address, done));
  await new Promise((done) => server.send('answer', from.port, from.address, done));
  equal(String((await heard)[0]), 'answer');
  client.disconnect();
  throws(() => client.disconnect(), { code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' });
  throws(() => client.remoteAddress(), { code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' });
  await closed(client, server, stranger);
});

dgramTest('port in use', async (subject) => {
  const first = await bound(subject);
  const { port } = first.address();
  const second = subject.server.createSocket('udp4').bind(port, subject.host);
  const [error] = await once(second, 'error');
  equal(error.code, 'EADDRINUSE');
  equal(error.syscall, 'bind');
  equal(error.message, `bind EADDRINUSE ${subject.host}:${port}`);
  await closed(first, second);
});

dgramTest('a datagram too long', async (subject) => {
  const client = subject.client.createSocket('udp4');
  const error = await new Promise<NodeJS.ErrnoException>((done) => client.send(Buffer.alloc(65_508), 9, subject.host, (error) => done(error as Error)));
  equal(error.code, 'EMSGSIZE');
  equal(error.syscall, 'send');
  equal(error.message, `send EMSGSIZE ${subject.host}:9`);
  client.on('error', () => ok(false, 'what nobody asked for is not told'));
  client.send(Buffer.alloc(65_508), 9, subject.host);
  await closed(client);
});

dgramTest('states and arguments that are wrong', async (subject) => {
  const socket = subject.client.createSocket('udp4');
  throws(() => socket.address(), { code: 'EBADF' });
  throws(() => socket.send('x', 0, subject.host), { code: 'ERR_SOCKET_BAD_PORT' });
  throws(() => socket.send(1 as never, 1, subject.host), { code: 'ERR_INVALID_ARG_TYPE' });
  throws(() => socket.send('x', 1, 1 as never), { code: 'ERR_INVALID_ARG_TYPE' });
  throws(() => socket.send(Buffer.alloc(2), 1, 2, 9, subject.host), { code: 'ERR_BUFFER_OUT_OF_BOUNDS' });
  throws(() => subject.client.createSocket('tcp' as never), { code: 'ERR_SOCKET_BAD_TYPE' });
  socket.bind();
  throws(() => socket.bind(), { code: 'ERR_SOCKET_ALREADY_BOUND' });
  await once(socket, 'listening');
  equal(socket.address().address, '0.0.0.0');
  equal(socket.address().port > 0, true);
  socket.unref().ref();
  await closed(socket);
  throws(() => socket.close(), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' });
  throws(() => socket.send('x', 1, subject.host), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' });
  throws(() => socket.address(), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' });
});

dgramTest('broadcast has to be allowed', async (subject) => {
  const socket = subject.client.createSocket('udp4').bind(0);
  await once(socket, 'listening');
  const error = await new Promise<NodeJS.ErrnoException>((done) => socket.send('x', 9, '255.255.255.255', (error) => done(error as Error)));
  equal(error.code, 'EACCES');
  socket.setBroadcast(true);
  await closed(socket);
});

dgramTest('a signal closes', async ({ client }) => {
  const abort = new AbortController();
  const socket = client.createSocket({ type: 'udp4', signal: abort.signal });
  const end = once(socket, 'close');
  abort.abort();
  await end;
});
