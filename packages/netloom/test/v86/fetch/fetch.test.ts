/** What guests ask by the `fetch` backend, and are answered: the web is a hook. */
import { deepEqual, equal, ok, test } from '../../harness.ts';
import { DIALLED, fromNetwork, get, setUp } from './setup.ts';

const head = (text: string) => text.slice(0, text.indexOf('\r\n\r\n'));
const body = (text: string) => text.slice(text.indexOf('\r\n\r\n') + 4);

test('fetch: a GET is asked of the web as its Host names it, and answered with the fields that v86 adds', async () => {
  const { ask, calls } = await setUp(async (url) => fromNetwork('hello', { url, headers: { 'content-length': '5', 'x-server': 'a' } }));
  const text = await ask(get('http://example.test/a?b=c', 'User-Agent: Wget\r\nX-Mine: 1\r\nTE: trailers\r\n'));
  equal(calls[0]!.url, 'http://example.test/a?b=c');
  equal(calls[0]!.init.method, 'GET');
  equal(calls[0]!.init.headers.get('x-mine'), '1');
  for (const name of ['host', 'connection', 'te']) equal(calls[0]!.init.headers.get(name), null);
  ok(text.startsWith('HTTP/1.1 200 OK\r\n'));
  for (const field of ['x-server: a', 'x-was-fetch-redirected: false', 'x-fetch-resp-url: http://example.test/a?b=c', 'content-length: 5', 'connection: close'])
    ok(head(text).includes(`\r\n${field}`), field);
  equal(body(text), 'hello');
});

test('fetch: the backend is up at once, and takes port 80 of TCP alone', async () => {
  const { egress, reported, flowTo } = await setUp(async () => new Response());
  deepEqual(reported, ['up']);
  const never = () => {
    throw new Error('accepted');
  };
  deepEqual(
    [80, 443, 8080].map((port) => egress.serves(flowTo(port, never))),
    [true, false, false],
  );
  ok(!egress.serves({ ...flowTo(80, never), protocol: 'udp' } as never));
  // The guest gave up before: nothing is thrown.
  egress.open(flowTo(80, never));
});

test('fetch: a hook of v86 may return an object with a reader of its own, which ends with its last chunk', async () => {
  const contents = new TextEncoder().encode('This text is from the mock');
  const { ask } = await setUp(
    async () =>
      ({
        status: 200,
        statusText: 'OK',
        headers: new Headers({ 'content-type': 'text/plain', 'content-length': String(contents.length) }),
        body: { getReader: () => ({ read: async () => ({ value: contents, done: true }) }) },
      }) as unknown as Response,
  );
  const text = await ask(get('http://mocked.example.org/'));
  ok(head(text).includes(`content-length: ${contents.length}`));
  ok(text.endsWith('\r\n\r\nThis text is from the mock'));
});

test('fetch: without a body there is arrayBuffer', async () => {
  const { ask } = await setUp(
    async () => ({ status: 200, statusText: 'Fine\r\nx: y', headers: {}, arrayBuffer: async () => new TextEncoder().encode('whole').buffer }) as never,
  );
  const text = await ask(get('http://a/'));
  ok(text.startsWith('HTTP/1.1 200 OK\r\n'));
  ok(text.includes('\r\n5\r\nwhole\r\n'));
});

