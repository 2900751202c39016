/** HTTP against other people's: Node's client and server, undici, curl and ws, over the host's TCP. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as undici from 'undici';
import WebSocket, { WebSocketServer } from 'ws';
import {
  createHttp,
  trailersOf,
  upgrade,
  upgradeWebSocket,
  withTrailers,
  type CreateHttpOptions,
  type HttpRequestHandler,
  type ServeOptions,
} from '../../src/http/index.ts';
import { hostTcp } from './host-transport.ts';

const run = promisify(execFile);
const curl = async (...args: string[]) => (await run('curl', ['-sS', '--max-time', '30', ...args], { maxBuffer: 1 << 26 })).stdout;

/** Our server, on a free port of the host. */
async function ours(t: TestContext, handler: HttpRequestHandler, options: Partial<ServeOptions> = {}) {
  const api = await createHttp(hostTcp);
  const server = await api.serve({ host: '127.0.0.1', port: 0, ...options }, handler);
  t.after(() => server.close({ signal: AbortSignal.abort() }));
  t.after(() => api.close());
  return { server, url: `http://127.0.0.1:${server.port}`, ...api };
}

/** Node's server, and our client. */
async function nodes(t: TestContext, listener: http.RequestListener, options: CreateHttpOptions = {}) {
  const server = http.createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  const api = await createHttp(hostTcp, options);
  t.after(() => api.close());
  return { server, url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`, ...api };
}

const echo: HttpRequestHandler = (request) => new Response(request.body, { headers: { 'x-method': request.method } });

test('curl gets and posts, with its connection kept', async (t) => {
  const { url } = await ours(t, echo);
  assert.equal(await curl('--data-binary', 'hello', url), 'hello');
  assert.equal(await curl('-H', 'Transfer-Encoding: chunked', '--data-binary', 'chunks', url), 'chunks');
  assert.equal(await curl('-0', '--data-binary', 'old', url), 'old');
  const big = 'x'.repeat(3 << 20);
  // Above 1 MiB curl asks by Expect: 100-continue.
  const { stdout } = await promisifyInput(['-sS', '-v', '--data-binary', '@-', url], big);
  assert.equal(stdout.length, big.length);
  assert.match(await curl('-I', url), /^HTTP\/1.1 200 OK\r\nx-method: HEAD\r\n/);
  const twice = await run('curl', ['-sSv', `${url}/1`, `${url}/2`]);
  assert.match(twice.stderr, /Re-using existing connection/);
});

async function promisifyInput(args: string[], input: string): Promise<{ stdout: string; stderr: string }> {
  const running = run('curl', ['--max-time', '30', ...args], { maxBuffer: 1 << 26 });
  running.child.stdin!.end(input);
  return running;
}

test('curl upgrades by CONNECT through our proxy', async (t) => {
  const target = await ours(t, () => new Response('behind the proxy', { headers: { connection: 'close' } }));
  const proxy = await ours(t, (request) => {
    const { hostname, port } = new URL(request.url);
    const { response, connection } = upgrade(request);
    void connection.then(async (client) => {
      const there = await hostTcp.connect({ host: hostname, port: Number(port) });
      await Promise.all([client.readable.pipeTo(there.writable), there.readable.pipeTo(client.writable)]).catch(() => undefined);
    });
    return response;
  });
  assert.equal(await curl('--proxytunnel', '--proxy', proxy.url, target.url), 'behind the proxy');
});

test("Node's client: keep-alive, trailers, Expect, pipelining and abort", async (t) => {
  let reached!: () => void;
  const reach = new Promise<void>((resolve) => (reached = resolve));
  let aborted!: () => void;
  const abort = new Promise<void>((resolve) => (aborted = resolve));
  const { url, server } = await ours(t, async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === '/hang') {
      request.signal.addEventListener('abort', () => aborted());
      reached();
      return new Promise(() => undefined);
    }
    const text = await request.text();
    return withTrailers(new Response(`${pathname} ${text} ${(await trailersOf(request)).get('x-in')}`), { 'x-out': 'yes' });
  });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const ports = new Set<number | undefined>();
  for (let at = 0; at < 3; at++) {
    const asked = http.request(`${url}/${at}`, { agent, method: 'POST', headers: { trailer: 'x-in' } });
    asked.write('a');
    asked.addTrailers({ 'x-in': String(at) });
    asked.end();
    const [answer] = (await once(asked, 'response')) as [http.IncomingMessage];
    ports.add(asked.socket?.localPort);
    assert.equal((await answer.setEncoding('utf8').toArray()).join(''), `/${at} a ${at}`);
    assert.equal(answer.trailers['x-out'], 'yes');
  }
  assert.equal(ports.size, 1);

  const expecting = http.request(url, { method: 'POST', headers: { expect: '100-continue' } });
  expecting.flushHeaders();
  await once(expecting, 'continue');
  expecting.end('late');
  const [answer] = (await once(expecting, 'response')) as [http.IncomingMessage];
  assert.equal((await answer.setEncoding('utf8').toArray()).join(''), '/ late null');

  const socket = net.connect(server.port, '127.0.0.1');
  socket.write(Array.from({ length: 50 }, (_, at) => `GET /${at} HTTP/1.1\r\nHost: a\r\n${at === 49 ? 'Connection: close\r\n' : ''}\r\n`).join(''));
  const text = (await socket.setEncoding('utf8').toArray()).join('');
  assert.deepEqual(
    text.match(/\/\d+(?= {2})/g),
    Array.from({ length: 50 }, (_, at) => `/${at}`),
  );

  const hanging = http.get(`${url}/hang`, { agent: false });
  hanging.on('error', () => undefined);
  await reach;
  hanging.socket!.resetAndDestroy();
  await abort;
});

test('undici: fetch, and requests pipelined by ten', async (t) => {
  const { url } = await ours(t, async (request) => new Response(`${new URL(request.url).pathname} ${await request.text()}`));
  const client = new undici.Client(url, { pipelining: 10 });
  t.after(() => client.close());
  const texts = await Promise.all(Array.from({ length: 30 }, async (_, at) => (await client.request({ path: `/${at}`, method: 'GET' })).body.text()));
  assert.deepEqual(
    texts,
    Array.from({ length: 30 }, (_, at) => `/${at} `),
  );
  const agent = new undici.Agent();
  t.after(() => agent.close());
  const stream = new Blob(['streamed']).stream();
  const response = await undici.fetch(`${url}/post`, { method: 'POST', body: stream, duplex: 'half', dispatcher: agent });
  assert.equal(await response.text(), '/post streamed');
});

test("Node's server: keep-alive, trailers, early hints, Expect, redirects and codings", async (t) => {
  const ports = new Set<number | undefined>();
  const { url, fetch, server } = await nodes(t, async (request, response) => {
    ports.add(request.socket.remotePort);
    if (request.url === '/redirect') return void response.writeHead(302, { location: '/target' }).end('moved');
    if (request.url === '/gzip') return void response.writeHead(200, { 'content-encoding': 'gzip' }).end((await import('node:zlib')).gzipSync('zipped'));
    if (request.url === '/hints') response.writeEarlyHints({ link: '</style.css>; rel=preload' });
    const body = (await request.setEncoding('utf8').toArray()).join('');
    response.writeHead(200, { trailer: 'x-out' });
    response.write(`${request.method} ${request.url} ${body} ${request.trailers['x-in'] ?? '-'}`);
    response.addTrailers({ 'x-out': 'yes' });
    response.end();
  });
  const text = async (path: string, init?: RequestInit) => (await fetch(url + path, init)).text();
  assert.equal(await text('/get'), 'GET /get  -');
  assert.equal(await text('/redirect'), 'GET /target  -');
  assert.equal(await text('/gzip'), 'zipped');
  assert.equal(await text('/hints'), 'GET /hints  -');
  assert.equal(await text('/post', { method: 'POST', body: 'body', headers: { expect: '100-continue' } }), 'POST /post body -');
  const body = withTrailers(new Blob(['stream']).stream() as ReadableStream<Uint8Array>, { 'x-in': 'in' });
  const response = await fetch(`${url}/trailers`, { method: 'PUT', body, duplex: 'half' } as RequestInit);
  assert.equal(await response.text(), 'PUT /trailers stream in');
  assert.equal((await trailersOf(response)).get('x-out'), 'yes');
  assert.equal(ports.size, 1);
  // Node closes the kept connection; the next request meets a closed one, or none.
  server.closeIdleConnections();
  assert.equal(await text('/again'), 'GET /again  -');
});

test('large bodies stream both ways at the pace of their readers', async (t) => {
  const total = 128 << 20;
  // What the kernel's buffers and Node's hold.
  const most = 32 << 20;
  const produced = { server: 0, client: 0 };
  const source = (side: 'server' | 'client') =>
    new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(new Uint8Array(65536).fill(1));
        if ((produced[side] += 65536) === total) controller.close();
      },
    });
  let ahead = 0;
  const node = await nodes(t, async (request, response) => {
    let count = 0;
    for await (const chunk of request) {
      count += chunk.length;
      ahead = Math.max(ahead, produced.client - count);
    }
    response.end(String(count));
  });
  const uploaded = await node.fetch(node.url, { method: 'POST', body: source('client'), duplex: 'half' } as RequestInit);
  assert.equal(await uploaded.text(), String(total));
  const { url } = await ours(t, () => new Response(source('server')));
  const [answer] = (await once(http.get(url), 'response')) as [http.IncomingMessage];
  let received = 0;
  for await (const chunk of answer) {
    received += (chunk as Buffer).length;
    ahead = Math.max(ahead, produced.server - received);
  }
  assert.equal(received, total);
  assert.ok(ahead <= most, `${ahead} bytes ahead of the reader`);
});

test('an abort in the middle of a body resets the connection', async (t) => {
  let closed!: (error: unknown) => void;
  const ended = new Promise((resolve) => (closed = resolve));
  const { url, fetch } = await nodes(t, (request, response) => {
    request.socket.on('error', closed);
    response.write('x'.repeat(1 << 16));
    request.socket.on('close', () => closed(undefined));
  });
  const stop = new AbortController();
  const response = await fetch(url, { signal: stop.signal });
  const reader = response.body!.getReader();
  await reader.read();
  stop.abort();
  await assert.rejects(
    async () => {
      while (!(await reader.read()).done);
    },
    { name: 'AbortError' },
  );
  assert.equal(((await ended) as NodeJS.ErrnoException).code, 'ECONNRESET');
});

test('a response that is dropped unread gives its connection up', { timeout: 30_000 }, async (t) => {
  let closed!: () => void;
  const close = new Promise<void>((resolve) => (closed = resolve));
  const { url, fetch } = await nodes(t, (request, response) => {
    request.socket.on('close', () => closed());
    response.write('x'.repeat(1 << 20));
  });
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  assert.equal((await fetch(url)).status, 200);
  let done = false;
  void close.then(() => (done = true));
  while (!done) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
});

test('errors of the host are the cause', async (t) => {
  const { fetch } = await nodes(t, () => undefined);
  const free = net.createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as net.AddressInfo;
  await new Promise((resolve) => free.close(resolve));
  await assert.rejects(fetch(`http://127.0.0.1:${port}/`), (error: TypeError) => (error.cause as { code: string }).code === 'ECONNREFUSED');
});

