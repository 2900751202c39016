import { Channel } from './channel.ts';
import { interruptible } from './adopted.ts';
import { unsupportedProtocol } from './errors.ts';
import { IdleTimer } from './timer.ts';
import type { ConnectionLike, TlsWrapper } from './types.ts';
import type { StreamTransport } from '../transport/types.ts';

type Idle = { channel: Channel; timer: IdleTimer };
type Waiter = (idle: Channel | undefined) => void;
type Origin = { key: string; idle: Idle[]; open: number; waiting: Set<Waiter> };

/** A connection for one request. */
export type Lease = {
  channel: Channel;
  /** Whether it served a request before, so that the peer may have closed it meanwhile. */
  reused: boolean;
  /** Gives it back for the next request, for at most `keepAlive` milliseconds. */
  keep(keepAlive: number): void;
  /** Gives up its place; whoever calls it has closed the connection. */
  drop(): void;
};

/** Connections of a client, kept for later requests to the same host and port (RFC 9112 9.3). */
export class Pool {
  readonly #transport: Pick<StreamTransport, 'connect'>;
  readonly #tls: TlsWrapper | undefined;
  readonly #limit: number;
  readonly #origins = new Map<string, Origin>();
  #closed = false;

  constructor(transport: Pick<StreamTransport, 'connect'>, tls: TlsWrapper | undefined, limit: number) {
    this.#transport = transport;
    this.#tls = tls;
    this.#limit = limit;
  }

  /** A connection to where `url` points. `fresh` asks for a new one. */
  async lease(url: URL, signal: AbortSignal | null, fresh = false): Promise<Lease> {
    signal?.throwIfAborted();
    const key = `${url.protocol}//${url.host}`;
    const origin = this.#origins.get(key) ?? { key, idle: [], open: 0, waiting: new Set() };
    this.#origins.set(key, origin);
    if (fresh && origin.open >= this.#limit) {
      const oldest = origin.idle[0];
      if (oldest) this.#evict(origin, oldest);
    }
    const idle = fresh ? undefined : origin.idle.at(-1);
    if (idle) {
      this.#remove(origin, idle);
      return this.#lease(origin, idle.channel, true);
    }
    let channel: Channel | undefined;
    if (origin.open < this.#limit) origin.open += 1;
    else channel = await this.#wait(origin, signal);
    if (channel) return this.#lease(origin, channel, true);
    try {
      return this.#lease(origin, await this.connect(url, signal), false);
    } catch (error) {
      this.#free(origin);
      throw error;
    }
  }

  /** A connection outside the pool. */
  async connect(url: URL, signal: AbortSignal | null): Promise<Channel> {
    const secure = url.protocol === 'https:' || url.protocol === 'wss:';
    const tls = this.#tls;
    if (secure && !tls) throw unsupportedProtocol(url.protocol);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const port = Number(url.port) || (secure ? 443 : 80);
    let aborted = false;
    const discard = (connection: ConnectionLike) => {
      if (connection.reset) connection.reset();
      else connection.close().catch(() => undefined);
    };
    const opening = (async (): Promise<ConnectionLike> => {
      const plain = await this.#transport.connect({ host, port, ...(signal && { signal }) });
      try {
        if (aborted) throw signal?.reason;
        const connection = secure && tls ? await tls(plain, { host, port, ...(signal && { signal }) }) : plain;
        if (aborted) throw signal?.reason;
        return connection;
      } catch (error) {
        discard(plain);
        throw error;
      }
    })();
    return new Channel(await interruptible(opening, signal, () => (aborted = true)));
  }

  /** Closes idle connections; those in use are closed when their request ends. */
  close(): void {
    this.#closed = true;
    for (const origin of this.#origins.values()) for (const idle of [...origin.idle]) this.#evict(origin, idle);
  }

  #lease(origin: Origin, channel: Channel, reused: boolean): Lease {
    let held = true;
    const release = (then: () => void) => {
      if (held) then();
      held = false;
    };
    return { channel, reused, keep: (keepAlive) => release(() => this.#keep(origin, channel, keepAlive)), drop: () => release(() => this.#free(origin)) };
  }

  #wait(origin: Origin, signal: AbortSignal | null): Promise<Channel | undefined> {
    let waiter!: Waiter;
    const turn = new Promise<Channel | undefined>((resolve) => (waiter = resolve));
    origin.waiting.add(waiter);
    return interruptible(turn, signal, () => {
      // A turn that came just before the abort is passed on.
      if (!origin.waiting.delete(waiter)) void turn.then((channel) => (channel ? this.#keep(origin, channel, 1) : this.#free(origin)));
    });
  }

  /** Passes a place on to who waits. */
  #free(origin: Origin): void {
    const [next] = origin.waiting;
    if (next) {
      origin.waiting.delete(next);
      next(undefined);
      return;
    }
    origin.open -= 1;
    if (origin.open === 0) this.#origins.delete(origin.key);
  }

  #keep(origin: Origin, channel: Channel, keepAlive: number): void {
    if (channel.closed) return this.#free(origin);
    if (this.#closed || channel.source.buffered > 0 || channel.source.ended) {
      channel.close();
      return this.#free(origin);
    }
    channel.limitIdle(0);
    const [next] = origin.waiting;
    if (next) {
      origin.waiting.delete(next);
      return next(channel);
    }
    const idle: Idle = { channel, timer: new IdleTimer(() => this.#evict(origin, idle)) };
    origin.idle.push(idle);
    idle.timer.start(keepAlive, true);
    // What comes unasked, and the end, make it useless.
    const useless = () => this.#evict(origin, idle);
    channel.source.fill().then(useless, useless);
  }

  #remove(origin: Origin, idle: Idle): boolean {
    const at = origin.idle.indexOf(idle);
    if (at < 0) return false;
    origin.idle.splice(at, 1);
    idle.timer.stop();
    return true;
  }

  #evict(origin: Origin, idle: Idle): void {
    if (!this.#remove(origin, idle)) return;
    idle.channel.close();
    this.#free(origin);
  }
}
