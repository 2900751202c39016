import { createHttp, upgrade, upgradeWebSocket, WebSocketConnection, type WebSocketOptions } from '../../src/http/index.ts';
import { acceptKey } from '../../src/http/websocket/accept.ts';
import { encodeFrame } from '../../src/http/websocket/frames.ts';
import { deepEqual, equal, ok, rejects, test, throws } from '../harness.ts';
import { MemoryNetwork } from './memory.ts';
import { bytesOf, Peer, textOf } from './peer.ts';

/** Two ends of a WebSocket, as streams. */
async function pair(options: { maxMessageSize?: number } = {}) {
  const network = new MemoryNetwork();
  const { serve, openWebSocket } = await createHttp(network);
  let served!: (connection: Promise<WebSocketConnection>) => void;
  const accepted = new Promise<WebSocketConnection>((resolve) => (served = resolve));
  await serve((request) => {
    const { response, connection } = upgradeWebSocket(request, options);
    served(connection);
    return response;
  });
  const client = await openWebSocket('ws://a/', options);
  return { client, server: await accepted, network };
}

/** A WebSocket whose other end sends bytes by hand. */
async function byHand(options: WebSocketOptions = {}) {
  const network = new MemoryNetwork();
  const listener = await network.listen({ port: 80 });
  const { openWebSocket } = await createHttp(network);
  const opening = openWebSocket('ws://a/', options);
  const peer = new Peer((await listener.accept())!);
  const key = /sec-websocket-key: (\S+)/.exec(await peer.until('\r\n\r\n'))![1]!;
  await peer.send(`HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${acceptKey(key)}\r\n\r\n`);
  const client = await opening;
  const send = (...frame: number[]) => peer.send(String.fromCharCode(...frame));
  return { client, peer, send, reader: client.readable.getReader() };
}

