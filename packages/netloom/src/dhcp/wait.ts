/**
 * Time that passes between a client's messages.
 */

// Longer timers overflow.
export const MAX_TIMER_MS = 0x7fffffff;

/** Waits this long, or until `wake` aborts. Rejects with the reason of `closing`. A process need not stay for it. */
export async function wait(milliseconds: number, closing: AbortSignal, wake?: AbortSignal): Promise<void> {
  const until = Date.now() + milliseconds;
  while (Date.now() < until && !wake?.aborted) {
    closing.throwIfAborted();
    let cleanUp = (): void => {};
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, Math.min(until - Date.now(), MAX_TIMER_MS));
      (timer as { unref?: () => void }).unref?.();
      const [abort, end] = [() => reject(closing.reason as Error), () => resolve()];
      closing.addEventListener('abort', abort);
      wake?.addEventListener('abort', end);
      cleanUp = () => {
        clearTimeout(timer);
        closing.removeEventListener('abort', abort);
        wake?.removeEventListener('abort', end);
      };
    }).finally(() => cleanUp());
  }
}
