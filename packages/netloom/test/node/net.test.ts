/**
 * `createNet` beside `node:net`: every body runs on both, so what passes on Node's own is what is asked of ours.
 *
 * @module
 */
import { deepEqual, equal, match, ok, rejects, throws } from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { netTest } from './subjects.ts';
import type { NetSubject } from './subjects.ts';

const portOf = (server: Server) => (server.address() as AddressInfo).port;

async function listening({ server: { createServer } }: NetSubject, options: net.ServerOpts = {}, accept: (socket: Socket) => void = () => {}): Promise<Server> {
  const server = createServer(options, accept).listen(0);
  await once(server, 'listening');
  return server;
}

async function closed(server: Server): Promise<void> {
  server.close();
  await once(server, 'close');
}

/** All that comes; unlike an iteration, it leaves the socket open. */
async function heard(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (bytes) => (text += bytes));
  await once(socket, 'end');
  return text;
}

/** A connected pair of sockets. */
async function pair(subject: NetSubject, options: net.SocketConstructorOpts & net.ServerOpts = {}) {
  const server = await listening(subject, options);
  const accepted = once(server, 'connection');
  const near = subject.client.connect({ ...options, port: portOf(server), host: subject.host });
  const [[far]] = (await Promise.all([accepted, once(near, 'connect')])) as [[Socket], unknown];
  return { server, near, far };
}

netTest('echoes, and tells events in order', async (subject) => {
  const server = await listening(subject, {}, (socket) => socket.pipe(socket));
  const socket = new subject.client.Socket();
  const events: string[] = [];
  for (const event of ['lookup', 'connect', 'ready', 'end', 'finish', 'close']) socket.on(event, () => events.push(event));
  deepEqual(socket.address(), {});
  equal(socket.pending, true);
  socket.connect(portOf(server), subject.host);
  equal(socket.connecting, true);
  equal(socket.readyState, 'opening');
  socket.end('before the connection');
  equal(await text(socket), 'before the connection');
  await once(socket, 'close');
  deepEqual(events, ['connect', 'ready', 'finish', 'end', 'close']);
  equal(socket.bytesRead, 21);
  equal(socket.bytesWritten, 21);
  equal(socket.readyState, 'closed');
  await closed(server);
});

netTest('knows addresses', async (subject) => {
  const { server, near, far } = await pair(subject);
  equal(near.remotePort, portOf(server));
  equal(near.remoteAddress, subject.host);
  equal(near.remoteFamily, 'IPv4');
  equal(far.remotePort, near.localPort);
  const { address, family, port } = near.address() as AddressInfo;
  deepEqual([address, family, port], [near.localAddress, 'IPv4', near.localPort]);
  near.destroy();
  await closed(server);
});

netTest('refuses', async (subject) => {
  const server = await listening(subject);
  const port = portOf(server);
  await closed(server);
  const socket = subject.client.connect(port, subject.host);
  const events: unknown[] = [];
  socket.on('close', (hadError) => events.push(hadError));
  const [error] = await once(socket, 'error');
  equal(error.code, 'ECONNREFUSED');
  equal(error.errno, -111);
  equal(error.syscall, 'connect');
  equal(error.address, subject.host);
  equal(error.port, port);
  equal(error.message, `connect ECONNREFUSED ${subject.host}:${port}`);
  if (events.length === 0) await once(socket, 'close');
  deepEqual(events, [true]);
  equal(socket.destroyed, true);
  equal(socket.connecting, false);
});

netTest('port in use', async (subject) => {
  const { createServer } = subject.server;
  const first = createServer().listen(0, subject.host);
  await once(first, 'listening');
  const port = portOf(first);
  const [error] = await once(createServer().listen(port, subject.host), 'error');
  equal(error.code, 'EADDRINUSE');
  equal(error.syscall, 'listen');
  equal(error.message, `listen EADDRINUSE: address already in use ${subject.host}:${port}`);
  await closed(first);
});

netTest('an address that is not its own', async (subject) => {
  const [error] = await once(subject.server.createServer().listen(80, '203.0.113.9'), 'error');
  equal(error.code, 'EADDRNOTAVAIL');
  equal(error.message, 'listen EADDRNOTAVAIL: address not available 203.0.113.9:80');
  const [refusal] = await once(subject.client.connect({ port: 80, host: subject.host, localAddress: '203.0.113.9' }), 'error');
  equal(refusal.code, 'EADDRNOTAVAIL');
  match(refusal.message, /EADDRNOTAVAIL/);
});

