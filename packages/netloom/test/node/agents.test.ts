/**
 * Node's own http and https, undici and ws through a stack: the server's process side is Node's too, on sockets of ours.
 *
 * @module
 */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { Agent, request } from 'undici';
import WebSocket, { WebSocketServer } from 'ws';
import { createHttpAgent, createHttpsAgent, createNet, createUndiciConnector } from '../../src/node/index.ts';
import { certificate } from './servers.ts';
import { createStacks, FAR } from './stacks.ts';

const stacks = await createStacks();
const near = createNet(stacks.near.tcp);
const far = createNet(stacks.far.tcp);
const body = randomBytes(3 << 20);

const handler: http.RequestListener = async (incoming, response) => {
  if (incoming.url === '/big') return void response.end(body);
  response.setHeader('x-port', String(incoming.socket.remotePort));
  response.end(`${incoming.method} ${incoming.url} ${(await buffer(incoming)).length}`);
};

function made(): { key: string; cert: string } {
  const folder = mkdtempSync(join(tmpdir(), 'netloom-cert-'));
  try {
    const { key, cert } = certificate(folder);
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const { key, cert } = made();
const web = http.createServer(handler);
const secureWeb = http.createServer(handler);
const sockets = new WebSocketServer({ server: web });
sockets.on('connection', (socket) => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })));
const plain = far.createServer((socket) => web.emit('connection', socket));
const secure = far.createServer((socket) => {
  const wrapped = new tls.TLSSocket(socket as never, { isServer: true, secureContext: tls.createSecureContext({ key, cert }) });
  wrapped.on('error', () => {});
  secureWeb.emit('connection', wrapped);
});

before(async () => {
  await Promise.all([once(plain.listen(80), 'listening'), once(secure.listen(443), 'listening')]);
});
after(async () => {
  sockets.close();
  plain.close();
  secure.close();
  web.closeAllConnections();
  secureWeb.closeAllConnections();
  await stacks.close();
});

type Answer = { status: number | undefined; headers: http.IncomingHttpHeaders; body: Buffer };
const ask = (library: typeof http | typeof https, url: string, options: https.RequestOptions, send?: Buffer) =>
  new Promise<Answer>((done, failed) => {
    library
      .request(url, options, async (response) => done({ status: response.statusCode, headers: response.headers, body: await buffer(response) }))
      .on('error', failed)
      .end(send);
  });

test('http.request through an agent', async () => {
  const agent = createHttpAgent(stacks.near.tcp);
  const { status, body: answer } = await ask(http, `http://${FAR}/a?b=c`, { agent, method: 'POST' }, randomBytes(100_000));
  deepEqual([status, String(answer)], [200, 'POST /a?b=c 100000']);
  ok((await ask(http, `http://${FAR}/big`, { agent })).body.equals(body));
  await rejects(ask(http, `http://${FAR}:81/`, { agent }), { code: 'ECONNREFUSED', syscall: 'connect', address: FAR, port: 81 });
  agent.destroy();
});

test('an agent with keepAlive uses its connection again', async () => {
  const agent = createHttpAgent(stacks.near.tcp, { keepAlive: true, maxSockets: 1 });
  const ports = new Set<unknown>();
  for (let round = 0; round < 5; round += 1) ports.add((await ask(http, `http://${FAR}/${round}`, { agent })).headers['x-port']);
  equal(ports.size, 1);
  agent.destroy();
});

test('a request that is aborted ends its connection', async () => {
  const agent = createHttpAgent(stacks.near.tcp);
  const abort = new AbortController();
  const held = far.createServer().listen(8081);
  await once(held, 'listening');
  const accepted = once(held, 'connection');
  const failed = rejects(ask(http, `http://${FAR}:8081/`, { agent, signal: abort.signal }), { name: 'AbortError' });
  const [socket] = await accepted;
  socket.resume();
  abort.abort();
  await failed;
  await once(socket, 'close');
  held.close();
});

