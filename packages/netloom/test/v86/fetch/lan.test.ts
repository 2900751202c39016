/** The `fetch` backend behind a LAN: a guest with a stack of its own, TCP between. */
import { createHttp } from '../../../src/http/index.ts';
import { createLan } from '../../../src/lan/lan.ts';
import type { TcpFlow } from '../../../src/lan/types.ts';
import { openFetch } from '../../../src/v86/backends/fetch/index.ts';
import type { EgressContext } from '../../../src/v86/backends/types.ts';
import type { FetchHook } from '../../../src/v86/types.ts';
import { equal, ok, pattern, test } from '../../harness.ts';
import { plugIn } from '../../lan/guest.ts';
import { fromNetwork, get } from './setup.ts';

const MIB = 1 << 20;
/** What v86 answers every name with. */
const ANY = '192.168.87.1';

async function setUp(hook: FetchHook, mtu = 1500) {
  const lan = await createLan({ mtu, dns: { wildcard: ANY } });
  const context = { lan, url: 'fetch', device: { corsProxy: '' }, timeouts: { connect: 30_000 }, report: () => undefined };
  const egress = openFetch({ ...context, fetch: (_flow: TcpFlow, url: string, init: never) => hook(url, init) } as unknown as EgressContext);
  lan.onFlow = (flow) => (egress.serves(flow) ? egress.open(flow) : flow.refuse('refused'));
  const guest = await plugIn(lan, { mtu, ip: '192.168.86.100/24' });
  const { fetch } = await createHttp(guest.stack.tcp);
  const close = async () => {
    egress.close();
    await guest.unplug();
    await lan.close();
  };
  return { guest, ask: fetch, close };
}

for (const mtu of [1500, 65_535]) {
  test(`fetch: 4 MiB each way through TCP, packets of ${mtu} bytes`, async () => {
    const sent = pattern(4 * MIB);
    const { ask, close } = await setUp(async (url, { body }) => fromNetwork(await new Response(body as BodyInit).arrayBuffer(), { url }), mtu);
    for (const body of [new Blob([sent as BlobPart]), new Blob([sent as BlobPart]).stream()]) {
      const response = await ask(`http://${ANY}/`, { method: 'POST', body, duplex: 'half' } as RequestInit);
      const got = new Uint8Array(await response.arrayBuffer());
      equal(got.length, sent.length);
      ok(got.every((byte, at) => byte === sent[at]));
    }
    await close();
  });
}

test('fetch: a guest that has ended its side gets its answer, and one that is gone ends the fetch', async () => {
  let cancel!: () => void;
  const cancelled = new Promise<void>((resolve) => (cancel = resolve));
  const { guest, close } = await setUp(async (url) =>
    url.endsWith('/short')
      ? fromNetwork('hello', { url })
      : fromNetwork(new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1000)), cancel }), { url }),
  );
  const half = await guest.stack.tcp.connect({ host: ANY, port: 80 });
  await half.write(new TextEncoder().encode('GET /short HTTP/1.0\r\nHost: a\r\n\r\n'));
  await half.writable.close();
  ok((await new Response(half.readable).text()).endsWith('\r\n\r\nhello'));
  const gone = await guest.stack.tcp.connect({ host: ANY, port: 80 });
  await gone.write(new TextEncoder().encode(get('http://a/endless')));
  await gone.readInto(new Uint8Array(100));
  gone.reset();
  await cancelled;
  await close();
});

test('fetch: other ports are refused', async () => {
  const { ask, close } = await setUp(async () => new Response());
  const error = await ask(`http://${ANY}:8080/`).catch((reason: Error) => reason);
  equal(((error as Error).cause as { code: string }).code, 'ECONNREFUSED');
  await close();
});