netTest('localPort is taken', async (subject) => {
  const free = await listening(subject);
  const localPort = portOf(free);
  await closed(free);
  const server = await listening(subject);
  const socket = subject.client.connect({ port: portOf(server), host: subject.host, localPort });
  await once(socket, 'connect');
  equal(socket.localPort, localPort);
  socket.destroy();
  await closed(server);
});

netTest('half-close: the other side answers after the end', async (subject) => {
  const server = await listening(subject, { allowHalfOpen: true }, async (socket) => {
    socket.end(`got ${await heard(socket)}`);
  });
  const socket = subject.client.connect({ port: portOf(server), host: subject.host, allowHalfOpen: true });
  socket.end('all');
  equal(await text(socket), 'got all');
  await once(socket, 'close');
  await closed(server);
});

netTest('without allowHalfOpen, ends when the peer does', async (subject) => {
  const { server, near, far } = await pair(subject);
  far.end();
  far.resume();
  near.resume();
  await Promise.all([once(near, 'close'), once(far, 'close')]);
  equal(near.writableFinished, true);
  await closed(server);
});

netTest('writing after the peer ended is EPIPE', async (subject) => {
  const { server, near, far } = await pair(subject);
  far.end();
  far.resume();
  near.resume();
  const failure = once(near, 'error');
  // Its own end follows in the next tick.
  near.on('end', () => process.nextTick(() => process.nextTick(() => near.write('late'))));
  const [error] = await failure;
  equal(error.code, 'EPIPE');
  equal(error.message, 'This socket has been ended by the other party');
  await closed(server);
});

netTest('resetAndDestroy resets', async (subject) => {
  const { server, near, far } = await pair(subject);
  near.on('error', () => {});
  const failure = once(far, 'error');
  equal(near.resetAndDestroy(), near);
  const [error] = await failure;
  equal(error.code, 'ECONNRESET');
  equal(error.syscall, 'read');
  equal(error.message, 'read ECONNRESET');
  await closed(server);
});

netTest('destroy while connecting leaves nothing behind', async (subject) => {
  const server = await listening(subject, {}, (socket) => socket.resume());
  const socket = subject.client.connect(portOf(server), subject.host);
  let connected = false;
  socket.on('connect', () => (connected = true));
  socket.destroy();
  const [hadError] = await once(socket, 'close');
  equal(hadError, false);
  equal(connected, false);
  await closed(server);
});

netTest('destroy with an error emits it', async (subject) => {
  const { server, near, far } = await pair(subject);
  far.resume();
  const events: unknown[] = [];
  near.on('error', (error) => events.push(error.message)).on('close', (hadError) => events.push(hadError));
  near.destroy(new Error('enough'));
  await once(near, 'close').catch(() => once(near, 'close'));
  deepEqual(events, ['enough', true]);
  await closed(server);
});

netTest('connects again after it was closed', async (subject) => {
  const server = await listening(subject, {}, (socket) => socket.end('once'));
  const socket = new subject.client.Socket();
  for (let round = 0; round < 2; round += 1) {
    let heard = '';
    const hear = (bytes: Buffer) => (heard += bytes);
    socket.on('data', hear);
    socket.connect(portOf(server), subject.host);
    await once(socket, 'close');
    socket.off('data', hear);
    equal(heard, 'once');
    equal(socket.bytesRead, 4);
  }
  await closed(server);
});

netTest('backpressure: a stopped reader stops the writer, and nothing is lost', async (subject) => {
  const { server, near, far } = await pair(subject);
  const piece = Buffer.alloc(65_536, 'x');
  far.pause();
  let sent = 0;
  while (near.write(piece)) sent += piece.length;
  sent += piece.length;
  equal(near.writableNeedDrain, true);
  const goal = 24 << 20;
  const all = (async () => {
    for (; sent < goal; sent += piece.length) if (!near.write(piece)) await once(near, 'drain');
    near.end();
  })();
  let received = 0;
  for await (const bytes of far) received += (bytes as Buffer).length;
  await all;
  equal(received, sent);
  equal(far.bytesRead, sent);
  await closed(server);
});

netTest('carries bytes unchanged both ways at once', async (subject) => {
  const { server, near, far } = await pair(subject, { allowHalfOpen: true });
  const stretch = (seed: number) => Array.from({ length: 200 }, (_, index) => Buffer.alloc(1 + ((index * 7919) % 30_000), seed + index));
  const receive = async (socket: Socket) => {
    const pieces: Buffer[] = [];
    await pipeline(socket, new Writable({ write: (bytes, _, done) => (pieces.push(bytes), done()) }));
    return Buffer.concat(pieces);
  };
  const [atNear, atFar] = await Promise.all([receive(near), receive(far), pipeline(Readable.from(stretch(1)), near), pipeline(Readable.from(stretch(2)), far)]);
  ok(atFar.equals(Buffer.concat(stretch(1))));
  ok(atNear.equals(Buffer.concat(stretch(2))));
  await closed(server);
});

