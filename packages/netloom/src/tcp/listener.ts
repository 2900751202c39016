import type { AcceptListener, Engine } from '../engine/engine.ts';
import type { NetworkError } from '../errors.ts';
import type { StreamListener } from '../transport/types.ts';
import type { TcpConnection } from './connection.ts';

type Accepting = { resolve(connection: TcpConnection | undefined): void; reject(error: unknown): void };

/** Connections that arrive on a port. */
export class TcpListener implements StreamListener, AcceptListener {
  readonly address: string;
  readonly port: number;
  readonly #engine: Engine;
  readonly #index: number;
  /** Part of the listener's id in the machine. @internal */
  readonly generation: number;
  /** Takes a connection out of the backlog. */
  readonly #next: () => TcpConnection | undefined;
  readonly #accepting: Accepting[] = [];
  #closed = false;

  /** @internal */
  constructor(engine: Engine, index: number, generation: number, address: string, port: number, next: () => TcpConnection | undefined) {
    this.#engine = engine;
    this.#index = index;
    this.generation = generation;
    this.address = address;
    this.port = port;
    this.#next = next;
    engine.listeners.set(index, this);
  }

  async accept({ signal }: { signal?: AbortSignal } = {}): Promise<TcpConnection | undefined> {
    signal?.throwIfAborted();
    if (this.#closed) return undefined;
    const connection = this.#accepting.length === 0 ? this.#next() : undefined;
    if (connection) return connection;
    return new Promise((resolve, reject) => {
      const end = () => {
        signal?.removeEventListener('abort', abort);
        const place = this.#accepting.indexOf(accepting);
        if (place >= 0) this.#accepting.splice(place, 1);
      };
      const accepting: Accepting = {
        resolve: (next) => (end(), resolve(next)),
        reject: (error) => (end(), reject(error)),
      };
      const abort = () => accepting.reject(signal?.reason);
      signal?.addEventListener('abort', abort);
      this.#accepting.push(accepting);
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#engine.listeners.delete(this.#index);
    this.#engine.exports.close_listener(this.#index, this.generation);
    this.#engine.wake();
    this.#end();
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Iterates over connections. Ending the iteration early keeps the listener open. */
  [Symbol.asyncIterator](): AsyncIterableIterator<TcpConnection> {
    const done = { done: true, value: undefined } as const;
    const ended = new AbortController();
    return {
      next: async () => {
        if (ended.signal.aborted) return done;
        const value = await this.accept({ signal: ended.signal }).catch((error) => {
          if (!ended.signal.aborted) throw error;
        });
        return value ? { done: false, value } : done;
      },
      return: async () => {
        ended.abort();
        return done;
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** @internal */
  onAccepted(): void {
    while (this.#accepting.length > 0) {
      const connection = this.#next();
      if (!connection) return;
      this.#accepting[0]!.resolve(connection);
    }
  }

  /** @internal */
  onDead(error: NetworkError): void {
    this.#closed = true;
    if (error.code === 'ECONNABORTED') return this.#end();
    for (const accepting of this.#accepting.splice(0)) accepting.reject(error);
  }

  #end(): void {
    this.#closed = true;
    for (const accepting of this.#accepting.splice(0)) accepting.resolve(undefined);
  }
}