test('fetch: connections are kept, and pipelined requests answered in order', async () => {
  const gates: (() => void)[] = [];
  const { guest, calls } = await setUp(async (url) => {
    if (calls.length === 1) await new Promise<void>((resolve) => gates.push(resolve));
    return fromNetwork(url.slice(-1), { url, headers: { 'content-length': '1' } });
  });
  const peer = await guest();
  await peer.send('GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n');
  while (gates.length === 0) await new Promise((resolve) => setTimeout(resolve));
  gates[0]!();
  ok((await peer.until('\r\n\r\n1')).endsWith('1'));
  ok((await peer.until('\r\n\r\n2')).endsWith('2'));
  await peer.send('GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  ok((await peer.until()).endsWith('\r\n\r\n3'));
});

test('fetch: Content-Length is given where it is that of the body, and only there', async () => {
  const exposed = { 'access-control-allow-origin': '*' };
  const rows: [string, ResponseInit & { type?: ResponseType }, boolean][] = [
    ['same origin', {}, true],
    ['encoded', { headers: { 'content-encoding': 'gzip' } }, false],
    ['another origin that hides its fields', { type: 'cors' }, false],
    ['another origin that shows them', { type: 'cors', headers: exposed }, true],
    ['a range of another origin', { type: 'cors', status: 206 }, true],
  ];
  const long = 'x'.repeat(100_000);
  for (const [what, init, told] of rows) {
    const { ask } = await setUp(async (url) =>
      fromNetwork(long, { url, ...init, headers: { ...(init.headers as Record<string, string>), 'content-length': String(long.length) } }),
    );
    const text = await ask(get('http://a/', 'Range: bytes=0-4\r\n'));
    equal(head(text).includes(`content-length: ${long.length}`), told, what);
    equal(head(text).includes('content-encoding'), false, what);
    ok(text.includes(told ? long : 'xxxxx'), what);
  }
});

test('fetch: what a hook has made is counted', async () => {
  for (const told of ['5', '4', '60000']) {
    const { ask } = await setUp(async () => new Response('hello', { headers: { 'content-length': told } }));
    const text = await ask(get('http://a/'));
    ok(head(text).includes('content-length: 5'), told);
    equal(body(text), 'hello');
  }
  const long = 'x'.repeat(100_000);
  const { ask } = await setUp(async () => new Response(long, { headers: { 'content-length': '5' } }));
  const text = await ask(get('http://a/'));
  ok(head(text).includes('transfer-encoding: chunked'));
  equal(body(text).replaceAll(/[^x]/g, ''), long);
});

test('fetch: HEAD has its length and no body', async () => {
  const { ask, calls } = await setUp(async (url) => fromNetwork(null, { url, type: 'cors', headers: { 'content-length': '12345' } }));
  const text = await ask('HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  equal(calls[0]!.init.method, 'HEAD');
  ok(head(text).includes('content-length: 12345'));
  equal(body(text), '');
});

test('fetch: a client without Host gets what it dialled', async () => {
  const { ask, calls } = await setUp(async (url) => fromNetwork('hello', { url }));
  await ask('GET /b HTTP/1.1\r\nConnection: close\r\n\r\n');
  equal(calls.pop()!.url, `http://${DIALLED}/b`);
  const text = await ask('GET /a HTTP/1.0\r\n\r\n');
  equal(calls[0]!.url, `http://${DIALLED}/a`);
  equal(body(text), 'hello');
  ok(!head(text).includes('transfer-encoding'));
});

test('fetch: the absolute form goes before Host, also with https', async () => {
  const { ask, calls } = await setUp(async (url) => fromNetwork(null, { url }));
  await ask('GET https://secure.test/x HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n');
  equal(calls[0]!.url, 'https://secure.test/x');
});

test('fetch: CONNECT to port 80 is a tunnel to the same server, and to others there is none', async () => {
  const { ask, guest, calls } = await setUp(async (url) => fromNetwork('in', { url }));
  const peer = await guest();
  await peer.send('CONNECT inner.test:80 HTTP/1.1\r\nHost: inner.test:80\r\n\r\n');
  ok((await peer.until('\r\n\r\n')).startsWith('HTTP/1.1 200 '));
  await peer.send('GET /t HTTP/1.0\r\n\r\n');
  ok((await peer.until()).endsWith('\r\n\r\nin'));
  equal(calls[0]!.url, 'http://inner.test/t');
  const refused = await ask('CONNECT inner.test:443 HTTP/1.1\r\nHost: inner.test:443\r\nConnection: close\r\n\r\n');
  ok(refused.startsWith('HTTP/1.1 502 Fetch Error\r\n'));
});

test('fetch: PORT.external is that port of the page’s machine; what is no port is refused', async () => {
  const { ask, calls } = await setUp(async (url) => fromNetwork(null, { url }), { corsProxy: 'http://proxy/' });
  await ask(get('http://8000.external/x'));
  equal(calls[0]!.url, 'http://localhost:8000/x');
  for (const port of ['0', '65536']) {
    const text = await ask(get(`http://${port}.external/x`));
    ok(text.startsWith('HTTP/1.1 400 Bad Request\r\n'));
    equal(body(text), `Unknown port for localhost: http://${port}.external/x`);
  }
  equal(calls.length, 1);
});

test('fetch: a malformed field is refused with the line that it is', async () => {
  const { ask, calls } = await setUp(async () => new Response());
  for (const line of ['test.v86: 123', 'test:', 'test: ', 'testheader', 'test: \xe4', ': x', 'test : x']) {
    const text = await ask(`GET / HTTP/1.1\r\nHost: a\r\n${line}\r\n\r\n`);
    ok(text.startsWith('HTTP/1.1 400 Bad Request\r\n'), line);
    equal(body(text), `Invalid header in request: ${line}`);
    ok(head(text).includes('connection: close'));
  }
  equal(calls.length, 0);
});

test('fetch: bodies of every method arrive, by length and in chunks', async () => {
  const seen: string[] = [];
  const { ask } = await setUp(async (url, { method, body: sent }) => {
    seen.push(`${method} ${await new Response(sent as BodyInit).text()}`);
    return fromNetwork(null, { url });
  });
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND']) {
    await ask(`${method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello`);
    await ask(`${method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n`);
  }
  deepEqual(
    seen,
    ['POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND'].flatMap((method) => [`${method} hello`, `${method} hello`]),
  );
});

test('fetch: Expect gets its 100 before the body', async () => {
  const { guest } = await setUp(async (url, { body: sent }) => fromNetwork(await new Response(sent as BodyInit).text(), { url }));
  const peer = await guest();
  await peer.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n');
  equal(await peer.until('\r\n\r\n'), 'HTTP/1.1 100 Continue\r\n\r\n');
  await peer.send('hello');
  ok((await peer.until()).includes('\r\n5\r\nhello\r\n'));
});

test('fetch: a failure is told with the URL and the reason, and the connection goes on', async () => {
  const { guest } = await setUp(() => Promise.reject(new TypeError('fetch failed', { cause: new Error('no way') })));
  const peer = await guest();
  for (let again = 0; again < 2; again++) {
    await peer.send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
    const text = await peer.until('no way');
    ok(text.startsWith('HTTP/1.1 502 Fetch Error\r\n'));
    ok(text.includes('content-type: text/plain'));
    ok(body(text).startsWith('Fetch http://a/x failed:\n\nTypeError: fetch failed\nError: no way'));
  }
});

test('fetch: a hook that gives nonsense, or throws at once, is a failure like another', async () => {
  const hooks: (() => unknown)[] = [
    () => undefined,
    () => ({}),
    () => Response.error(),
    () => {
      throw new Error('thrown');
    },
  ];
  for (const hook of hooks) {
    const { ask } = await setUp(async () => hook() as Response);
    ok((await ask(get('http://a/'))).startsWith('HTTP/1.1 502 Fetch Error\r\n'));
  }
});

test('fetch: a server that breaks off in a body breaks the guest’s connection off', async () => {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const { guest } = await setUp(async (url) => fromNetwork(new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) }), { url }));
  const peer = await guest();
  await peer.send(get('http://a/'));
  await peer.until('\r\n\r\n');
  controller.enqueue(new TextEncoder().encode('first'));
  await peer.until('first');
  controller.error(new Error('broken'));
  let broken = false;
  await peer.until().catch(() => (broken = true));
  ok(broken);
});