test('Sec-WebSocket-Accept is that of RFC 6455', () => {
  equal(acceptKey('dGhlIHNhbXBsZSBub25jZQ=='), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
  // RFC 3174 7.3 tests more than one block.
  equal(acceptKey('x'.repeat(100)).length, 28);
});

test('messages of every size pass both ways', async () => {
  const { client, server } = await pair();
  const writer = client.writable.getWriter();
  const reader = server.readable.getReader();
  for (const size of [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]) {
    const bytes = Uint8Array.from({ length: size }, (_, at) => at * 7);
    void writer.write(bytes);
    deepEqual((await reader.read()).value, bytes, `${size} bytes`);
  }
  void writer.write('häß€😀');
  equal((await reader.read()).value, 'häß€😀');
  void server.writable.getWriter().write('back');
  equal((await client.readable.getReader().read()).value, 'back');
});

test('close is said by one side and answered by the other', async () => {
  const { client, server } = await pair();
  const ended = server.readable.getReader().read();
  deepEqual(await client.close({ code: 3001, reason: 'enough' }), { code: 3001, reason: 'enough', wasClean: true });
  deepEqual(await server.closed, { code: 3001, reason: 'enough', wasClean: true });
  equal((await ended).done, true);
  await rejects(server.writable.getWriter().write('late'), { code: 'EPIPE' });
  const other = await pair();
  void other.client.readable.getReader().read();
  deepEqual(await other.server.close(), { code: 1005, reason: '', wasClean: true });
});

test('ping is answered', async () => {
  const { client, server } = await pair();
  void server.readable.getReader().read();
  const waiting = client.readable.getReader().read();
  await client.ping(new Uint8Array([1, 2]));
  await rejects(client.ping(new Uint8Array(126)), { code: 'EMSGSIZE' });
  void server.close();
  equal((await waiting).done, true);
});

test('fragments are joined, with control frames between them', async () => {
  const { send, reader, peer } = await byHand();
  await send(0x01, 2, 0x68, 0x65, 0x89, 1, 0x21, 0x00, 0, 0x80, 1, 0x79);
  equal((await reader.read()).value, 'hey');
  // The pong is masked: its two bytes of head, four of mask, one of payload.
  const pong = bytesOf(await peer.until(String.fromCharCode(0x8a, 0x81)));
  equal(pong.length, 2);
});

test('what breaks RFC 6455 closes with its code', async () => {
  const cases: [string, number, number[]][] = [
    ['reserved bit', 1002, [0xc1, 0]],
    ['unknown opcode', 1002, [0x83, 0]],
    ['masked by a server', 1002, [0x81, 0x80, 0, 0, 0, 0]],
    ['fragmented control frame', 1002, [0x09, 0]],
    ['long control frame', 1002, [0x89, 126, 0, 126]],
    ['continuation of nothing', 1002, [0x80, 0]],
    ['new message within one', 1002, [0x01, 0, 0x81, 0]],
    ['16-bit length for a short frame', 1002, [0x82, 126, 0, 125]],
    ['64-bit length for a short frame', 1002, [0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]],
    ['close of one byte', 1002, [0x88, 1, 3]],
    ['close with code 1005', 1002, [0x88, 2, 3, 0xed]],
    ['close with code 5000', 1002, [0x88, 2, 0x13, 0x88]],
    ['text that is not UTF-8', 1007, [0x81, 2, 0xc3, 0x28]],
    ['reason that is not UTF-8', 1007, [0x88, 3, 3, 0xe8, 0xff]],
    ['message too big', 1009, [0x82, 101]],
    ['fragments too big', 1009, [0x02, 60, ...new Array<number>(60).fill(0), 0x80, 41]],
  ];
  for (const [name, code, frame] of cases) {
    const { client, send, reader, peer } = await byHand({ maxMessageSize: 100 });
    const reading = rejects(reader.read(), { name: 'WebSocketError' });
    await send(...frame);
    equal(((await reading) as Error & { code: number }).code, code, name);
    equal((await client.closed).code, code, name);
    const answer = bytesOf(await peer.until());
    const mask = answer.subarray(2, 6);
    equal(answer[0], 0x88, name);
    equal((answer[6]! ^ mask[0]!) * 256 + (answer[7]! ^ mask[1]!), code, name);
  }
});

test('a connection that breaks off gives 1006', async () => {
  const { client, reader, peer } = await byHand();
  const reading = rejects(reader.read(), { code: 'ECONNRESET' });
  const ping = rejects(client.ping(), { code: 'ECONNRESET' });
  peer.connection.reset();
  await reading;
  await ping;
  deepEqual(await client.closed, { code: 1006, reason: '', wasClean: false });
});

test('a writer waits for its reader', async () => {
  const { client, server } = await pair();
  const writer = client.writable.getWriter();
  let written = 0;
  const writing = (async () => {
    for (let at = 0; at < 100; at++) {
      await writer.write(new Uint8Array(65536));
      written += 1;
    }
  })();
  const reader = server.readable.getReader();
  for (let read = 1; read <= 100; read++) {
    equal(((await reader.read()).value as Uint8Array).length, 65536);
    ok(written - read < 10, `${written} messages written, ${read} read`);
  }
  await writing;
});

test('the handshake refuses what is none', async () => {
  const network = new MemoryNetwork();
  const { serve, fetch, openWebSocket, WebSocket } = await createHttp(network);
  const errors: unknown[] = [];
  await serve({ port: 80, onError: (error) => errors.push(error) }, (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === '/no') return new Response('no', { status: 403 });
    return upgradeWebSocket(
      request,
      pathname === '/other'
        ? { headers: { 'sec-websocket-protocol': 'other' } }
        : pathname === '/extension'
          ? { headers: { 'sec-websocket-extensions': 'x' } }
          : {},
    ).response;
  });
  equal((await fetch('http://a/')).status, 400);
  const peer = new Peer(await network.connect({ host: 'a', port: 80 }));
  await peer.send(
    'GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 8\r\n\r\n',
  );
  ok((await peer.until('\r\n\r\n')).startsWith('HTTP/1.1 426 Upgrade Required\r\nsec-websocket-version: 13\r\n'));
  await rejects(openWebSocket('ws://a/no'), { name: 'HttpProtocolError', message: /403/ });
  await rejects(openWebSocket('ws://a/other'), { name: 'HttpProtocolError', message: /subprotocol/ });
  await rejects(openWebSocket('ws://a/extension'), { name: 'HttpProtocolError', message: /extension/ });
  await rejects(openWebSocket('ws://a:81/'), { code: 'ECONNREFUSED' });
  await rejects(openWebSocket('wss://a/'), { message: 'unsupported protocol: https:' });
  await rejects(openWebSocket('ws://a/', { signal: AbortSignal.abort() }), { name: 'AbortError' });
  for (const url of ['ws://a/#x', 'ftp://a/', 'http://[']) throws(() => new WebSocket(url), { name: 'SyntaxError' });
  for (const protocols of [['a', 'a'], ['a b'], ['']]) throws(() => new WebSocket('ws://a/', protocols), { name: 'SyntaxError' });
  deepEqual(errors, []);
  throws(() => upgradeWebSocket(new Request('http://a/')), { name: 'HttpProtocolError' });
  throws(() => upgrade(new Request('http://a/')), { name: 'TypeError' });
});

