import { createHttp, HttpProtocolError, type CreateHttpOptions } from '../../src/http/index.ts';
import { deepEqual, equal, ok, rejects, runtime, test } from '../harness.ts';
import { MemoryNetwork } from './memory.ts';
import { Peer } from './peer.ts';

/** A client, and a server that a test plays by hand. */
async function setUp(options: CreateHttpOptions = {}) {
  const network = new MemoryNetwork();
  const listener = await network.listen({ port: 80 });
  const accept = async () => new Peer((await listener.accept())!);
  return { network, accept, ...(await createHttp(network, options)) };
}

/** A client and a server whose answers are given by path, on any number of connections; for requests without body. */
async function answering(answers: Record<string, string>, options: CreateHttpOptions = {}) {
  const { accept, ...rest } = await setUp(options);
  const requests: string[] = [];
  void (async () => {
    for (;;) {
      const peer = await accept();
      void (async () => {
        for (;;) {
          const head = await peer.until('\r\n\r\n');
          requests.push(head);
          const answer = answers[head.split(' ')[1]!]!;
          await peer.send(answer);
          if (/connection: close/i.test(answer)) return peer.end();
        }
      })().catch(() => undefined);
    }
  })();
  return { requests, ...rest };
}

test('fetch sends what fetch sends', async () => {
  const { accept, fetch } = await setUp();
  const asked = fetch('http://10.0.0.2/a%20b?q=x%20y#fragment', { method: 'POST', body: 'name=tcpip', headers: { 'content-type': 'a/b', cookie: 'c=d' } });
  const peer = await accept();
  equal(
    await peer.until('name=tcpip'),
    'POST /a%20b?q=x%20y HTTP/1.1\r\nhost: 10.0.0.2\r\ncontent-type: a/b\r\ncookie: c=d\r\naccept: */*\r\naccept-encoding: gzip, deflate\r\nuser-agent: netloom\r\ncontent-length: 10\r\n\r\nname=tcpip',
  );
  await peer.send('HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nset-cookie: a=b\r\nset-cookie: c=d\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello');
  const response = await asked;
  deepEqual([response.status, response.statusText, response.url, response.redirected], [200, 'OK', 'http://10.0.0.2/a%20b?q=x%20y', false]);
  deepEqual(response.headers.getSetCookie(), ['a=b', 'c=d']);
  equal(await response.clone().text(), 'hello');
  equal(await response.text(), 'hello');
});

test('bodies of every kind arrive with their type and length', async () => {
  const network = new MemoryNetwork();
  const { fetch, serve } = await createHttp(network);
  await serve(async (request) => Response.json([request.headers.get('content-type'), request.headers.get('content-length'), await request.text()]));
  const send = async (body: BodyInit) => (await fetch('http://a/', { method: 'POST', body, duplex: 'half' } as RequestInit)).json();
  deepEqual(await send('hé'), ['text/plain;charset=UTF-8', '3', 'hé']);
  deepEqual(await send(new URLSearchParams({ a: 'b c' })), ['application/x-www-form-urlencoded;charset=UTF-8', '5', 'a=b+c']);
  deepEqual(await send(new Blob(['blob'], { type: 'x/y' })), ['x/y', '4', 'blob']);
  deepEqual(await send(new Uint8Array([97, 98, 99]).subarray(1)), [null, '2', 'bc']);
  deepEqual(await send(new Uint8Array([97]).buffer), [null, '1', 'a']);
  deepEqual(await send(new Blob(['streamed']).stream()), [null, null, 'streamed']);
  const form = new FormData();
  form.set('name', 'value');
  const [type, length, text] = (await send(form)) as [string, string, string];
  ok(type.startsWith('multipart/form-data; boundary='));
  equal(Number(length), text.length);
  ok(text.includes('name="name"'));
  // Bun shows no content type on a Request.
  const shown = runtime === 'bun' ? null : 'text/plain;charset=UTF-8';
  deepEqual(await (await fetch(new Request('http://a/', { method: 'PUT', body: 'request' }))).json(), [shown, null, 'request']);
  deepEqual(await (await fetch('http://a/', { method: 'POST' })).json(), [null, '0', '']);
});

