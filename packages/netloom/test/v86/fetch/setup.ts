/** The `fetch` backend over connections in memory, with a page's hook in place of the web. */
import { openFetch } from '../../../src/v86/backends/fetch/index.ts';
import type { EgressContext } from '../../../src/v86/backends/types.ts';
import type { Flow, TcpFlow } from '../../../src/lan/types.ts';
import type { FetchHook, WebSocketConstructor } from '../../../src/v86/types.ts';
import { MemoryNetwork } from '../../http/memory.ts';
import { Peer } from '../../http/peer.ts';

/** Address that guests dial. */
export const DIALLED = '10.0.0.2';

/** What is asked of the web. */
export type Call = { url: string; init: RequestInit & { headers: Headers } };

export type Web = { corsProxy?: string; WebSocket?: WebSocketConstructor; connectTimeout?: number };

export async function setUp(hook: FetchHook, { corsProxy = '', WebSocket, connectTimeout = 30_000 }: Web = {}) {
  const network = new MemoryNetwork();
  const calls: Call[] = [];
  const reported: string[] = [];
  const context = {
    url: 'fetch',
    device: { corsProxy },
    WebSocket,
    timeouts: { connect: connectTimeout },
    report: (state: string) => reported.push(state),
    fetch: (_flow: TcpFlow, url: string, init: RequestInit) => {
      calls.push({ url, init: init as Call['init'] });
      return hook(url, init as Parameters<FetchHook>[1]);
    },
  } as unknown as EgressContext;
  const egress = openFetch(context);
  const listener = await network.listen({ port: 80 });
  const flowTo = (port: number, accept: TcpFlow['accept']) =>
    ({ protocol: 'tcp', destination: { address: DIALLED, port }, accept, acceptEarly: accept }) as unknown as Flow;
  void (async () => {
    for await (const connection of listener) egress.open(flowTo(80, () => connection));
  })();
  const guest = async () => new Peer(await network.connect({ host: DIALLED, port: 80 }));
  /** One request on a connection of its own, and all that is answered. */
  const ask = async (text: string) => {
    const peer = await guest();
    await peer.send(text);
    return peer.until();
  };
  return { network, egress, calls, reported, guest, ask, flowTo };
}

/** A GET that ends its connection. */
export const get = (url: string, fields = '') => {
  const { host, pathname, search } = new URL(url);
  return `GET ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${fields}\r\n`;
};

/** A response as the network gives it, which constructors do not: with a URL. */
export function fromNetwork(body: BodyInit | null, { url, type = 'basic', ...init }: ResponseInit & { url: string; type?: ResponseType }): Response {
  const response = new Response(body, init);
  Object.defineProperty(response, 'url', { value: url });
  Object.defineProperty(response, 'type', { value: type });
  return response;
}