test("WebSocket has the face of the browser's", async () => {
  const network = new MemoryNetwork();
  const { serve, WebSocket } = await createHttp(network);
  await serve((request) => {
    const { response, socket } = upgradeWebSocket(request, { protocol: 'two' });
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => socket.send(data);
    socket.addEventListener('close', ({ code }) => closes.push(code));
    return response;
  });
  const closes: number[] = [];
  const socket = new WebSocket('http://a/path?q', ['one', 'two']);
  deepEqual(
    [socket.url, socket.readyState, socket.protocol, socket.extensions, socket.binaryType, WebSocket.OPEN, socket.CLOSED],
    ['ws://a/path?q', 0, '', '', 'blob', 1, 3],
  );
  throws(() => socket.send('early'), { name: 'InvalidStateError' });
  await new Promise((resolve) => (socket.onopen = resolve));
  deepEqual([socket.readyState, socket.protocol], [1, 'two']);
  const next = () => new Promise<MessageEvent>((resolve) => socket.addEventListener('message', resolve, { once: true }));
  let message = next();
  socket.send('hé');
  equal(socket.bufferedAmount, 3);
  equal((await message).data, 'hé');
  equal((await message).origin, 'ws://a');
  equal(socket.bufferedAmount, 0);
  message = next();
  socket.send(new Uint8Array([1, 2, 3]).subarray(1));
  deepEqual(new Uint8Array(await ((await message).data as Blob).arrayBuffer()), new Uint8Array([2, 3]));
  socket.binaryType = 'arraybuffer';
  message = next();
  socket.send(new Blob(['blob']));
  equal(textOf(new Uint8Array((await message).data as ArrayBuffer)), 'blob');
  throws(() => socket.close(1001), { name: 'InvalidAccessError' });
  throws(() => socket.close(1000, 'x'.repeat(124)), { name: 'SyntaxError' });
  const closed = new Promise<CloseEvent>((resolve) => (socket.onclose = resolve));
  socket.send('last');
  socket.close(4000, 'bye');
  equal(socket.readyState, 2);
  const { code, reason, wasClean } = await closed;
  deepEqual([code, reason, wasClean, socket.readyState], [4000, 'bye', true, 3]);
  deepEqual(closes, [4000]);
});

test('a WebSocket that fails tells error and close', async () => {
  const network = new MemoryNetwork();
  const { WebSocket } = await createHttp(network);
  for (const early of [false, true]) {
    const socket = new WebSocket('ws://a:81/');
    const events: string[] = [];
    socket.onerror = () => events.push('error');
    const closed = new Promise<CloseEvent>((resolve) => (socket.onclose = resolve));
    if (early) socket.close();
    equal((await closed).code, 1006);
    deepEqual(events, ['error']);
  }
});

test('any protocol can be switched to, and CONNECT gives a tunnel', async () => {
  const network = new MemoryNetwork();
  const { serve, requestUpgrade } = await createHttp(network);
  const seen: string[] = [];
  await serve((request) => {
    seen.push(`${request.method} ${request.url} ${request.headers.get('host')}`);
    const { response, connection } = upgrade(request, { headers: { 'x-hello': 'yes' } });
    void connection.then(({ readable, writable }) => readable.pipeTo(writable));
    return response;
  });
  for (const options of [{ protocol: 'echo/1' }, { tunnel: 'target.test:25' }]) {
    const { response, connection } = await requestUpgrade('http://a/x', options);
    deepEqual([response.status, response.headers.get('x-hello')], ['protocol' in options ? 101 : 200, 'yes']);
    const peer = new Peer(connection);
    await peer.send('hello');
    equal(await peer.until('hello'), 'hello');
    await peer.end();
    equal(await peer.until(), '');
  }
  deepEqual(seen, ['GET http://a/x a', 'CONNECT http://target.test:25/ target.test:25']);
  await rejects(requestUpgrade('http://a/', {}), { name: 'TypeError' });
  await rejects(requestUpgrade('http://a/', { protocol: 'bad protocol' }), { name: 'TypeError' });
  // Bytes that come with the request belong to the connection.
  const early = new Peer(await network.connect({ host: 'a', port: 80 }));
  await early.send('GET / HTTP/1.1\r\nhost: a\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\nearly');
  ok((await early.until('early')).endsWith('upgrade: echo\r\nx-hello: yes\r\n\r\nearly'));
});

test('frames are those of RFC 6455 5.7', () => {
  deepEqual(encodeFrame(1, bytesOf('Hello'), false), Uint8Array.of(0x81, 5, 0x48, 0x65, 0x6c, 0x6c, 0x6f));
  const masked = encodeFrame(1, bytesOf('Hello'), true);
  deepEqual(
    masked.subarray(6).map((byte, at) => byte ^ masked[2 + (at & 3)]!),
    bytesOf('Hello'),
  );
  deepEqual(encodeFrame(2, new Uint8Array(256), false).subarray(0, 4), Uint8Array.of(0x82, 0x7e, 1, 0));
  deepEqual(encodeFrame(2, new Uint8Array(65536), false).subarray(0, 10), Uint8Array.of(0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0));
});