test('no line break gets into a head', async () => {
  const network = new MemoryNetwork();
  const { fetch, serve } = await createHttp(network);
  await serve({ port: 80, onError: () => undefined }, (request) => new Response(null, { statusText: request.url.endsWith('/text') ? '\u010d\u010aX: y' : '' }));
  // U+010D and U+010A would be CR and LF if cut to a byte.
  for (const headers of [{ x: '\u010d\u010ay: z' }, { x: 'a\r\ny: z' }]) await rejects(async () => fetch('http://a/', { headers }), { name: 'TypeError' });
  await rejects(async () => fetch('http://a/', { method: 'G ET' }), { name: 'TypeError' });
  const answer = await fetch('http://a/text').catch(() => undefined);
  equal(answer?.headers.get('x') ?? null, null);
});

test('connections are used again, as many as run at once', async () => {
  const network = new MemoryNetwork();
  const { fetch, serve } = await createHttp(network, { maxConnectionsPerHost: 2 });
  await serve((request) => new Response(request.url));
  for (let turn = 0; turn < 5; turn++) await (await fetch('http://a/')).text();
  equal(network.opened.length, 1);
  await Promise.all(Array.from({ length: 20 }, async (_, at) => equal(await (await fetch(`http://a/${at}`)).text(), `http://a/${at}`)));
  equal(network.opened.length, 2);
});

test('a request may ask for a connection of its own', async () => {
  const network = new MemoryNetwork();
  const { fetch, serve } = await createHttp(network);
  await serve((request) => new Response(request.headers.get('connection')));
  for (let turn = 0; turn < 2; turn++) equal(await (await fetch('http://a/', { headers: { connection: 'close' } })).text(), 'close');
  equal(network.opened.length, 2);
});

test('responses whose small bodies nobody reads do not hold their connections', async () => {
  const network = new MemoryNetwork();
  const { fetch, serve } = await createHttp(network, { maxConnectionsPerHost: 1 });
  await serve(() => new Response('small'));
  for (let turn = 0; turn < 5; turn++) equal((await fetch('http://a/')).status, 200);
  equal(network.opened.length, 1);
});

test('a request waiting for a connection can be aborted', async () => {
  const { accept, fetch } = await setUp({ maxConnectionsPerHost: 1 });
  const first = fetch('http://a/1');
  const peer = await accept();
  await peer.until('\r\n\r\n');
  const stop = new AbortController();
  const second = rejects(fetch('http://a/2', { signal: stop.signal }), { name: 'AbortError' });
  const third = fetch('http://a/3');
  stop.abort();
  await second;
  await peer.send('HTTP/1.1 204 No Content\r\n\r\n');
  await first;
  ok((await peer.until('\r\n\r\n')).startsWith('GET /3 '));
  await peer.send('HTTP/1.1 204 No Content\r\n\r\n');
  equal((await third).status, 204);
});

