/** The `fetch` backend by Node's own `fetch`, to servers of Node, of `ws` and of cors-anywhere. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import corsAnywhere from 'cors-anywhere';
import { WebSocket as NodeWebSocket, WebSocketServer } from 'ws';
import { createHttp } from '../../src/http/index.ts';
import { get, setUp, type Web } from '../v86/fetch/setup.ts';

const MIB = 1 << 20;
const BLOCK = Buffer.alloc(65_536, 'netloom fetch backend ');

async function listening(t: TestContext, server: http.Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const web = (options: Web = {}) => setUp((url, init) => fetch(url, init as RequestInit), options);

/** A guest's client, whose requests go by the backend to whatever their URL says. */
async function client(options: Web = {}) {
  const { network } = await web(options);
  return createHttp({ connect: () => network.connect({ host: '10.0.0.2', port: 80 }) });
}

function hashOf(chunks: Iterable<Uint8Array>): string {
  const hash = createHash('sha256');
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}

/** Takes bodies and tells what they were. */
const sink: http.RequestListener = async (request, response) => {
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of request) {
    hash.update(chunk as Buffer);
    length += (chunk as Buffer).length;
  }
  response.end(JSON.stringify({ method: request.method, length, told: request.headers['content-length'], hash: hash.digest('hex') }));
};

