import { HttpProtocolError } from './errors.ts';
import type { Framing } from './framing.ts';
import { readTrailers, type HeadLimits } from './head.ts';
import type { ByteSource } from './source.ts';

/** Bytes of one line with a chunk's size and extensions. */
const MAX_CHUNK_LINE = 4096;
/** Bytes of extensions in one body, all of which are passed over. */
const MAX_CHUNK_EXTENSIONS = 16384;
const CHUNK_LINE = /^([0-9a-fA-F]{1,13})[\t ]*(;[\t\x20-\x7e\x80-\xff]*)?$/;

type Settle = { resolve(trailers: Headers): void; reject(error: unknown): void };

/** The body of one message, out of a connection's bytes (RFC 9112 6 and 7.1). */
export class BodyReader {
  /** Whether the body was read to its end. */
  done: boolean;
  /** Called once, before the last `next` resolves. */
  onEnd: (() => void) | undefined;
  /** Fields after the last chunk; empty for other bodies. Settles when the body ends. */
  readonly trailers: Promise<Headers>;
  #source: ByteSource;
  #framing: Framing;
  #limits: HeadLimits;
  /** Bytes left of the body, or of the chunk. */
  #left: number;
  #inChunk = false;
  #extensions = 0;
  #turn: Promise<unknown> = Promise.resolve();
  #settle: Settle;

  constructor(source: ByteSource, framing: Framing, limits: HeadLimits) {
    this.#source = source;
    this.#framing = framing;
    this.#limits = limits;
    this.#left = typeof framing === 'object' ? framing.length : 0;
    let settle!: Settle;
    this.trailers = new Promise((resolve, reject) => (settle = { resolve, reject }));
    this.trailers.catch(() => undefined);
    this.#settle = settle;
    this.done = typeof framing === 'object' && framing.length === 0;
    if (this.done) settle.resolve(new Headers());
  }

  /** The bytes that follow, `undefined` at the end of the body. Calls take turns: each sees what the one before left. */
  next(): Promise<Uint8Array | undefined> {
    const step = this.#turn.then(() => this.#step());
    this.#turn = step.catch(() => undefined);
    return step;
  }

  async #step(): Promise<Uint8Array | undefined> {
    if (this.done) return undefined;
    try {
      return await (this.#framing === 'chunked' ? this.#nextOfChunks() : this.#nextOfLength());
    } catch (error) {
      this.#settle.reject(error);
      throw error;
    }
  }

  /** Reads what is left and drops it; false if that is more than `limit` bytes. */
  async drain(limit: number): Promise<boolean> {
    if (!this.done && typeof this.#framing === 'object' && this.#left > limit) return false;
    for (let dropped = 0; dropped <= limit; ) {
      const bytes = await this.next();
      if (bytes === undefined) return true;
      dropped += bytes.length;
    }
    return false;
  }

  #end(trailers = new Headers()): void {
    this.done = true;
    this.#settle.resolve(trailers);
    this.onEnd?.();
  }

  async #nextOfLength(): Promise<Uint8Array | undefined> {
    const untilClose = this.#framing === 'close';
    const bytes = await this.#source.take(untilClose ? Infinity : this.#left);
    if (bytes === undefined) {
      if (!untilClose) throw this.#source.truncated();
      this.#end();
      return undefined;
    }
    this.#left -= bytes.length;
    if (!untilClose && this.#left === 0) this.#end();
    return bytes;
  }

  async #nextOfChunks(): Promise<Uint8Array | undefined> {
    if (this.#left === 0) {
      if (this.#inChunk && (await this.#source.line(MAX_CHUNK_LINE)) !== '') throw new HttpProtocolError('chunk longer than its size');
      const line = CHUNK_LINE.exec(await this.#source.line(MAX_CHUNK_LINE));
      if (line === null) throw new HttpProtocolError('invalid chunk size');
      this.#extensions += line[2]?.length ?? 0;
      if (this.#extensions > MAX_CHUNK_EXTENSIONS) throw new HttpProtocolError('too many chunk extensions');
      this.#left = parseInt(line[1]!, 16);
      this.#inChunk = true;
      if (this.#left === 0) {
        this.#end(await readTrailers(this.#source, this.#limits));
        return undefined;
      }
    }
    const bytes = await this.#source.take(this.#left);
    if (bytes === undefined) throw this.#source.truncated();
    this.#left -= bytes.length;
    return bytes;
  }
}

/**
 * A stream of a body.
 * @param ahead Bytes that are read before anybody asks for them.
 * @param onFail Is told when the reader is cancelled or the body breaks off; gives the error that the stream shows.
 */
export function bodyStream(body: BodyReader, ahead: number, onFail: (error: unknown) => unknown, onPull?: () => Promise<void>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          await onPull?.();
          const bytes = await body.next();
          if (bytes !== undefined) controller.enqueue(bytes);
          if (body.done) controller.close();
        } catch (error) {
          controller.error(onFail(error));
        }
      },
      cancel(reason) {
        onFail(reason);
      },
    },
    { highWaterMark: ahead, size: (bytes) => bytes.length },
  );
}