test('ws is a client of our WebSocket', async (t) => {
  const { server } = await ours(t, (request) => {
    const { response, socket } = upgradeWebSocket(request, { protocol: 'echo' });
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => (data === 'close' ? socket.close(4001, 'told to') : socket.send(data));
    return response;
  });
  const client = new WebSocket(`ws://127.0.0.1:${server.port}/`, 'echo');
  t.after(() => client.terminate());
  await once(client, 'open');
  assert.equal(client.protocol, 'echo');
  for (const message of ['text', 'ü'.repeat(100_000), Buffer.alloc(0), Buffer.alloc(1 << 20, 7)]) {
    client.send(message);
    const [data, binary] = (await once(client, 'message')) as [Buffer, boolean];
    assert.equal(binary, typeof message !== 'string');
    assert.ok(data.equals(Buffer.from(message as string)));
  }
  client.send('frag', { fin: false });
  client.send('ments', { fin: true });
  assert.equal(String((await once(client, 'message'))[0]), 'fragments');
  client.ping('are you there');
  assert.equal(String((await once(client, 'pong'))[0]), 'are you there');
  client.send('close');
  const [code, reason] = (await once(client, 'close')) as [number, Buffer];
  assert.deepEqual([code, String(reason)], [4001, 'told to']);
});