test('an idempotent request is sent again where the kept connection was closed meanwhile, another is not', async () => {
  for (const method of ['GET', 'PUT', 'POST']) {
    const { accept, fetch } = await setUp();
    const first = fetch('http://a/');
    const peer = await accept();
    await peer.until('\r\n\r\n');
    await peer.send('HTTP/1.1 204 No Content\r\n\r\n');
    await first;
    const second = fetch('http://a/', { method, ...(method !== 'GET' && { body: 'body' }) });
    const outcome = method === 'POST' ? rejects(second, { name: 'TypeError', message: 'fetch failed' }) : second;
    await peer.until('\r\n\r\n');
    peer.connection.reset();
    if (method === 'POST') {
      equal((((await outcome) as Error).cause as { code: string }).code, 'ECONNRESET');
      continue;
    }
    const again = await accept();
    await again.until(method === 'GET' ? '\r\n\r\n' : 'body');
    await again.send('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    equal(((await outcome) as Response).status, 200);
  }
});

test('a kept connection is closed after its idle time, or the shorter one of the server', async () => {
  for (const [own, theirs] of [
    [20, ''],
    [60_000, 'keep-alive: timeout=1\r\n'],
  ] as const) {
    const { accept, fetch } = await setUp({ keepAliveTimeout: own });
    const asked = fetch('http://a/');
    const peer = await accept();
    await peer.until('\r\n\r\n');
    await peer.send(`HTTP/1.1 204 No Content\r\n${theirs}\r\n`);
    await asked;
    equal(await peer.until(), '');
  }
});

test('close ends kept connections', async () => {
  const { accept, fetch, close } = await setUp();
  const asked = fetch('http://a/');
  const peer = await accept();
  await peer.until('\r\n\r\n');
  await peer.send('HTTP/1.1 204 No Content\r\n\r\n');
  await asked;
  await close();
  equal(await peer.until(), '');
});

test('interim responses are passed over', async () => {
  const { accept, fetch } = await setUp();
  const asked = fetch('http://a/');
  const peer = await accept();
  await peer.send('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
  equal(await (await asked).text(), 'ok');
});

test('with Expect the body waits for 100 Continue, and is not sent after a refusal', async () => {
  const { accept, fetch } = await setUp();
  const headers = { expect: '100-continue' };
  const asked = fetch('http://a/', { method: 'POST', body: 'body', headers });
  let peer = await accept();
  ok((await peer.until('\r\n\r\n')).includes('expect: 100-continue\r\n'));
  await peer.send('HTTP/1.1 100 Continue\r\n\r\n');
  await peer.until('body');
  await peer.send('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nyes');
  await peer.end();
  equal(await (await asked).text(), 'yes');
  const refused = fetch('http://a/', { method: 'POST', body: 'body', headers });
  peer = await accept();
  await peer.until('\r\n\r\n');
  await peer.send('HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n');
  equal((await refused).status, 413);
  equal(await peer.until(), '');
});

test('redirects are followed as fetch follows them', async () => {
  const to = (status: number, location: string) => `HTTP/1.1 ${status} Moved\r\nlocation: ${location}\r\ncontent-length: 4\r\n\r\ngone`;
  const here = 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhere';
  const { fetch, requests } = await answering({
    '/301': to(301, '/here'),
    '/302': to(302, 'here'),
    '/303': to(303, '/here'),
    '/307': to(307, '/here'),
    '/308': to(308, 'http://b/here'),
    '/loop': to(302, '/loop'),
    '/secure': to(302, 'https://a/'),
    '/nowhere': 'HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n',
    '/here': here,
  });
  const hop = async (path: string, init?: RequestInit) => {
    requests.length = 0;
    const response = await fetch(`http://a${path}`, init);
    equal(await response.text(), 'here');
    equal(response.redirected, true);
    return [response.url, ...requests[1]!.split(' ').slice(0, 2)];
  };
  const post = { method: 'POST', headers: { authorization: 'secret' } };
  deepEqual(await hop('/301#x'), ['http://a/here', 'GET', '/here']);
  deepEqual(await hop('/301', post), ['http://a/here', 'GET', '/here']);
  ok(requests[1]!.includes('authorization: secret'));
  deepEqual(await hop('/302', { method: 'PUT' }), ['http://a/here', 'PUT', '/here']);
  deepEqual(await hop('/303', { method: 'PUT' }), ['http://a/here', 'GET', '/here']);
  deepEqual(await hop('/303', { method: 'HEAD' }).catch(() => requests[1]!.split(' ')[0]), 'HEAD');
  deepEqual(await hop('/307', post), ['http://a/here', 'POST', '/here']);
  deepEqual(await hop('/308', post), ['http://b/here', 'POST', '/here']);
  ok(!requests[1]!.includes('authorization'));
  await rejects(fetch('http://a/loop'), { name: 'TypeError', message: 'redirect count exceeded' });
  await rejects(fetch('http://a/secure'), { name: 'TypeError', message: 'unsupported protocol: https:' });
  await rejects(fetch('http://a/301', { redirect: 'error' }), { name: 'TypeError', message: 'unexpected redirect' });
  equal((await fetch('http://a/301', { redirect: 'manual' })).headers.get('location'), '/here');
  equal((await fetch('http://a/nowhere')).status, 302);
  const stream = new ReadableStream({ start: (controller) => controller.close() });
  await rejects(fetch('http://a/307', { method: 'POST', body: stream, duplex: 'half' } as RequestInit), {
    name: 'TypeError',
    message: 'redirect of a request whose body is a stream',
  });
});

test('coded content is decoded', async () => {
  const network = new MemoryNetwork();
  const { fetch, serve } = await createHttp(network);
  const text = 'netloom '.repeat(1000);
  await serve((request) => {
    const { pathname } = new URL(request.url);
    if (pathname === '/empty') return new Response(new Uint8Array(0), { headers: { 'content-encoding': 'gzip' } });
    if (pathname === '/broken') return new Response('not gzip', { headers: { 'content-encoding': 'gzip' } });
    if (pathname === '/unknown') return new Response('as it is', { headers: { 'content-encoding': 'zstd' } });
    let body = new Blob([text]).stream();
    const [codings, formats] = (
      {
        '/gzip': ['gzip', ['gzip']],
        '/deflate': ['deflate', ['deflate']],
        '/raw': ['deflate', ['deflate-raw']],
        '/both': ['deflate, gzip', ['deflate', 'gzip']],
      } as const
    )[pathname as '/gzip']!;
    for (const format of formats) body = body.pipeThrough(new CompressionStream(format) as never);
    return new Response(body, { headers: { 'content-encoding': codings } });
  });
  for (const path of ['/gzip', '/deflate', '/raw', '/both']) equal(await (await fetch(`http://a${path}`)).text(), text, path);
  equal(await (await fetch('http://a/empty')).text(), '');
  equal(await (await fetch('http://a/unknown')).text(), 'as it is');
  await rejects((await fetch('http://a/broken')).text());
});

/** Reads a body to its end. Browsers' `text()` hides why a body broke off. */
async function drain({ body }: Response): Promise<void> {
  const reader = body!.getReader();
  while (!(await reader.read()).done);
}

test('errors say what happened', async () => {
  const { accept, fetch } = await setUp();
  const cause = async (asked: Promise<unknown>) => ((await rejects(asked, { name: 'TypeError' })).cause as { code?: string }).code;
  equal(await cause(fetch('http://a:81/')), 'ECONNREFUSED');
  await rejects(fetch('https://example.com/'), { name: 'TypeError', message: 'unsupported protocol: https:' });
  await rejects(fetch('ftp://example.com/'), { name: 'TypeError', message: 'unsupported protocol: ftp:' });
  await rejects(fetch('http://a/', { method: 'GET', body: 'x' }), { name: 'TypeError' });
  let asked: Promise<unknown> = cause(fetch('http://a/'));
  await (await accept()).end();
  equal(await asked, 'ECONNRESET');
  const short = fetch('http://a/');
  const peer = await accept();
  await peer.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello');
  asked = cause(drain(await short));
  await peer.end();
  equal(await asked, 'ECONNRESET');
  const reason = new Error('the body failed');
  const failing = new ReadableStream({ pull: (controller) => controller.error(reason) });
  const failed = await rejects(fetch('http://a/', { method: 'POST', body: failing, duplex: 'half' } as RequestInit), { name: 'TypeError' });
  equal(failed.cause, reason);
});

test('timeouts end what a server does not finish', async () => {
  const cause = async (asked: Promise<unknown>) => ((await rejects(asked, { name: 'TypeError' })).cause as { code?: string }).code;
  const head = await setUp({ headersTimeout: 20 });
  equal(await cause(head.fetch('http://a/')), 'ETIMEDOUT');
  const body = await setUp({ bodyTimeout: 20 });
  const stalled = body.fetch('http://a/');
  const peer = await body.accept();
  await peer.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello');
  equal(await cause(drain(await stalled)), 'ETIMEDOUT');
  // Nor does a server that reads no more hold a request's body for ever.
  const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65536)) });
  equal(await cause(body.fetch('http://a/', { method: 'POST', body: endless, duplex: 'half' } as RequestInit)), 'ETIMEDOUT');
});

