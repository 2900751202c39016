// The `fetch` backend in Chromium: what CORS lets through, and cors-anywhere for the rest.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';
import test from 'node:test';
import { serve } from '../chromium.mjs';
import { netloom, pagesOf } from './page.mjs';

const require = createRequire(`${netloom}package.json`);
const corsAnywhere = require('cors-anywhere');
const { WebSocketServer } = require('ws');
const html = '<!doctype html><title>page</title><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>';
const BIG = 'x'.repeat(300_000);

const made = pagesOf('v86/fetch/page.ts');

/** A page, and a server of another origin that answers `{ method, body, fields }`, with these fields for CORS. */
async function setUp(t, cors = {}) {
  const seen = [];
  const listener = async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    seen.push({ method: request.method, body: body.length, agent: request.headers['user-agent'], cookie: request.headers.cookie });
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': BIG.length, ...cors });
    response.end(BIG);
  };
  const listen = async (server) => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    return `http://127.0.0.1:${server.address().port}`;
  };
  const server = http.createServer(listener);
  const target = await listen(server);
  const proxy = await listen(corsAnywhere.createServer({}));
  const pages = await serve(made.folder, { '/index.html': html });
  t.after(() => pages.close());
  const page = await made.browser.newPage();
  t.after(() => page.close());
  await page.goto(`${pages.origin}/index.html`);
  await page.waitForFunction(() => globalThis.say);
  const ask = (text, corsProxy = '') => page.evaluate(([what, prefix]) => globalThis.ask(what, prefix), [text, corsProxy]);
  return { server, target, proxy, seen, page, ask, host: new URL(target).host };
}

const get = (host, fields = '') => `GET /a HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${fields}\r\n`;

test('a server that lets pages read is asked directly, without the guest’s User-Agent and without the user’s cookies', async (t) => {
  const { ask, host, seen, page, target } = await setUp(t, { 'access-control-allow-origin': '*' });
  await page.context().addCookies([{ name: 'session', value: '1', url: target }]);
  const { answer, urls, inPage } = await ask(get(host, 'User-Agent: Wget\r\n'));
  assert.ok(inPage);
  assert.deepEqual(urls, [`GET http://${host}/a`]);
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(answer, /transfer-encoding: chunked/, 'its fields are hidden, so that the length may be another one');
  assert.equal(answer.match(/x{1000,}/g).join('').length >= 200_000, true);
  assert.equal(seen.length, 1, 'there was no preflight');
  assert.match(seen[0].agent, /Chrom/);
  assert.equal(seen[0].cookie, undefined);
});

test('one that shows its fields has its length', async (t) => {
  const { ask, host } = await setUp(t, { 'access-control-allow-origin': '*', 'access-control-expose-headers': '*' });
  const { answer } = await ask(get(host));
  assert.match(answer, new RegExp(`content-length: ${BIG.length}\r\n`));
  assert.ok(answer.endsWith(`\r\n\r\n${BIG}`));
});

test('one that does not is a 502, and with cors-anywhere an answer', async (t) => {
  const { ask, host, proxy } = await setUp(t);
  assert.match((await ask(get(host))).answer, /^HTTP\/1\.1 502 Fetch Error\r\n[\s\S]*Fetch http:\/\/\S+ failed:\n\nTypeError/);
  const { answer, urls } = await ask(get(host, 'User-Agent: Wget\r\nX-Mine: 1\r\n'), `${proxy}/`);
  assert.deepEqual(urls, [`GET http://${host}/a`, `GET ${proxy}/http://${host}/a`]);
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(answer, new RegExp(`content-length: ${BIG.length}\r\n`));
});

test('a body is sent once, in full, whatever its length', async (t) => {
  const { ask, host, proxy, seen } = await setUp(t);
  const body = 'y'.repeat(3_000_000);
  const { answer } = await ask(`PUT /a HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`, `${proxy}/`);
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
  assert.deepEqual(
    seen.filter(({ method }) => method === 'PUT').map(({ body: length }) => length),
    [body.length],
  );
});

test('a guest’s WebSocket is the browser’s', async (t) => {
  const { server, host, page } = await setUp(t);
  const sockets = new WebSocketServer({ server, handleProtocols: () => 'chat' });
  t.after(() => sockets.close());
  sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(`you said ${data}`)));
  assert.equal(await page.evaluate(([to, word]) => globalThis.say(to, word), [`ws://${host}/`, 'hello']), 'chat you said hello');
});
