/** A guest's HTTP server as its page reaches it. */
import { createHttp, upgradeWebSocket } from '../../../src/http/index.ts';
import { createGuestServer } from '../../../src/v86/serve/index.ts';
import { deepEqual, equal, rejects, test } from '../../harness.ts';
import { MemoryNetwork } from '../../http/memory.ts';

async function setUp() {
  const network = new MemoryNetwork();
  const guest = await createHttp(network);
  const dialled: number[] = [];
  const serve = (port: number) =>
    createGuestServer((to) => {
      dialled.push(to);
      return network.connect({ host: '10.0.0.2', port: to });
    }, port);
  await guest.serve({ port: 8080 }, async (request) => {
    if (request.headers.has('upgrade')) {
      const { response, socket } = upgradeWebSocket(request);
      socket.onmessage = ({ data }) => socket.send(`${new URL(request.url).pathname} ${data}`);
      return response;
    }
    const { pathname } = new URL(request.url);
    if (pathname === '/moved') return new Response(null, { status: 302, headers: { location: '/to' } });
    return new Response(`${request.method} ${request.headers.get('host')} ${pathname} ${await request.text()}`);
  });
  return { serve, dialled };
}

test('serve: fetch asks the guest, by a path, a URL of any host or a Request, on a kept connection', async () => {
  const { serve, dialled } = await setUp();
  const server = serve(8080);
  const text = async (input: string | URL | Request, init?: RequestInit) => (await server.fetch(input, init)).text();
  equal(server.port, 8080);
  equal(await text('/a'), 'GET localhost:8080 /a ');
  equal(await text('b', { method: 'PUT', body: 'hello' }), 'PUT localhost:8080 /b hello');
  equal(await text('/moved'), 'GET localhost:8080 /to ');
  deepEqual(dialled, [8080]);
  equal(await text(new URL('http://app.test/c')), 'GET app.test /c ');
  equal(await text(new Request('http://app.test/d', { method: 'POST', body: 'hi' })), 'POST app.test /d hi');
  deepEqual(dialled, [8080, 8080]);
  await rejects(server.fetch('http://'), { name: 'TypeError' });
  await rejects(server.fetch('https://a/'), { name: 'TypeError', message: 'unsupported protocol: https:' });
  server.close();
});

test('serve: a guest that does not listen is a TypeError with the reason', async () => {
  const { serve } = await setUp();
  const error = await rejects(serve(1234).fetch('/'), { name: 'TypeError' });
  equal((error.cause as { code: string }).code, 'ECONNREFUSED');
});

test('serve: WebSockets to the guest, as the browser has them and as streams', async () => {
  const { serve } = await setUp();
  using server = serve(8080);
  const socket = new server.WebSocket('ws://localhost/a');
  socket.onopen = () => socket.send('hello');
  equal(await new Promise((resolve) => (socket.onmessage = ({ data }) => resolve(data))), '/a hello');
  socket.close();
  const { readable, writable, close } = await server
    .openWebSocket('/b')
    .then((opened) => ({ readable: opened.readable, writable: opened.writable, close: () => opened.close() }));
  await writable.getWriter().write('hi');
  equal((await readable.getReader().read()).value, '/b hi');
  equal((await close()).wasClean, true);
});

test('serve: only a page with a document can expose', async () => {
  const { serve } = await setUp();
  if (!('document' in globalThis)) await rejects(serve(8080).expose('https://guests.test/bridge.html'), { code: 'EINVAL' });
});
