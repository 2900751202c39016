import { NetworkError } from '../errors.ts';
import type { StreamConnection } from '../transport/types.ts';
import { adopt } from './adopted.ts';
import { ByteSink } from './sink.ts';
import { ByteSource } from './source.ts';
import { IdleTimer } from './timer.ts';
import type { ConnectionLike } from './types.ts';

/** Bytes dropped from a peer that was told that nobody reads any more, and how long in milliseconds. */
const LINGER_BYTES = 1 << 20;
const LINGER_MS = 1000;

/** One connection that carries HTTP, with all its timeouts. */
export class Channel {
  readonly connection: ConnectionLike;
  readonly source: ByteSource;
  readonly sink: ByteSink;
  /** Why the connection was broken off. */
  error: unknown;
  /** Told once when the connection breaks off. */
  readonly onBreak = new Set<(error: unknown) => void>();
  #deadline: IdleTimer;
  #closed = false;

  constructor(connection: ConnectionLike) {
    const timedOut = () => this.break(new NetworkError('ETIMEDOUT', { syscall: 'read', ...this.peer, message: 'the peer did not answer in time' }));
    this.connection = connection;
    this.source = new ByteSource(connection.readable, timedOut);
    this.sink = new ByteSink(connection.writable, timedOut);
    this.#deadline = new IdleTimer(timedOut);
  }

  get peer(): { address?: string; port?: number } {
    const { remoteAddress, remotePort } = this.connection;
    return { ...(remoteAddress !== undefined && { address: remoteAddress }), ...(remotePort !== undefined && { port: remotePort }) };
  }

  /** Whether it was closed, broken off or handed over. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Runs `work`, and breaks the connection off if that takes more than `limit` milliseconds; 0 for no limit. */
  async within<T>(limit: number, work: () => Promise<T>): Promise<T> {
    this.#deadline.start(limit);
    try {
      return await work();
    } finally {
      this.#deadline.stop();
    }
  }

  /** Milliseconds for which a read or a write of a body may wait. */
  limitIdle(limit: number): void {
    this.source.idle.limit = limit;
    this.sink.idle.limit = limit;
  }

  /** Waits for the next message for `limit` milliseconds, which do not keep a process alive; false if none comes. */
  async waitIdle(limit: number): Promise<boolean> {
    const timer = new IdleTimer(() => this.close());
    timer.start(limit, true);
    try {
      return await this.source.fill();
    } catch {
      // Between messages nothing is lost: a reset here is an end like another.
      return false;
    } finally {
      timer.stop();
    }
  }

  /** Breaks off: pending reads and writes reject with `error`, the peer gets a reset. */
  break(error: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.error = error;
    this.#deadline.stop();
    // First, so that what a reset makes of pending reads does not hide the reason.
    this.source.fail(error);
    this.sink.fail(error);
    if (this.connection.reset) this.connection.reset();
    else this.connection.close().catch(() => undefined);
    for (const listener of this.onBreak) listener(error);
  }

  /** Closes in order: what was written is still sent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deadline.stop();
    this.connection.close().catch(() => undefined);
    this.source.fail(new NetworkError('ECONNABORTED', { syscall: 'read', ...this.peer }));
  }

  /** Says that nothing follows, and closes once the peer has read it: a reset at once could take the last bytes from it (RFC 9112 9.6). */
  async finish(): Promise<void> {
    if (this.#closed) return;
    const timer = new IdleTimer(() => this.close());
    try {
      await this.sink.close();
      timer.start(LINGER_MS, true);
      for (let dropped = 0; dropped < LINGER_BYTES; ) {
        const bytes = await this.source.take(Infinity);
        if (bytes === undefined) break;
        dropped += bytes.length;
      }
    } finally {
      timer.stop();
      this.close();
    }
  }

  /** Hands the connection over, with what the peer has sent already. */
  detach(): StreamConnection {
    this.#closed = true;
    this.#deadline.stop();
    const rest = this.source.release();
    this.sink.release();
    return adopt(this.connection, rest);
  }
}
