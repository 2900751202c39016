import type { StreamConnection } from '../transport/types.ts';
import { EMPTY } from './bytes.ts';
import type { ConnectionLike } from './types.ts';

/** A connection that begins with bytes that were read already, or that lacks what a `StreamConnection` has beside its streams. */
class AdoptedConnection implements StreamConnection {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly closed: Promise<void>;
  #inner: ConnectionLike;
  #rest: Uint8Array;
  #settle!: { resolve(): void; reject(error: unknown): void };

  constructor(inner: ConnectionLike, rest: Uint8Array) {
    this.#inner = inner;
    this.#rest = rest;
    const ended = new Promise<void>((resolve, reject) => (this.#settle = { resolve, reject }));
    this.closed = inner.closed ?? ended;
    this.closed.catch(() => undefined);
    ended.catch(() => undefined);
    const reader = inner.readable.getReader();
    this.readable = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const first = this.#rest;
          if (first.length > 0) {
            this.#rest = EMPTY;
            return controller.enqueue(first);
          }
          try {
            const { done, value } = await reader.read();
            if (!done) return controller.enqueue(value);
            controller.close();
            this.#settle.resolve();
          } catch (error) {
            this.#settle.reject(error);
            throw error;
          }
        },
        cancel: (reason) => reader.cancel(reason),
      },
      { highWaterMark: 0 },
    );
    this.writable = inner.writable;
  }

  get localAddress(): string {
    return this.#inner.localAddress ?? '';
  }

  get localPort(): number {
    return this.#inner.localPort ?? 0;
  }

  get remoteAddress(): string {
    return this.#inner.remoteAddress ?? '';
  }

  get remotePort(): number {
    return this.#inner.remotePort ?? 0;
  }

  async readInto(buffer: Uint8Array, options: { signal?: AbortSignal } = {}): Promise<number> {
    if (this.#rest.length === 0) {
      const reader = this.readable.getReader();
      try {
        const { done, value } = await interruptible(reader.read(), options.signal, () => this.reset());
        if (done) return 0;
        this.#rest = value;
      } finally {
        reader.releaseLock();
      }
    }
    const bytes = this.#rest.subarray(0, buffer.length);
    buffer.set(bytes);
    this.#rest = this.#rest.subarray(bytes.length);
    return bytes.length;
  }

  async write(bytes: Uint8Array, options: { signal?: AbortSignal } = {}): Promise<void> {
    const writer = this.writable.getWriter();
    try {
      await interruptible(writer.write(bytes), options.signal, () => this.reset());
    } finally {
      writer.releaseLock();
    }
  }

  setOptions(options: Parameters<StreamConnection['setOptions']>[0]): void {
    this.#inner.setOptions?.(options);
  }

  async close(): Promise<void> {
    this.#settle.resolve();
    await this.#inner.close();
  }

  reset(): void {
    this.#settle.resolve();
    if (this.#inner.reset) this.#inner.reset();
    else this.#inner.close().catch(() => undefined);
  }

  async *[Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    const reader = this.readable.getReader();
    try {
      for (let step = await reader.read(); !step.done; step = await reader.read()) yield step.value;
    } finally {
      reader.releaseLock();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** `work`, or the signal's reason; what was begun cannot be taken back, so that an abort breaks the connection off. */
export async function interruptible<T>(work: Promise<T>, signal: AbortSignal | undefined | null, onAbort: () => void): Promise<T> {
  if (!signal) return work;
  let abort!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => {
      onAbort();
      reject(signal.reason);
    };
  });
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort);
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
    work.catch(() => undefined);
  }
}

/** A whole `StreamConnection` of `inner`, that begins with `rest`. */
export function adopt(inner: ConnectionLike, rest: Uint8Array): StreamConnection {
  return rest.length === 0 && inner.readInto !== undefined ? (inner as StreamConnection) : new AdoptedConnection(inner, rest);
}