test('fetch: a guest that resets aborts the fetch, before the answer and in its body', async () => {
  let reached!: (signal: AbortSignal) => void;
  const asked = () => new Promise<AbortSignal>((resolve) => (reached = resolve));
  let cancelled!: () => void;
  const cancelling = new Promise<void>((resolve) => (cancelled = resolve));
  const { network } = await setUp(async (url, { signal }) => {
    reached(signal!);
    if (url.endsWith('/body'))
      return fromNetwork(new ReadableStream<Uint8Array>({ pull: (c) => c.enqueue(new Uint8Array(65536)), cancel: cancelled }), { url });
    return new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason)));
  });
  for (const path of ['wait', 'body']) {
    const reach = asked();
    const connection = await network.connect({ host: DIALLED, port: 80 });
    await connection.write(new TextEncoder().encode(get(`http://a/${path}`)));
    const signal = await reach;
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    connection.reset();
    await (path === 'wait' ? aborted : cancelling);
  }
});

test('fetch: a guest that reads slowly holds the server back', async () => {
  let pulled = 0;
  const { egress, guest, network } = await setUp(async (url) =>
    fromNetwork(
      new ReadableStream<Uint8Array>({
        pull(controller) {
          pulled += 65536;
          controller.enqueue(new Uint8Array(65536));
        },
      }),
      { url },
    ),
  );
  const peer = await guest();
  await peer.send(get('http://a/'));
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setTimeout(resolve));
  ok(pulled > 0 && pulled <= 1 << 20, `${pulled} bytes were taken from the server`);
  ok(network.pipes[0]![1].peak <= 1 << 20);
  egress.close();
});

test('fetch: closing the backend breaks off what is under way', async () => {
  let abort!: AbortSignal;
  const { guest, egress } = await setUp((_url, { signal }) => {
    abort = signal!;
    return new Promise(() => undefined);
  });
  const peer = await guest();
  await peer.send(get('http://a/'));
  while (!abort) await new Promise((resolve) => setTimeout(resolve));
  egress.close();
  let broken = false;
  await peer.until().catch(() => (broken = true));
  ok(broken);
  ok(abort.aborted);
});
