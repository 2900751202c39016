import { NetworkError } from '../errors.ts';
import type { StreamListener, StreamTransport } from '../transport/types.ts';
import { Channel } from './channel.ts';
import { HttpProtocolError } from './errors.ts';
import { readRequestHead, type RequestHead } from './head.ts';
import type { Limits } from './limits.ts';
import { encodeHead } from './send.ts';
import { serveRequest, type ServerContext } from './serve-request.ts';
import { statusLine } from './status.ts';
import { IdleTimer } from './timer.ts';
import type { ConnectionLike, HttpRequestHandler, HttpServer, ServeOptions } from './types.ts';

/** Connections that may wait to be accepted: clients open many at once, and who finds no room tries again after a second only. */
const BACKLOG = 1024;

/** Listens and serves; resolves when the port is bound. */
export async function serveHttp(transport: StreamTransport, options: ServeOptions, handler: HttpRequestHandler, limits: Limits): Promise<HttpServer> {
  if (typeof transport.listen !== 'function') throw new TypeError('http serve requires a listen-capable transport');
  const { maxConnections = 10_000 } = options;
  if (!(Number.isInteger(maxConnections) && maxConnections > 0)) throw new NetworkError('EINVAL', { message: 'maxConnections is not a whole number above 0' });
  return new Server(await transport.listen({ backlog: BACKLOG, ...options }), options, handler, limits, maxConnections);
}

class Server implements HttpServer, ServerContext {
  readonly address: string;
  readonly port: number;
  readonly handler: HttpRequestHandler;
  readonly limits: Limits;
  readonly date: boolean;
  closing = false;
  readonly #listener: StreamListener;
  readonly #onError: (error: unknown) => void;
  readonly #maxConnections: number;
  readonly #served = new Map<Channel, Promise<void>>();
  /** Connections between two requests. */
  readonly #idle = new Set<Channel>();
  #roomMade: (() => void) | undefined;

  constructor(listener: StreamListener, options: ServeOptions, handler: HttpRequestHandler, limits: Limits, maxConnections: number) {
    this.#listener = listener;
    // A transport of others may not tell.
    this.address = listener.address ?? options.host ?? '0.0.0.0';
    this.port = listener.port ?? options.port;
    this.handler = handler;
    this.limits = limits;
    this.date = options.date ?? false;
    this.#onError = options.onError ?? ((error) => console.error(error));
    this.#maxConnections = maxConnections;
    void this.#accept();
    const { signal } = options;
    signal?.addEventListener('abort', () => void this.close({ signal }).catch((error: unknown) => this.onError(error)), { once: true });
  }

  onError(error: unknown): void {
    try {
      this.#onError(error);
    } catch {
      // Who fails at hearing of a failure must not end the connection's other requests.
    }
  }

  async close({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    this.closing = true;
    this.#roomMade?.();
    for (const channel of this.#idle) channel.close();
    const breakAll = () => {
      for (const channel of this.#served.keys()) channel.break(signal?.reason);
    };
    if (signal?.aborted) breakAll();
    signal?.addEventListener('abort', breakAll);
    try {
      // Listeners of others may have no close; then the connections that still come are refused.
      await this.#listener.close?.();
      await Promise.all(this.#served.values());
    } finally {
      signal?.removeEventListener('abort', breakAll);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #accept(): Promise<void> {
    try {
      for await (const connection of this.#listener) {
        if (this.closing) {
          await connection.close();
          continue;
        }
        const channel = new Channel(connection as ConnectionLike);
        this.#served.set(channel, this.#serve(channel));
        if (this.#served.size >= this.#maxConnections) await new Promise<void>((resolve) => (this.#roomMade = resolve));
      }
    } catch (error) {
      if (!this.closing) this.onError(error);
    }
  }

  async #serve(channel: Channel): Promise<void> {
    try {
      // A new connection is given the time of a head; browsers open some ahead of their requests.
      let patience = this.limits.headersTimeout;
      while (await this.#next(channel, patience)) patience = this.limits.keepAliveTimeout;
      await channel.finish();
    } catch (error) {
      channel.break(channel.error ?? error);
    } finally {
      this.#served.delete(channel);
      this.#roomMade?.();
    }
  }

  /** Serves the next request of a connection; false if it was the last. */
  async #next(channel: Channel, patience: number): Promise<boolean> {
    channel.limitIdle(0);
    if (this.closing) return false;
    this.#idle.add(channel);
    const comes = await channel.waitIdle(patience);
    this.#idle.delete(channel);
    if (!comes) return false;
    try {
      const head = await this.#readHead(channel);
      channel.limitIdle(this.limits.bodyTimeout);
      return await serveRequest(channel, head, this);
    } catch (error) {
      if (!(error instanceof HttpProtocolError)) throw error;
      await channel.sink.write(
        encodeHead(statusLine(error.status, ''), [
          ['connection', 'close'],
          ['content-length', '0'],
        ]),
      );
      return false;
    }
  }

  async #readHead(channel: Channel): Promise<RequestHead> {
    const late = new IdleTimer(() => channel.source.fail(new HttpProtocolError('request head not complete in time', 408)));
    late.start(this.limits.headersTimeout);
    try {
      return await readRequestHead(channel.source, this.limits);
    } finally {
      late.stop();
    }
  }
}