netTest('timeout tells of idleness and leaves the socket open', async (subject) => {
  const { server, near, far } = await pair(subject);
  let told = 0;
  equal(
    near.setTimeout(20, () => (told += 1)),
    near,
  );
  equal(near.timeout, 20);
  await once(near, 'timeout');
  equal(told, 1);
  equal(near.destroyed, false);
  near.setTimeout(0);
  throws(() => near.setTimeout(-1), { code: 'ERR_OUT_OF_RANGE' });
  throws(() => near.setTimeout('1' as never), { code: 'ERR_INVALID_ARG_TYPE' });
  far.resume();
  near.end();
  near.resume();
  await closed(server);
});

netTest('lookup: the function is asked, and its answer told', async (subject) => {
  const server = await listening(subject, {}, (socket) => socket.end());
  const lookup = ((_name: string, { all }: { all?: boolean }, done: (...values: unknown[]) => void) =>
    setImmediate(() => (all ? done(null, [{ address: subject.host, family: 4 }]) : done(null, subject.host, 4)))) as net.LookupFunction;
  const socket = subject.client.connect({ port: portOf(server), host: 'guest.test', lookup });
  const [error, address, family, host] = (await Promise.all([once(socket, 'lookup'), once(socket, 'connect')]))[0];
  deepEqual([error, address, family, host], [null, subject.host, 4, 'guest.test']);
  socket.resume();
  await once(socket, 'close');
  await closed(server);
});

netTest('lookup: its error ends the connect', async (subject) => {
  const refusal = Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
  const socket = subject.client.connect({
    port: 1,
    host: 'guest.test',
    lookup: ((_name: string, _options: object, done: (error: Error) => void) => done(refusal)) as never,
  });
  equal((await once(socket, 'error'))[0], refusal);
});

netTest('onread: bytes come in the buffer of the caller', async (subject) => {
  const server = await listening(subject, {}, (socket) => socket.end('twelve bytes'));
  const buffer = Buffer.alloc(5);
  let heard = '';
  const socket = subject.client.connect({
    port: portOf(server),
    host: subject.host,
    onread: {
      buffer,
      callback(count, bytes) {
        equal(bytes, buffer);
        heard += Buffer.from(bytes.subarray(0, count)).toString();
        return true;
      },
    },
  });
  socket.on('data', () => ok(false, 'no data events with onread'));
  await once(socket, 'end');
  equal(heard, 'twelve bytes');
  equal(socket.bytesRead, 12);
  await closed(server);
});

netTest('onread: false holds back until resume', async (subject) => {
  const server = await listening(subject, {}, (socket) => socket.end('abcdef'));
  const heard: string[] = [];
  const socket: Socket = subject.client.connect({
    port: portOf(server),
    host: subject.host,
    onread: {
      buffer: Buffer.alloc(3),
      callback(count, bytes) {
        heard.push(Buffer.from(bytes.subarray(0, count)).toString());
        if (heard.length === 1) setImmediate(() => socket.resume());
        return heard.length !== 1;
      },
    },
  });
  await once(socket, 'end');
  deepEqual(heard, ['abc', 'def']);
  await closed(server);
});

netTest('server: maxConnections drops the rest', async (subject) => {
  const server = await listening(subject);
  server.maxConnections = 1;
  const first = subject.client.connect(portOf(server), subject.host);
  const [held] = (await once(server, 'connection')) as [Socket];
  equal(await new Promise((done) => server.getConnections((_, count) => done(count))), 1);
  const second = subject.client
    .connect(portOf(server), subject.host)
    .on('error', () => {})
    .resume();
  const [[drop]] = await Promise.all([once(server, 'drop'), once(second, 'close')]);
  equal(drop.remotePort > 0, true);
  equal(drop.localPort, portOf(server));
  first.destroy();
  held.destroy();
  await closed(server);
});

netTest('server: close waits for the connections', async (subject) => {
  const { server, near, far } = await pair(subject);
  const done = new Promise<Error | undefined>((done) => server.close(done));
  equal(server.listening, false);
  equal(server.address(), null);
  near.end();
  near.resume();
  far.resume();
  equal(await done, undefined);
  equal(far.destroyed, true);
  const [error] = await new Promise<unknown[]>((done) => server.close((...values) => done(values)));
  equal((error as NodeJS.ErrnoException).code, 'ERR_SERVER_NOT_RUNNING');
});

