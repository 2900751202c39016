import type { StreamListener, StreamTransport } from '../transport/types.ts';
import { ServedConnections } from './connections.ts';
import type { Limits } from './limits.ts';
import type { ConnectionLike, HttpRequestHandler, HttpServer, ServeOptions } from './types.ts';

/** Connections that may wait to be accepted: clients open many at once, and who finds no room tries again after a second only. */
const BACKLOG = 1024;

/** Listens and serves; resolves when the port is bound. */
export async function serveHttp(transport: StreamTransport, options: ServeOptions, handler: HttpRequestHandler, limits: Limits): Promise<HttpServer> {
  if (typeof transport.listen !== 'function') throw new TypeError('http serve requires a listen-capable transport');
  const connections = new ServedConnections({ ...options, handler, limits });
  return new Server(await transport.listen({ backlog: BACKLOG, ...options }), options, connections);
}

class Server implements HttpServer {
  readonly address: string;
  readonly port: number;
  readonly #listener: StreamListener;
  readonly #connections: ServedConnections;

  constructor(listener: StreamListener, options: ServeOptions, connections: ServedConnections) {
    this.#listener = listener;
    this.#connections = connections;
    // A transport of others may not tell.
    this.address = listener.address ?? options.host ?? '0.0.0.0';
    this.port = listener.port ?? options.port;
    void this.#accept();
    const { signal } = options;
    signal?.addEventListener('abort', () => void this.close({ signal }).catch((error: unknown) => connections.onError(error)), { once: true });
  }

  async close({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const connections = this.#connections;
    connections.shut();
    const breakAll = () => connections.break(signal?.reason);
    if (signal?.aborted) breakAll();
    signal?.addEventListener('abort', breakAll);
    try {
      // Listeners of others may have no close; then the connections that still come are refused.
      await this.#listener.close?.();
      await connections.ended();
    } finally {
      signal?.removeEventListener('abort', breakAll);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #accept(): Promise<void> {
    const connections = this.#connections;
    try {
      for await (const connection of this.#listener) {
        if (connections.closing) {
          await connection.close();
          continue;
        }
        connections.add(connection as ConnectionLike);
        await connections.room();
      }
    } catch (error) {
      if (!connections.closing) connections.onError(error);
    }
  }
}
