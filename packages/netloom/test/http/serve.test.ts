import { createHttp, trailersOf, withTrailers } from '../../src/http/index.ts';
import { deepEqual, equal, ok, rejects, runtime, test } from '../harness.ts';
import { MemoryNetwork } from './memory.ts';
import { Peer } from './peer.ts';
import type { CreateHttpOptions, HttpRequestHandler, ServeOptions } from '../../src/http/index.ts';

async function setUp(handler: HttpRequestHandler, options: Partial<ServeOptions> = {}, http: CreateHttpOptions = {}) {
  const network = new MemoryNetwork();
  const api = await createHttp(network, http);
  let reach!: () => void;
  /** Resolves when the first request has reached the handler. */
  const reached = new Promise<void>((resolve) => (reach = resolve));
  const server = await api.serve({ port: 80, ...options }, (request) => {
    reach();
    return handler(request);
  });
  const peer = async () => new Peer(await network.connect({ host: '10.0.0.2', port: 80 }));
  return { network, server, peer, reached, ...api };
}

test('serve answers as tcpip.js does, byte for byte', async () => {
  // Bun shows no content type on a Response of text.
  const { peer } = await setUp(() => new Response('ok', runtime === 'bun' ? { headers: { 'content-type': 'text/plain;charset=UTF-8' } } : {}));
  const client = await peer();
  await client.send('GET /default HTTP/1.1\r\nhost: example.test\r\nconnection: close\r\n\r\n');
  equal(
    await client.until(),
    'HTTP/1.1 200 OK\r\ncontent-type: text/plain;charset=UTF-8\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
  );
});

test('serve answers pipelined requests in order, also when the first takes longer', async () => {
  let release!: () => void;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const { peer } = await setUp(async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === '/1') await gate;
    return new Response(null, { headers: { 'x-path': pathname } });
  });
  const client = await peer();
  await client.send('GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\nGET /3 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
  release();
  deepEqual((await client.until()).match(/x-path: \S+/g), ['x-path: /1', 'x-path: /2', 'x-path: /3']);
});

