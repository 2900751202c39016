/**
 * The streams of interfaces. A pipe between two of ours makes no promise for each frame, as engines do between streams of their own.
 */
import type { FrameInterface } from './frames.ts';

/** Whose frames a stream takes. */
export const sinks = new WeakMap<WritableStream, FrameInterface>();

export class FrameReadable extends ReadableStream<Uint8Array> {
  readonly #owner: FrameInterface;

  constructor(owner: FrameInterface, source: UnderlyingDefaultSource<Uint8Array>, strategy: QueuingStrategy<Uint8Array>) {
    super(source, strategy);
    this.#owner = owner;
  }

  override pipeTo(to: WritableStream<Uint8Array>, options: StreamPipeOptions = {}): Promise<void> {
    const owner = this.#owner;
    const target = sinks.get(to);
    const special = !target || target.type !== owner.type || this.locked || to.locked || owner.joined || owner.streaming;
    return special
      ? super.pipeTo(to, options)
      : carry(
          this,
          to,
          options,
          () => owner.joinTo(target),
          () => owner.joinTo(undefined),
        );
  }
}

/** As `pipeTo` (Streams 4.9.1), where chunks go their own way between `begin` and `end`. */
function carry(
  from: ReadableStream<Uint8Array>,
  to: WritableStream<Uint8Array>,
  options: StreamPipeOptions,
  begin: () => void,
  end: () => void,
): Promise<void> {
  const { signal, preventAbort = false, preventCancel = false, preventClose = false } = options;
  const reader = from.getReader();
  const writer = to.getWriter();
  return new Promise((resolve, reject) => {
    let over = false;
    const finish = (close: () => Promise<unknown>, settle: () => void) => {
      if (over) return;
      over = true;
      end();
      signal?.removeEventListener('abort', abort);
      close()
        .catch(() => {})
        .then(() => {
          reader.releaseLock();
          writer.releaseLock();
          settle();
        });
    };
    const abandon = (error: unknown) => () => Promise.all([preventAbort ? undefined : writer.abort(error), preventCancel ? undefined : reader.cancel(error)]);
    const abort = () => finish(abandon(signal?.reason), () => reject(signal?.reason));
    reader.closed.then(
      () => finish(async () => (preventClose ? undefined : writer.close()), resolve),
      (error) =>
        finish(
          async () => (preventAbort ? undefined : writer.abort(error)),
          () => reject(error),
        ),
    );
    const stopped = (error: unknown) =>
      finish(
        async () => (preventCancel ? undefined : reader.cancel(error)),
        () => reject(error),
      );
    writer.closed.then(() => stopped(new TypeError('the destination was closed')), stopped);
    if (signal?.aborted) return abort();
    signal?.addEventListener('abort', abort);
    begin();
  });
}
