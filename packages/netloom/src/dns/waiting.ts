/**
 * Work that several may wait for: it runs once for all of them, and is given up when all have given up.
 */

type Work<T> = { promise: Promise<T>; waiters: number; controller: AbortController };

/** A table of work in progress, by key. */
export function shared<T>() {
  const table = new Map<string, Work<T>>();

  const start = (key: string, closing: AbortSignal, run: (signal: AbortSignal) => Promise<T>): Work<T> => {
    const controller = new AbortController();
    const close = (): void => controller.abort(closing.reason);
    closing.addEventListener('abort', close);
    const promise = run(controller.signal).finally(() => {
      closing.removeEventListener('abort', close);
      if (table.get(key) === work) table.delete(key);
    });
    promise.catch(() => {});
    const work: Work<T> = { promise, waiters: 0, controller };
    table.set(key, work);
    return work;
  };

  return {
    /** Waits for the work under `key`, which `run` begins unless it is under way. Rejects with the reason of either signal. */
    async join(key: string, signal: AbortSignal | undefined, closing: AbortSignal, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
      const work = table.get(key) ?? start(key, closing, run);
      work.waiters += 1;
      let leave = (): void => {};
      const left = new Promise<never>((_, reject) => {
        leave = () => reject(signal?.reason ?? closing.reason);
      });
      signal?.addEventListener('abort', leave);
      closing.addEventListener('abort', leave);
      try {
        return await Promise.race([work.promise, left]);
      } finally {
        signal?.removeEventListener('abort', leave);
        closing.removeEventListener('abort', leave);
        work.waiters -= 1;
        if (work.waiters === 0) {
          if (table.get(key) === work) table.delete(key);
          work.controller.abort(signal?.reason);
        }
      }
    },

    /** Resolves once nothing is in progress. */
    async settled(): Promise<void> {
      await Promise.allSettled([...table.values()].map(({ promise }) => promise));
    },
  };
}