describe('the fetch backend', () => {
  test('carries bodies of every method both ways, known and unknown in length', async (t) => {
    const host = await listening(t, http.createServer(sink));
    const { fetch: ask } = await client();
    const blocks = Array.from({ length: 32 }, () => BLOCK);
    const expected = hashOf(blocks);
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND']) {
      for (const known of [true, false]) {
        const body = known ? new Blob(blocks) : new Blob(blocks).stream();
        const response = await ask(`http://${host}/`, { method, body, duplex: 'half' } as RequestInit);
        const seen = (await response.json()) as Record<string, unknown>;
        assert.deepEqual(seen, { method, length: 2 * MIB, hash: expected, ...(known && { told: String(2 * MIB) }) }, `${method}, known: ${known}`);
      }
    }
    const response = await ask(`http://${host}/`, { method: 'PATCH', body: 'small' });
    assert.equal(((await response.json()) as { told: string }).told, '5');
  });

  test('streams a large answer, with its length', async (t) => {
    const host = await listening(
      t,
      http.createServer((_request, response) => {
        response.setHeader('content-length', 16 * MIB);
        for (let sent = 0; sent < 16 * MIB; sent += BLOCK.length) response.write(BLOCK);
        response.end();
      }),
    );
    const { fetch: ask } = await client();
    const response = await ask(`http://${host}/`);
    assert.equal(response.headers.get('content-length'), String(16 * MIB));
    assert.equal(hashOf([new Uint8Array(await response.arrayBuffer())]), hashOf(Array.from({ length: 256 }, () => BLOCK)));
  });

  test('a range, a redirect and the cookies of a server reach the guest', async (t) => {
    const host = await listening(
      t,
      http.createServer((request, response) => {
        if (request.url === '/from') return response.writeHead(302, { location: '/to' }).end();
        const { range } = request.headers;
        response.writeHead(range ? 206 : 200, { 'set-cookie': ['a=1', 'b=2'], ...(range && { 'content-range': 'bytes 1-2/5' }) });
        response.end(range ? 'el' : 'hello');
      }),
    );
    const { ask } = await web();
    const text = await ask(get(`http://${host}/from`, 'Range: bytes=1-2\r\n'));
    assert.match(text, /^HTTP\/1\.1 206 Partial Content\r\n/);
    for (const field of [
      'x-was-fetch-redirected: true',
      `x-fetch-resp-url: http://${host}/to`,
      'content-range: bytes 1-2/5',
      'set-cookie: a=1',
      'set-cookie: b=2',
    ])
      assert.ok(text.includes(`\r\n${field}\r\n`), field);
    assert.ok(text.endsWith('el\r\n0\r\n\r\n'));
  });

  test('a server that breaks off in its body ends the guest’s connection, and one that is not there is a 502', async (t) => {
    const server = http.createServer((_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('some', () => response.socket!.resetAndDestroy());
    });
    const host = await listening(t, server);
    const { ask } = await web();
    await assert.rejects(ask(get(`http://${host}/`)), { code: 'ECONNRESET' });
    server.close();
    const text = await ask(get(`http://${host}/`));
    assert.match(text, /^HTTP\/1\.1 502 Fetch Error\r\n/);
    assert.ok(text.includes(`Fetch http://${host}/ failed:\n\nTypeError: fetch failed`), text);
  });

  test('a guest that goes away ends the fetch at the server', async (t) => {
    const server = http.createServer((_request, response) => response.write('first'));
    const host = await listening(t, server);
    const { guest, network } = await web();
    const gone = once(server, 'request').then(([, response]) => once(response as http.ServerResponse, 'close'));
    const peer = await guest();
    await peer.send(get(`http://${host}/`));
    await peer.until('first');
    network.opened.at(-1)!.reset();
    await gone;
  });

  test('a slow guest holds the server back', async (t) => {
    let written = 0;
    const host = await listening(
      t,
      http.createServer((_request, response) => {
        const more = () => {
          written += BLOCK.length;
          while (written < 512 * MIB && response.write(BLOCK)) written += BLOCK.length;
        };
        response.on('drain', more);
        more();
      }),
    );
    const { guest, network } = await web();
    const peer = await guest();
    await peer.send(get(`http://${host}/`));
    // It stands still once every buffer of the way is full.
    for (let before = -1; before !== written; ) {
      before = written;
      for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(written < 64 * MIB, `${written} bytes were sent`);
    // A socket that nobody reads does not hear of its end, and keeps the process.
    network.opened.at(-1)!.reset();
  });

  test('through cors-anywhere, whose prefix takes the URL as it is, and through a proxy of queries', async (t) => {
    const server = http.createServer((request, response) => response.setHeader('x-seen', request.url!).end(`${request.method} ${request.headers['x-mine']}`));
    const host = await listening(t, server);
    const anywhere = await listening(t, corsAnywhere.createServer({}));
    const queries = await listening(
      t,
      http.createServer(async (request, response) => {
        const answer = await fetch(new URL(request.url!, 'http://a').searchParams.get('url')!, { headers: { 'x-mine': request.headers['x-mine'] as string } });
        response.end(await answer.text());
      }),
    );
    for (const prefix of [`http://${anywhere}/`, `http://${queries}/?url=`]) {
      // As in a page that CORS keeps from all but the proxy.
      const { ask } = await setUp(
        (url, init) =>
          url.startsWith(prefix)
            ? fetch(url, { ...init, headers: { ...Object.fromEntries(new Headers(init.headers)), origin: 'http://page' } } as RequestInit)
            : Promise.reject(new TypeError('Failed to fetch')),
        { corsProxy: prefix },
      );
      const text = await ask(get(`http://${host}/a?b=c`, 'X-Mine: 1\r\n'));
      assert.match(text, /^HTTP\/1\.1 200 OK\r\n/, text);
      assert.ok(text.includes('GET 1'), text);
    }
  });

  test('bridges WebSockets with their subprotocol, messages of both kinds, and how they end', async (t) => {
    const server = http.createServer();
    const sockets = new WebSocketServer({ server, handleProtocols: () => 'chat' });
    sockets.on('connection', (socket, request) => {
      socket.on('message', (data, binary) => {
        if (String(data) === 'close') socket.close(4001, 'bye');
        else if (String(data) === 'away') socket.close(1001);
        else if (String(data) === 'drop') socket.terminate();
        else socket.send(binary ? data : `${request.url} ${String(data)}`, { binary });
      });
    });
    t.after(() => sockets.close());
    const host = await listening(t, server);
    const { openWebSocket } = await client({ WebSocket: NodeWebSocket });
    const open = () => openWebSocket(`ws://${host}/path`, { protocols: ['other', 'chat'] });
    const socket = await open();
    assert.equal(socket.protocol, 'chat');
    const [reader, writer] = [socket.readable.getReader(), socket.writable.getWriter()];
    await writer.write('hello');
    assert.equal((await reader.read()).value, '/path hello');
    const bytes = new Uint8Array(BLOCK);
    await writer.write(bytes);
    assert.deepEqual((await reader.read()).value, bytes);
    await writer.write('close');
    assert.equal((await reader.read()).done, true);
    assert.deepEqual(await socket.closed, { code: 4001, reason: 'bye', wasClean: true });
    for (const [word, code] of [
      ['away', 1001],
      ['drop', 1006],
    ] as const) {
      const other = await open();
      await other.writable.getWriter().write(word);
      await other.readable
        .getReader()
        .read()
        .catch(() => undefined);
      assert.equal((await other.closed).code, code);
    }
    const closing = await open();
    const closed = new Promise<number>((resolve) => [...sockets.clients].at(-1)!.on('close', resolve));
    await closing.close({ code: 4002 });
    assert.equal(await closed, 4002);
  });

  test('a WebSocket that the server does not take, or that cannot be opened here, is refused', async (t) => {
    const host = await listening(
      t,
      http.createServer((_request, response) => response.writeHead(404).end()),
    );
    const refused = await client({ WebSocket: NodeWebSocket });
    await assert.rejects(refused.openWebSocket(`ws://${host}/`), { status: 502 });
    const none = await client();
    await assert.rejects(none.openWebSocket(`ws://${host}/`), { status: 501 });
  });
});
