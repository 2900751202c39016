/**
 * The `fetch` backend: what guests ask at port 80, and with an authority at port 443, is asked of the web by the page's `fetch`. Needs no server; the
 * rules of the page's browser hold.
 *
 * @module
 */
import type { ServedConnections } from '../../../http/connections.ts';
import type { ConnectionLike } from '../../../http/types.ts';
import type { Flow, TcpFlow } from '../../../lan/types.ts';
import type { StreamConnection } from '../../../transport/types.ts';
import type { EgressBackend, EgressContext } from '../types.ts';
import { authorityOf } from './authority.ts';
import { acceptGuest, serveGuest, type GuestWeb } from './guest.ts';
import { Upstream } from './upstream.ts';

const HTTP_PORT = 80;
const HTTPS_PORT = 443;

/** Opens the backend; there is nothing to wait for. */
export function openFetch(context: EgressContext): EgressBackend {
  const egress = new FetchEgress(context);
  context.report('up');
  return egress;
}

class FetchEgress implements EgressBackend {
  readonly #context: EgressContext;
  readonly #upstream = new Upstream();
  readonly #authority: GuestWeb['authority'];
  readonly #served = new Set<ServedConnections>();
  /** Connections in their handshake. */
  readonly #shaking = new Set<ConnectionLike>();
  #closed = false;

  constructor(context: EgressContext) {
    this.#context = context;
    this.#authority = authorityOf(context.tls);
  }

  serves({ protocol, destination: { port } }: Flow): boolean {
    return protocol === 'tcp' && (port === HTTP_PORT || (port === HTTPS_PORT && this.#authority !== undefined));
  }

  open(flow: Flow): void {
    if (flow.protocol !== 'tcp') return flow.refuse('refused');
    const connection = acceptedOf(flow);
    if (!connection) return;
    if (flow.destination.port === HTTP_PORT) this.#serve(connection, flow);
    else void this.#secure(connection, flow);
  }

  close(): void {
    this.#closed = true;
    for (const connection of this.#shaking) connection.reset?.();
    for (const served of this.#served) {
      served.shut();
      served.break(new DOMException('the network was closed', 'AbortError'));
    }
  }

  async #secure(connection: StreamConnection, flow: TcpFlow): Promise<void> {
    this.#shaking.add(connection);
    try {
      const secure = await acceptGuest(connection, this.#authority!, this.#context.timeouts.connect);
      if (this.#closed) secure.reset?.();
      else this.#serve(secure, flow);
    } catch {
      // The guest has been told, by an alert or by the connection's end.
    } finally {
      this.#shaking.delete(connection);
    }
  }

  #serve(connection: ConnectionLike, flow: TcpFlow): void {
    const { device, WebSocket, timeouts } = this.#context;
    const served = serveGuest(connection, {
      upstream: this.#upstream,
      fetch: (url, init) => this.#context.fetch(flow, url, init),
      corsProxy: device.corsProxy,
      WebSocket,
      connectTimeout: timeouts.connect,
      authority: this.#authority,
    });
    this.#served.add(served);
    void served.ended().then(() => this.#served.delete(served));
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