netTest('server: pauseOnConnect', async (subject) => {
  const { server, near, far } = await pair(subject, { pauseOnConnect: true });
  equal(far.isPaused(), true);
  near.end('later');
  equal(await text(far), 'later');
  await closed(server);
});

netTest('server: listens once at a time, and a signal closes it', async (subject) => {
  const server = await listening(subject);
  throws(() => server.listen(0), { code: 'ERR_SERVER_ALREADY_LISTEN' });
  await closed(server);
  const abort = new AbortController();
  const other = subject.server.createServer().listen({ port: 0, signal: abort.signal });
  await once(other, 'listening');
  abort.abort();
  await once(other, 'close');
  equal(other.listening, false);
});

netTest('server: blockList', async (subject) => {
  if (subject.client === net) return; // Node has it from 22.13 on.
  const blockList = new subject.server.BlockList();
  blockList.addSubnet('0.0.0.0', 0);
  const server = await listening(subject, { blockList } as net.ServerOpts);
  const socket = subject.client
    .connect(portOf(server), subject.host)
    .on('error', () => {})
    .resume();
  await Promise.all([once(server, 'drop'), once(socket, 'close')]);
  await closed(server);
});

netTest('a signal destroys a socket', async (subject) => {
  const { server, near, far } = await pair(subject);
  far.resume().on('error', () => {});
  near.destroy();
  await closed(server);
  const abort = new AbortController();
  const socket = new subject.client.Socket({ signal: abort.signal });
  abort.abort();
  const [error] = await once(socket, 'error');
  equal(error.name, 'AbortError');
});

netTest('arguments that are wrong', async ({ client, server: { createServer } }) => {
  throws(() => client.connect({} as never), { code: 'ERR_MISSING_ARGS' });
  throws(() => client.connect(65_536, 'x'), { code: 'ERR_SOCKET_BAD_PORT', name: 'RangeError' });
  throws(() => client.connect(-1, 'x'), { code: 'ERR_SOCKET_BAD_PORT' });
  throws(() => client.connect({ port: true } as never), { code: 'ERR_INVALID_ARG_TYPE' });
  throws(() => client.connect({ port: 1, host: 'x', lookup: 1 } as never), { code: 'ERR_INVALID_ARG_TYPE' });
  throws(() => createServer().listen(65_536), { code: 'ERR_SOCKET_BAD_PORT' });
  throws(() => createServer().listen({} as never), { code: 'ERR_INVALID_ARG_VALUE' });
  const socket = new client.Socket();
  const failed = new Promise<NodeJS.ErrnoException>((done) => socket.write('x', (error) => done(error as Error)));
  socket.on('error', () => {});
  equal((await failed).code, 'ERR_SOCKET_CLOSED');
  equal(client.isIP('::1') + client.isIP('10.0.0.1') + client.isIP('x'), 10);
});

netTest('what a listener throws is an uncaught exception', async (subject) => {
  const { server, near, far } = await pair(subject);
  const mistake = new Error('of the application');
  const caught = new Promise((done) => process.setUncaughtExceptionCaptureCallback(done));
  near.on('data', () => {
    throw mistake;
  });
  far.write('x');
  equal(await caught, mistake);
  process.setUncaughtExceptionCaptureCallback(null);
  near.destroy();
  far.on('error', () => {}).destroy();
  await closed(server);
});

netTest('a hundred connections at once', async (subject) => {
  const server = await listening(subject, {}, (socket) => socket.pipe(socket));
  const answers = await Promise.all(
    Array.from({ length: 100 }, async (_, index) => {
      const socket = subject.client.connect(portOf(server), subject.host);
      socket.end(`number ${index}`);
      return text(socket);
    }),
  );
  deepEqual(
    answers,
    Array.from({ length: 100 }, (_, index) => `number ${index}`),
  );
  await closed(server);
});

netTest('an open socket keeps no lookup, timer or listener of its own after close', async (subject) => {
  const { server, near, far } = await pair(subject);
  near.unref().ref();
  server.unref().ref();
  near.setNoDelay().setNoDelay(false).setKeepAlive(true, 5000).setKeepAlive();
  far.resume();
  near.resume();
  near.destroySoon();
  await once(near, 'close');
  await closed(server);
  await rejects(once(near, 'connect', { signal: AbortSignal.abort() }));
  match(near.readyState, /closed/);
});
