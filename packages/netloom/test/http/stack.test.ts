/** HTTP over a stack: what code written for tcpip.js does, and what a stack adds. */
import { createHttp, upgradeWebSocket } from '../../src/http/index.ts';
import { createStack } from '../../src/index.ts';
import { deepEqual, equal, ok, rejects, test } from '../harness.ts';
import { Peer } from './peer.ts';

test('a stack serves itself, by both ways to make HTTP', async () => {
  await using stack = await createStack();
  for (const [port, transport] of [
    [8084, stack],
    [8085, stack.tcp],
  ] as const) {
    const { fetch, serve } = await createHttp(transport);
    await serve({ host: '127.0.0.1', port }, async (request) => Response.json({ method: request.method, url: request.url, body: await request.text() }));
    const response = await fetch(`http://127.0.0.1:${port}/items`, { method: 'POST', body: 'abc' });
    deepEqual(await response.json(), { method: 'POST', url: `http://127.0.0.1:${port}/items`, body: 'abc' });
  }
});

test('a copy of a connection with another close is told when the body is read', async () => {
  await using stack = await createStack();
  const { serve } = await createHttp(stack.tcp);
  await serve(() => new Response('hello', { headers: { connection: 'close' } }));
  const connection = await stack.tcp.connect({ host: '127.0.0.1', port: 80 });
  let closes = 0;
  const copy = { ...connection, close: async () => void ((closes += 1), await connection.close()) };
  const { fetch } = await createHttp({ ...stack, connectTcp: async () => copy } as never);
  const response = await fetch('http://127.0.0.1/');
  equal(closes, 0);
  equal(await response.text(), 'hello');
  equal(closes, 1);
});

test('what fails has the codes of the stack', async () => {
  await using stack = await createStack();
  const { fetch, serve } = await createHttp(stack.tcp);
  const cause = async (asked: Promise<unknown>) => ((await rejects(asked, { name: 'TypeError' })).cause as { code: string }).code;
  equal(await cause(fetch('http://127.0.0.1:81/')), 'ECONNREFUSED');
  const server = await serve({ port: 0 }, () => new Response());
  await rejects(
    serve({ port: server.port }, () => new Response()),
    { code: 'EADDRINUSE' },
  );
  await server.close();
  equal(await cause(fetch(`http://127.0.0.1:${server.port}/`)), 'ECONNREFUSED');
});

test('a reset reaches the handler, and a closed stack all who wait', async () => {
  const stack = await createStack();
  const { fetch, serve } = await createHttp(stack.tcp);
  let aborted!: () => void;
  const abort = new Promise<void>((resolve) => (aborted = resolve));
  let reached!: () => void;
  let reach = new Promise<void>((resolve) => (reached = resolve));
  await serve((request) => {
    request.signal.addEventListener('abort', () => aborted());
    reached();
    return new Promise<Response>(() => undefined);
  });
  const stop = new AbortController();
  const first = rejects(fetch('http://127.0.0.1/', { signal: stop.signal }), { name: 'AbortError' });
  await reach;
  stop.abort();
  await first;
  await abort;
  reach = new Promise<void>((resolve) => (reached = resolve));
  const second = rejects(fetch('http://127.0.0.1/'), { name: 'TypeError' });
  await reach;
  await stack.close();
  await second;
});

test('large bodies cross a stack whole, both ways at once', async () => {
  await using stack = await createStack();
  const { fetch, serve } = await createHttp(stack.tcp);
  await serve((request) => new Response(request.body));
  const total = 8 << 20;
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(new Uint8Array(65536).map((_, at) => (sent + at) % 251));
      if ((sent += 65536) === total) controller.close();
    },
  });
  const response = await fetch('http://127.0.0.1/', { method: 'POST', body, duplex: 'half' } as RequestInit);
  let at = 0;
  for (const reader = response.body!.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    for (const byte of value) if (byte !== at++ % 251) throw new Error(`byte ${at - 1} differs`);
  }
  equal(at, total);
});

test('a thousand requests at once have a connection each, or share what they are given', async () => {
  await using stack = await createStack();
  for (const [port, maxConnectionsPerHost] of [
    [80, 1000],
    [81, 8],
  ] as const) {
    const { fetch, serve, close } = await createHttp(stack.tcp, { maxConnectionsPerHost });
    let waiting = 0;
    let release!: () => void;
    const gate = new Promise<void>((resolve) => (release = resolve));
    await serve({ port }, async (request) => {
      // All that may run at once do.
      if (++waiting === maxConnectionsPerHost) release();
      await gate;
      return new Response(request.url);
    });
    await Promise.all(
      Array.from({ length: 1000 }, async (_, at) => {
        const url = `http://127.0.0.1:${port}/${at}`;
        equal(await (await fetch(url)).text(), new URL(url).href);
      }),
    );
    await close();
  }
});

test('a WebSocket over a stack', async () => {
  await using stack = await createStack();
  const { serve, WebSocket } = await createHttp(stack.tcp);
  await serve((request) => {
    const { response, socket } = upgradeWebSocket(request);
    socket.onmessage = ({ data }) => socket.send(`${data}!`);
    return response;
  });
  const socket = new WebSocket('ws://127.0.0.1/');
  socket.onopen = () => socket.send('hello');
  const answer = await new Promise((resolve) => (socket.onmessage = ({ data }) => resolve(data)));
  equal(answer, 'hello!');
  const closed = new Promise<CloseEvent>((resolve) => (socket.onclose = resolve));
  socket.close(1000);
  ok((await closed).wasClean);
});

test('a server that closes leaves raw clients with all that was sent', async () => {
  await using stack = await createStack();
  const { serve } = await createHttp(stack);
  await serve({ host: '127.0.0.1', port: 8086, handler: () => new Response('closed', { headers: { 'content-type': 'a/b' } }) });
  const peer = new Peer(await stack.connectTcp({ host: '127.0.0.1', port: 8086 }));
  await peer.send('GET /closed HTTP/1.1\r\nhost: 127.0.0.1:8086\r\nconnection: close\r\n\r\n');
  equal(await peer.until(), 'HTTP/1.1 200 OK\r\ncontent-type: a/b\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n6\r\nclosed\r\n0\r\n\r\n');
});