test('an abort ends a request at every stage, with a reset', async () => {
  const { network, accept, fetch } = await setUp();
  await rejects(fetch('http://a/', { signal: AbortSignal.abort() }), { name: 'AbortError' });
  equal(network.opened.length, 0);

  const head = new AbortController();
  const asked = rejects(fetch('http://a/', { signal: head.signal }), { message: 'why' });
  let peer = await accept();
  await peer.until('\r\n\r\n');
  head.abort(new Error('why'));
  await asked;
  await rejects(peer.until(), { code: 'ECONNRESET' });

  const body = new AbortController();
  const response = fetch('http://a/', { signal: body.signal });
  peer = await accept();
  await peer.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello');
  const reader = (await response).body!.getReader();
  equal((await reader.read()).value!.length, 5);
  const reading = rejects(reader.read(), { name: 'AbortError' });
  body.abort();
  await reading;
  await rejects(peer.until('never'), { code: 'ECONNRESET' });

  const upload = new AbortController();
  let cancelled!: (reason: unknown) => void;
  const cancel = new Promise((resolve) => (cancelled = resolve));
  const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1000)), cancel: (reason) => cancelled(reason) });
  const sending = rejects(fetch('http://a/', { method: 'POST', body: endless, duplex: 'half', signal: upload.signal } as RequestInit), { name: 'AbortError' });
  peer = await accept();
  await peer.until('\r\n\r\n');
  upload.abort();
  await sending;
  equal(((await cancel) as Error).name, 'AbortError');

  const done = new AbortController();
  const whole = fetch('http://a/', { signal: done.signal });
  peer = await accept();
  await peer.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
  equal(await (await whole).text(), 'ok');
  done.abort();
  const next = fetch('http://a/next');
  await peer.until('GET /next');
  await peer.send('HTTP/1.1 204 No Content\r\n\r\n');
  equal((await next).status, 204);
});

