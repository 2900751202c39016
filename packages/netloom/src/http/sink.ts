import { IdleTimer } from './timer.ts';

/** The bytes to a peer. A write resolves when the connection has taken the bytes: that is the backpressure. */
export class ByteSink {
  /** Runs out when a write has waited too long. */
  readonly idle: IdleTimer;
  #writer: WritableStreamDefaultWriter<Uint8Array>;
  #error: unknown;

  constructor(writable: WritableStream<Uint8Array>, onIdle: () => void) {
    this.#writer = writable.getWriter();
    // Failures are told by the write or the read that meets them.
    this.#writer.closed.catch(() => undefined);
    this.idle = new IdleTimer(onIdle);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    this.idle.start();
    try {
      await this.#writer.write(bytes);
    } catch (error) {
      throw (this.#error ??= error);
    } finally {
      this.idle.stop();
    }
  }

  /** Says that no more bytes follow. */
  close(): Promise<void> {
    return this.#writer.close();
  }

  /** Gives the stream back. */
  release(): void {
    this.#writer.releaseLock();
  }

  /** Makes pending and later writes reject. */
  fail(error: unknown): void {
    this.#error ??= error;
    this.idle.stop();
    this.#writer.abort(error).catch(() => undefined);
  }
}