test('net.createConnection in place of an agent', async () => {
  const createConnection = near.createConnection as never;
  equal(String((await ask(http, `http://${FAR}/own`, { createConnection })).body), 'GET /own 0');
  const agent = Object.assign(new http.Agent(), { createConnection });
  equal(String((await ask(http, `http://${FAR}/agent`, { agent })).body), 'GET /agent 0');
  const socket = new WebSocket(`ws://${FAR}/`, { createConnection });
  await once(socket, 'open');
  socket.close();
  await once(socket, 'close');
});

test('https.request through an agent', async () => {
  const agent = createHttpsAgent(stacks.near.tcp, { ca: cert, keepAlive: true });
  const { status, body: answer } = await ask(https, `https://${FAR}/secret`, { agent, method: 'PUT' }, Buffer.from('abc'));
  deepEqual([status, String(answer)], [200, 'PUT /secret 3']);
  ok((await ask(https, `https://${FAR}/big`, { agent })).body.equals(body));
  await rejects(ask(https, `https://${FAR}:444/`, { agent }), { code: 'ECONNREFUSED' });
  agent.destroy();
  const stranger = createHttpsAgent(stacks.near.tcp);
  await rejects(ask(https, `https://${FAR}/`, { agent: stranger }), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  stranger.destroy();
});

test('tls.connect over a socket of ours', async () => {
  const socket = tls.connect({ socket: near.connect(443, FAR) as never, ca: cert, servername: 'guest.test' });
  await once(socket, 'secureConnect');
  equal(socket.authorized, true);
  socket.write('GET /raw HTTP/1.1\r\nhost: guest.test\r\nconnection: close\r\n\r\n');
  ok((await text(socket)).endsWith('GET /raw 0'));
});

test('undici through a connector', async () => {
  const dispatcher = new Agent({ connect: createUndiciConnector(stacks.near.tcp, { ca: cert }) });
  const { statusCode, body: answer } = await request(`http://${FAR}/u`, { dispatcher, method: 'POST', body: randomBytes(70_000) });
  deepEqual([statusCode, await answer.text()], [200, 'POST /u 70000']);
  ok(Buffer.from(await (await request(`http://${FAR}/big`, { dispatcher })).body.arrayBuffer()).equals(body));
  equal(await (await request(`https://${FAR}/s`, { dispatcher })).body.text(), 'GET /s 0');
  await rejects(request(`http://${FAR}:81/`, { dispatcher }), { code: 'ECONNREFUSED' });
  await dispatcher.close();
});

test('a connector gives up in time', async () => {
  const dispatcher = new Agent({ connect: createUndiciConnector(stacks.near.tcp, { timeout: 50 }) });
  await rejects(request('http://10.9.0.77/', { dispatcher }), { code: 'ETIMEDOUT' });
  await dispatcher.close();
});

test('ws through an agent, text and binary', async () => {
  const socket = new WebSocket(`ws://${FAR}/`, { agent: createHttpAgent(stacks.near.tcp) });
  await once(socket, 'open');
  const big = randomBytes(300_000);
  const heard: [Buffer, boolean][] = [];
  const all = new Promise<void>((done) =>
    socket.on('message', (data: Buffer, isBinary: boolean) => (heard.push([data, isBinary]), heard.length === 2 && done())),
  );
  socket.send('hello');
  socket.send(big);
  await all;
  deepEqual([String(heard[0]![0]), heard[0]![1], heard[1]![0].equals(big), heard[1]![1]], ['hello', false, true, true]);
  socket.close(1000, 'done');
  const [code, reason] = await once(socket, 'close');
  deepEqual([code, String(reason)], [1000, 'done']);
});

test('fifty requests at once', async () => {
  const agent = createHttpAgent(stacks.near.tcp);
  const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => ask(http, `http://${FAR}/${index}`, { agent })));
  deepEqual(
    answers.map(({ body: answer }) => String(answer)),
    Array.from({ length: 50 }, (_, index) => `GET /${index} 0`),
  );
  agent.destroy();
});
