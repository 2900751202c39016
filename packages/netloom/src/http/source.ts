import { NetworkError } from '../errors.ts';
import { HttpProtocolError } from './errors.ts';
import { concat, EMPTY, latin1 } from './bytes.ts';
import { IdleTimer } from './timer.ts';

/**
 * The bytes of a peer in order, read one chunk at a time: nothing is read that nobody asked for,
 * so that a slow consumer closes the window of the connection.
 */
export class ByteSource {
  /** Runs out when a read has waited too long. */
  readonly idle: IdleTimer;
  #reader: ReadableStreamDefaultReader<Uint8Array>;
  #bytes: Uint8Array = EMPTY;
  #reading: Promise<boolean> | undefined;
  #error: unknown;
  #ended = false;
  #received = 0;

  constructor(readable: ReadableStream<Uint8Array>, onIdle: () => void) {
    this.#reader = readable.getReader();
    this.idle = new IdleTimer(onIdle);
  }

  /** Bytes that have arrived and were not taken. */
  get buffered(): number {
    return this.#bytes.length;
  }

  /** Bytes that ever arrived. */
  get received(): number {
    return this.#received;
  }

  /** Whether the peer said that it sends no more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Waits for at least one byte; false at the end. */
  async fill(): Promise<boolean> {
    return this.#bytes.length > 0 || this.#more();
  }

  /** At most `max` bytes, at least one; `undefined` at the end. The array is the caller's alone. */
  async take(max: number): Promise<Uint8Array | undefined> {
    if (!(await this.fill())) return undefined;
    const bytes = this.#bytes;
    if (bytes.length <= max) {
      this.#bytes = EMPTY;
      return bytes;
    }
    this.#bytes = bytes.subarray(max);
    // A copy: whoever transfers the buffer away must not take what we have not read with it.
    return bytes.slice(0, max);
  }

  /** Exactly `length` bytes, which the caller has bounded. */
  async exactly(length: number): Promise<Uint8Array> {
    while (this.#bytes.length < length) if (!(await this.#more())) throw this.truncated();
    const bytes = this.#bytes.slice(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return bytes;
  }

  /** A line that has arrived already, without its CRLF (RFC 9112 2.2: a bare CR or LF is refused). */
  bufferedLine(limit: number, status?: number): string | undefined {
    const end = this.#bytes.indexOf(10);
    if ((end < 0 ? this.#bytes.length : end + 1) > limit) throw new HttpProtocolError('line too long', status);
    if (end < 0) return undefined;
    if (this.#bytes.indexOf(13) !== end - 1) throw new HttpProtocolError('bare CR or LF');
    const line = latin1(this.#bytes.subarray(0, end - 1));
    this.#bytes = this.#bytes.subarray(end + 1);
    return line;
  }

  /** The next line. `limit` counts its bytes with CRLF. */
  async line(limit: number, status?: number): Promise<string> {
    for (;;) {
      const line = this.bufferedLine(limit, status);
      if (line !== undefined) return line;
      if (!(await this.#more())) throw this.truncated();
    }
  }

  /** Takes what has arrived, and gives the stream back. */
  release(): Uint8Array {
    const bytes = this.#bytes;
    this.#bytes = EMPTY;
    this.#reader.releaseLock();
    return bytes;
  }

  /** Makes pending and later reads reject. */
  fail(error: unknown): void {
    this.#error ??= error;
    this.#bytes = EMPTY;
    this.idle.stop();
    // An ended or broken stream may refuse; then there is nothing to cancel.
    this.#reader.cancel(error).catch(() => undefined);
  }

  /** The error for a stream that ends where it must not. */
  truncated(): NetworkError {
    return new NetworkError('ECONNRESET', { syscall: 'read', message: 'read ECONNRESET: other side closed' });
  }

  #more(): Promise<boolean> {
    if (this.#reading === undefined) {
      this.idle.start();
      this.#reading = this.#read().finally(() => {
        this.#reading = undefined;
        this.idle.stop();
      });
    }
    return this.#reading;
  }

  async #read(): Promise<boolean> {
    for (;;) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#ended) return false;
      const { done, value } = await this.#reader.read().catch((error: unknown) => {
        throw (this.#error ??= error);
      });
      if (this.#error !== undefined) throw this.#error;
      if (done) {
        this.#ended = true;
        return false;
      }
      if (value.length === 0) continue;
      this.#received += value.length;
      this.#bytes = this.#bytes.length === 0 ? value : concat([this.#bytes, value]);
      return true;
    }
  }
}