test('serve gives the request its URL, fields and body', async () => {
  const seen: unknown[] = [];
  const { peer } = await setUp(async (request) => {
    seen.push([request.method, request.url, request.headers.get('cookie'), request.headers.get('host'), await request.text()]);
    return new Response(null, { status: 204 });
  });
  const client = await peer();
  await client.send('POST /a?b=c HTTP/1.1\r\nHost: example.test:8080\r\nCookie: a=b\r\nContent-Length: 5\r\n\r\nhello');
  await client.until('\r\n\r\n');
  await client.send('PUT http://other.test/x HTTP/1.1\r\nHost: ignored\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\n\r\n');
  await client.until('\r\n\r\n');
  await client.send('OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n');
  equal(await client.until('\r\n\r\n'), 'HTTP/1.1 204 No Content\r\n\r\n');
  await client.send('TRACE / HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.until('\r\n\r\n');
  deepEqual(seen, [
    ['POST', 'http://example.test:8080/a?b=c', 'a=b', 'example.test:8080', 'hello'],
    ['PUT', 'http://other.test/x', null, 'other.test', 'hello!'],
    ['OPTIONS', 'http://a/*', null, 'a', ''],
    ['TRACE', 'http://a/', null, 'a', ''],
  ]);
});

test('HEAD, 204, 205 and 304 have no body, and the connection goes on', async () => {
  const { peer } = await setUp((request) => {
    const status = Number(new URL(request.url).pathname.slice(1));
    if (status === 200) return new Response('hello', { headers: { 'content-length': '5', 'content-type': 'a/b' } });
    return new Response(null, { status });
  });
  const client = await peer();
  const ask = async (method: string, path: string) => {
    await client.send(`${method} ${path} HTTP/1.1\r\nhost: a\r\n\r\n`);
    return client.until('\r\n\r\n');
  };
  equal(await ask('HEAD', '/200'), 'HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ncontent-length: 5\r\n\r\n');
  equal(await ask('GET', '/204'), 'HTTP/1.1 204 No Content\r\n\r\n');
  equal(await ask('GET', '/205'), 'HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n');
  equal(await ask('GET', '/304'), 'HTTP/1.1 304 Not Modified\r\n\r\n');
  equal(await ask('GET', '/404'), 'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
  equal(await ask('GET', '/599'), 'HTTP/1.1 599 unknown\r\ncontent-length: 0\r\n\r\n');
});

test('a client of HTTP/1.0 gets no chunks, and keeps its connection only where the length is known', async () => {
  const { peer } = await setUp(
    (request) =>
      new Response('hello', { headers: request.url.endsWith('/known') ? { 'content-length': '5', 'content-type': 'a/b' } : { 'content-type': 'a/b' } }),
  );
  const client = await peer();
  await client.send('GET /known HTTP/1.0\r\nconnection: keep-alive\r\n\r\n');
  equal(await client.until('hello'), 'HTTP/1.1 200 OK\r\ncontent-type: a/b\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nhello');
  await client.send('GET /open HTTP/1.0\r\nconnection: keep-alive\r\n\r\n');
  equal(await client.until(), 'HTTP/1.1 200 OK\r\ncontent-type: a/b\r\nconnection: close\r\n\r\nhello');
});

test('a handler that throws, rejects or gives nonsense makes 500', async () => {
  const errors: unknown[] = [];
  const handlers: Record<string, () => unknown> = {
    '/throws': () => {
      throw new Error('thrown');
    },
    '/rejects': () => Promise.reject(new Error('rejected')),
    '/nothing': () => undefined,
  };
  const { fetch } = await setUp((request) => handlers[new URL(request.url).pathname]!() as Response, {
    onError: (error) => errors.push((error as Error).message),
  });
  for (const path of Object.keys(handlers)) equal((await fetch(`http://a${path}`)).status, 500);
  deepEqual(errors, ['thrown', 'rejected', 'the handler gave no response']);
});

test('100 Continue is sent when the handler reads the body, and not when it refuses', async () => {
  const { peer } = await setUp(async (request) =>
    request.url.endsWith('/no') ? new Response(null, { status: 403 }) : new Response(null, { headers: { 'x-body': await request.text() } }),
  );
  const client = await peer();
  await client.send('POST /yes HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n');
  equal(await client.until('\r\n\r\n'), 'HTTP/1.1 100 Continue\r\n\r\n');
  await client.send('hi');
  equal(await client.until('\r\n\r\n'), 'HTTP/1.1 200 OK\r\nx-body: hi\r\ncontent-length: 0\r\n\r\n');
  await client.send('POST /no HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n');
  equal(await client.until(), 'HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
});

test('trailers go both ways', async () => {
  const { fetch } = await setUp(async (request) => {
    const body = await request.text();
    return withTrailers(new Response(body), { 'x-sum': `${(await trailersOf(request)).get('x-sum')}!` });
  });
  const body = withTrailers(new Blob(['hello']).stream() as ReadableStream<Uint8Array>, async () => ({ 'x-sum': '5' }));
  const response = await fetch('http://a/', { method: 'POST', body, duplex: 'half' } as RequestInit);
  equal(await response.text(), 'hello');
  equal((await trailersOf(response)).get('x-sum'), '5!');
});

test('close stops listening at once, ends idle connections, and lets a request under way finish', async () => {
  let release!: () => void;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const { server, peer, fetch, reached } = await setUp(async () => {
    await gate;
    return new Response('late');
  });
  equal(server.port, 80);
  equal(server.address, '0.0.0.0');
  const idle = await peer();
  const busy = fetch('http://a/');
  await reached;
  let closed = false;
  const closing = server.close().then(() => (closed = true));
  equal(await idle.until(), '');
  await rejects(peer(), { code: 'ECONNREFUSED' });
  ok(!closed);
  release();
  const response = await busy;
  equal(response.headers.get('connection'), 'close');
  equal(await response.text(), 'late');
  await closing;
  await server.close();
});

test('close with a signal breaks off what is under way', async () => {
  const { server, fetch, reached } = await setUp(
    (request) => new Promise((resolve) => request.signal.addEventListener('abort', () => resolve(new Response()))),
  );
  const busy = rejects(fetch('http://a/'), { name: 'TypeError' });
  await reached;
  const stop = new AbortController();
  const closing = server.close({ signal: stop.signal });
  stop.abort();
  await closing;
  equal(((await busy).cause as { code: string }).code, 'ECONNRESET');
});

test('request.signal aborts when the client resets', async () => {
  let aborted!: (reason: unknown) => void;
  const reason = new Promise((resolve) => (aborted = resolve));
  const { fetch, reached } = await setUp((request) => {
    request.signal.addEventListener('abort', () => aborted(request.signal.reason));
    return new Promise<Response>(() => undefined);
  });
  const stop = new AbortController();
  const asked = rejects(fetch('http://a/', { signal: stop.signal }), { name: 'AbortError' });
  await reached;
  stop.abort();
  await asked;
  equal(((await reason) as { code: string }).code, 'ECONNRESET');
});

test('serve says what it cannot do', async () => {
  const network = new MemoryNetwork();
  const { serve } = await createHttp(network);
  await serve(() => new Response());
  await rejects(
    serve(() => new Response()),
    { code: 'EADDRINUSE' },
  );
  await rejects(serve({ port: 1 } as never), { name: 'TypeError', message: 'serve options require a handler' });
  await rejects(
    serve({ port: 1, headersTimeout: -1 }, () => new Response()),
    { code: 'EINVAL' },
  );
  const { serve: deaf } = await createHttp({ connect: (o) => network.connect(o) });
  await rejects(
    deaf(() => new Response()),
    { name: 'TypeError', message: 'http serve requires a listen-capable transport' },
  );
});

test('a response that is longer or shorter than its Content-Length breaks the connection off', async () => {
  const errors: unknown[] = [];
  const { fetch } = await setUp((request) => new Response('hello', { headers: { 'content-length': request.url.endsWith('/long') ? '4' : '6' } }), {
    onError: (error) => errors.push(error),
  });
  for (const path of ['/long', '/short'])
    await rejects(
      fetch(`http://a${path}`).then((response) => response.text()),
      { name: 'TypeError' },
    );
  equal(errors.length, 2);
});

test('timeouts end what a client does not finish', async () => {
  const { peer } = await setUp(async (request) => new Response(await request.text()), {
    headersTimeout: 20,
    bodyTimeout: 20,
    keepAliveTimeout: 20,
    onError: () => undefined,
  });
  equal(await (await peer()).until(), '');
  const head = await peer();
  await head.send('GET / HTTP/1.1\r\n');
  equal(await head.until(), 'HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
  const body = await peer();
  await body.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhe');
  await rejects(body.until(), { code: 'ECONNRESET' });
});

test('an aborted signal closes the server', async () => {
  const stop = new AbortController();
  const { fetch, peer, reached } = await setUp((request) => new Promise((resolve) => request.signal.addEventListener('abort', () => resolve(new Response()))), {
    signal: stop.signal,
  });
  const busy = rejects(fetch('http://a/'), { name: 'TypeError' });
  await reached;
  stop.abort();
  await busy;
  await rejects(peer(), { code: 'ECONNREFUSED' });
});

test('Date is told on request', async () => {
  const { fetch } = await setUp(() => new Response(), { date: true });
  ok(Math.abs(Date.parse((await fetch('http://a/')).headers.get('date')!) - Date.now()) < 60_000);
});

test('maxConnections lets the rest wait', async () => {
  const { peer } = await setUp(() => new Response(null), { maxConnections: 1 });
  const first = await peer();
  const second = await peer();
  await second.send('GET /2 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
  await first.send('GET /1 HTTP/1.1\r\nhost: a\r\n\r\n');
  await first.until('\r\n\r\n');
  await first.end();
  ok((await second.until()).startsWith('HTTP/1.1 200'));
});
