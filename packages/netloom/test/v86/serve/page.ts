/** A page with a guest's HTTP server, for Chromium: the guest is a server in memory. What the page does is driven from outside. */
import { createGuestServer } from '../../../src/v86/serve/index.ts';
import { createHttp } from '../../../src/http/index.ts';
import { MemoryNetwork } from '../../http/memory.ts';

const BIG_BYTES = 4 << 20;

const INDEX = `<!doctype html><title>guest</title><script type="module">
const text = async (path, init) => (await fetch(path, init)).text();
const outcome = {};
try { outcome.parent = String(parent.document.title); } catch (error) { outcome.parent = error.name; }
outcome.posted = await text('/echo?a=b', { method: 'POST', body: 'hello', headers: { 'x-mine': '1' } });
const moved = await fetch('/moved');
outcome.moved = [moved.redirected, new URL(moved.url).pathname, await moved.text()];
outcome.big = (await (await fetch('/big')).arrayBuffer()).byteLength;
const broken = await fetch('/broken');
outcome.broken = await broken.text().catch((error) => error.name);
outcome.missing = (await fetch('/missing')).status;
const stop = new AbortController();
const endless = await fetch('/endless', { signal: stop.signal });
await endless.body.getReader().read();
stop.abort();
globalThis.outcome = outcome;
</script>`;

type Page = typeof globalThis & {
  start(handlerName: string): Promise<void>;
  expose(bridge: string, timeout?: number): Promise<string>;
  ended: Promise<void>[];
  endless: Promise<void>;
  server: ReturnType<typeof createGuestServer>;
};
const page = globalThis as Page;
page.ended = [];

let cancelled!: () => void;
page.endless = new Promise((resolve) => (cancelled = resolve));

const paths: Record<string, (request: Request) => Response | Promise<Response>> = {
  '/': () => new Response(INDEX, { headers: { 'content-type': 'text/html' } }),
  '/echo': async (request) =>
    new Response(`${request.method} ${new URL(request.url).search} ${request.headers.get('host')} ${request.headers.get('x-mine')} ${await request.text()}`),
  '/moved': () => new Response(null, { status: 302, headers: { location: 'http://localhost:8080/echo' } }),
  '/big': () => {
    let left = BIG_BYTES;
    const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
      controller.enqueue(new Uint8Array(65_536));
      left -= 65_536;
      if (left === 0) controller.close();
    };
    return new Response(new ReadableStream({ pull }));
  },
  '/broken': () => {
    let turn = 0;
    return new Response(
      new ReadableStream({
        pull: (controller) => (turn++ === 0 ? controller.enqueue(new Uint8Array(10)) : controller.error(new Error('broken'))),
      }),
    );
  },
  '/endless': () => new Response(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1000)), cancel: () => cancelled() })),
};

const network = new MemoryNetwork();
const guest = await createHttp(network);
await guest.serve(
  { port: 8080, onError: () => undefined },
  (request) => paths[new URL(request.url).pathname]?.(request) ?? new Response('none', { status: 404 }),
);
page.server = createGuestServer((port) => network.connect({ host: '10.0.0.2', port }), 8080);

page.expose = async (bridge, timeout = 30_000) => {
  try {
    const exposed = await page.server.expose(bridge, { timeout });
    page.ended.push(exposed.closed);
    return exposed.url;
  } catch (error) {
    return (error as { code: string }).code;
  }
};
