/**
 * Carries what a connection receives into a stream, or into the buffer of its owner (`onread`).
 * Reads one piece at a time and only when asked, so that a slow reader closes the peer's window.
 *
 * @module
 */
import type { OnReadOpts } from 'node:net';
import type { StreamConnection } from '../../transport/index.ts';
import { later } from '../later.ts';

/** Bytes of the first buffer; a read that fills its buffer doubles the next. */
const SMALLEST = 4096;
const LARGEST = 65_536;

/** Whom the reader serves. */
export type Sink = {
  received(bytes: Buffer): void;
  /** Bytes that went to `onread`'s callback. */
  counted(bytes: number): void;
  ended(): void;
  failed(error: unknown): void;
};

export class Reader {
  readonly #connection: StreamConnection;
  readonly #sink: Sink;
  readonly #onread: OnReadOpts | undefined;
  #buffer = Buffer.alloc(0);
  #size = SMALLEST;
  #busy = false;
  #paused = false;
  #done = false;

  constructor(connection: StreamConnection, sink: Sink, onread: OnReadOpts | undefined) {
    this.#connection = connection;
    this.#sink = sink;
    this.#onread = onread;
  }

  /** Asks for the next piece. */
  read(): void {
    if (this.#busy || this.#paused || this.#done) return;
    this.#busy = true;
    const into = this.#onread ? own(this.#onread) : this.#space();
    later(
      this.#connection.readInto(into),
      (count) => this.#settle(into, count),
      (error) => {
        this.#busy = false;
        if (!this.#done) this.#sink.failed(error);
      },
    );
  }

  /** Holds `onread`'s callback back, or lets it go on. */
  set paused(paused: boolean) {
    this.#paused = paused;
    if (!paused) this.read();
  }

  /** Ends; what a pending read still brings is dropped. */
  stop(): void {
    this.#done = true;
  }

  #settle(into: Uint8Array, count: number): void {
    this.#busy = false;
    if (this.#done) return;
    if (count === 0) {
      this.#done = true;
      return this.#sink.ended();
    }
    if (!this.#onread) return this.#sink.received(this.#take(count));
    this.#sink.counted(count);
    if (this.#onread.callback(count, into) === false) this.#paused = true;
    this.read();
  }

  #space(): Buffer {
    if (this.#buffer.length !== this.#size) this.#buffer = Buffer.allocUnsafeSlow(this.#size);
    return this.#buffer;
  }

  /** What was read. A piece much smaller than its buffer is copied, so that who keeps it does not keep the buffer. */
  #take(count: number): Buffer {
    const buffer = this.#buffer;
    if (count === buffer.length) this.#size = Math.min(LARGEST, this.#size * 2);
    if (count < buffer.length / 4) return Buffer.from(buffer.subarray(0, count));
    this.#buffer = Buffer.alloc(0);
    return buffer.subarray(0, count);
  }
}

function own({ buffer }: OnReadOpts): Uint8Array {
  return typeof buffer === 'function' ? buffer() : buffer;
}