test('ws is a server for our WebSocket', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'chosen', perMessageDeflate: true });
  t.after(() => server.close());
  await once(server, 'listening');
  server.on('connection', (socket, request) => {
    assert.equal(request.headers['x-token'], 'secret');
    socket.on('message', (data, binary) => socket.send(data, { binary }));
    socket.on('close', (code, reason) => {
      closes.push([code, String(reason)]);
      if (closes.length === 2) bothClosed();
    });
  });
  const closes: [number, string][] = [];
  let bothClosed!: () => void;
  const both = new Promise<void>((resolve) => (bothClosed = resolve));
  const { port } = server.address() as net.AddressInfo;
  const { openWebSocket, WebSocket: Ours } = await createHttp(hostTcp);
  const streams = await openWebSocket(`ws://127.0.0.1:${port}/`, { protocols: ['chosen'], headers: { 'x-token': 'secret' } });
  assert.equal(streams.protocol, 'chosen');
  const writer = streams.writable.getWriter();
  const reader = streams.readable.getReader();
  for (const message of ['text', new Uint8Array(3 << 20).fill(5)]) {
    await writer.write(message);
    assert.deepEqual((await reader.read()).value, message);
  }
  const pinged = streams.ping();
  const ended = reader.read();
  await pinged;
  assert.deepEqual(await streams.close({ code: 3000, reason: 'bye' }), { code: 3000, reason: 'bye', wasClean: true });
  assert.equal((await ended).done, true);
  const socket = new Ours(`ws://127.0.0.1:${port}/`, { protocols: 'chosen', headers: { 'x-token': 'secret' } } as unknown as string);
  await once(socket as unknown as EventTarget, 'open');
  socket.send('hello');
  const [message] = (await once(socket as unknown as EventTarget, 'message')) as [MessageEvent];
  assert.equal(message.data, 'hello');
  socket.close(1000, 'done');
  await once(socket as unknown as EventTarget, 'close');
  await both;
  assert.deepEqual(closes, [
    [3000, 'bye'],
    [1000, 'done'],
  ]);
});

test('a closed client keeps no process alive', async (t) => {
  const { url } = await nodes(t, (_, response) => response.end('ok'));
  const script = `
    import { createHttp } from ${JSON.stringify(new URL('../../src/http/index.ts', import.meta.url).href)};
    import { hostTcp } from ${JSON.stringify(new URL('./host-transport.ts', import.meta.url).href)};
    const { fetch, close } = await createHttp(hostTcp, { keepAliveTimeout: 600000 });
    console.log(await (await fetch(${JSON.stringify(url)})).text());
    await close();
  `;
  const { stdout } = await run(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], { timeout: 30_000 });
  assert.equal(stdout.trim(), 'ok');
});
