/**
 * Iterates over a stream, everywhere: not all engines have `ReadableStream.prototype[Symbol.asyncIterator]`.
 *
 * Ending the iteration early cancels the stream, unless `preventCancel` is set, and gives it free.
 *
 * @throws Error 'readable stream already locked' if somebody else reads it
 * @example
 * ```ts
 * import { fromReadable } from 'netloom/transport';
 *
 * const readable = new Blob(['hello']).stream();
 * for await (const chunk of fromReadable(readable)) {
 *   console.log(chunk.length); // 5
 * }
 * ```
 */
export function fromReadable<T>(readable: ReadableStream<T>, options: { preventCancel?: boolean } = {}): AsyncIterableIterator<T> {
  if (readable.locked) throw new Error('readable stream already locked');
  return fromReader(readable.getReader(), options);
}

/**
 * As {@link fromReadable}, for a stream that is locked already. The reader is released at the end.
 *
 * @example
 * ```ts
 * import { fromReader } from 'netloom/transport';
 *
 * const reader = new Blob(['hello']).stream().getReader();
 * for await (const chunk of fromReader(reader)) {
 *   console.log(chunk.length); // 5
 * }
 * ```
 */
export function fromReader<T>(reader: ReadableStreamDefaultReader<T>, { preventCancel = false }: { preventCancel?: boolean } = {}): AsyncIterableIterator<T> {
  const done = { done: true, value: undefined } as const;
  let ended = false;
  const end = () => {
    ended = true;
    reader.releaseLock();
  };
  return {
    async next() {
      if (ended) return done;
      try {
        const result = await reader.read();
        if (!result.done) return result;
      } catch (error) {
        end();
        throw error;
      }
      end();
      return done;
    },
    async return() {
      if (ended) return done;
      const cancelled = preventCancel ? undefined : reader.cancel();
      end();
      await cancelled;
      return done;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