test('a response body that is cancelled resets its connection', async () => {
  const { accept, fetch } = await setUp();
  const asked = fetch('http://a/');
  const peer = await accept();
  await peer.send('HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nhello');
  await (await asked).body!.cancel();
  await rejects(peer.until('never'), { code: 'ECONNRESET' });
});

test('large bodies flow both ways at the pace of the reader', async () => {
  const network = new MemoryNetwork();
  const { fetch, serve } = await createHttp(network);
  await serve((request) => new Response(request.body));
  const total = 16 << 20;
  let sent = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        controller.enqueue(new Uint8Array(65536).fill(sent >> 16));
        sent += 65536;
        if (sent === total) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  const response = await fetch('http://a/', { method: 'POST', body, duplex: 'half' } as RequestInit);
  const reader = response.body!.getReader();
  let received = 0;
  for (let step = await reader.read(); !step.done; step = await reader.read()) {
    received += step.value.length;
    // Two pipes of 64 KiB, and what passes from one to the other.
    ok(sent - received <= 1 << 20, `sent ${sent} to a reader that took ${received}`);
  }
  equal(received, total);
  equal(sent, total);
  ok(Math.max(...network.pipes.flat().map((pipe) => pipe.peak)) <= 3 * 65536);
});

test('TLS is whoever is given for it', async () => {
  const network = new MemoryNetwork();
  const asked: unknown[] = [];
  const { fetch, serve } = await createHttp(network, {
    tls: async ({ readable, writable, close }, { host, port }) => {
      asked.push([host, port]);
      return { readable, writable, close };
    },
  });
  await serve({ port: 443 }, (request) => new Response(request.headers.get('host')));
  equal(await (await fetch('https://example.test/')).text(), 'example.test');
  deepEqual(asked, [['example.test', 443]]);
});

test('a stack of tcpip.js 0.3 or a copy of one works', async () => {
  const network = new MemoryNetwork();
  const stack = {
    connectTcp: network.connect.bind(network),
    listenTcp: network.listen.bind(network),
    tcp: { connect: () => Promise.reject(new Error('not this one')) },
  };
  const { fetch, serve } = await createHttp(stack);
  await serve(() => new Response('ok'));
  equal(await (await fetch('http://[::1]/')).text(), 'ok');
  const modern = await createHttp({ tcp: network });
  equal(await (await modern.fetch('http://a/')).text(), 'ok');
});

test('a connection that is but streams and close works, and is closed once the body is read', async () => {
  const network = new MemoryNetwork();
  const { serve } = await createHttp(network);
  await serve(() => new Response('hello', { headers: { connection: 'close' } }));
  let closes = 0;
  const { fetch } = await createHttp({
    connect: async (o) => {
      const inner = await network.connect(o);
      return { readable: inner.readable, writable: inner.writable, close: async () => void ((closes += 1), await inner.close()) } as never;
    },
  });
  const response = await fetch('http://a/');
  equal(closes, 0);
  equal(await response.text(), 'hello');
  equal(closes, 1);
});

test('too many interim responses are refused', async () => {
  const { accept, fetch } = await setUp();
  const asked = rejects(fetch('http://a/'), { name: 'TypeError' });
  const peer = await accept();
  await peer.send('HTTP/1.1 102 Processing\r\n\r\n'.repeat(40));
  ok((await asked).cause instanceof HttpProtocolError);
});
