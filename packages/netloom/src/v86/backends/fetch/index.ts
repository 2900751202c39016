/**
 * The `fetch` backend: what guests ask at port 80 is asked of the web by the page's `fetch`. Needs no server; the rules of the page's browser hold.
 *
 * @module
 */
import type { ServedConnections } from '../../../http/connections.ts';
import type { Flow, TcpFlow } from '../../../lan/types.ts';
import type { StreamConnection } from '../../../transport/types.ts';
import type { EgressBackend, EgressContext } from '../types.ts';
import { serveGuest } from './guest.ts';
import { Upstream } from './upstream.ts';

const HTTP_PORT = 80;

/** Opens the backend; there is nothing to wait for. */
export function openFetch(context: EgressContext): EgressBackend {
  const egress = new FetchEgress(context);
  context.report('up');
  return egress;
}

class FetchEgress implements EgressBackend {
  readonly #context: EgressContext;
  readonly #upstream = new Upstream();
  readonly #served = new Set<ServedConnections>();

  constructor(context: EgressContext) {
    this.#context = context;
  }

  serves({ protocol, destination }: Flow): boolean {
    return protocol === 'tcp' && destination.port === HTTP_PORT;
  }

  open(flow: Flow): void {
    if (flow.protocol !== 'tcp') return flow.refuse('refused');
    const { device, WebSocket, timeouts } = this.#context;
    const connection = acceptedOf(flow);
    if (!connection) return;
    const served = serveGuest(connection, {
      upstream: this.#upstream,
      fetch: (url, init) => this.#context.fetch(flow, url, init),
      corsProxy: device.corsProxy,
      WebSocket,
      connectTimeout: timeouts.connect,
    });
    this.#served.add(served);
    void served.ended().then(() => this.#served.delete(served));
  }

  close(): void {
    for (const served of this.#served) {
      served.shut();
      served.break(new DOMException('the network was closed', 'AbortError'));
    }
  }
}

/** Nothing if the guest has given up. */
function acceptedOf(flow: TcpFlow): StreamConnection | undefined {
  try {
    return flow.accept();
  } catch {
    return undefined;
  }
}
