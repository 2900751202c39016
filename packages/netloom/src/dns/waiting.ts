/**
 * Work that several may wait for: it runs once for all of them, and is given up when all have given up.
 */

type Work<T> = { promise: Promise<T>; waiters: Set<(reason: unknown) => void>; controller: AbortController };

/** A table of work in progress, by key. */
export function shared<T>() {
  const table = new Map<string, Work<T>>();
  const running = new Set<Work<T>>();

  const start = (key: string, run: (signal: AbortSignal) => Promise<T>): Work<T> => {
    const controller = new AbortController();
    const promise = run(controller.signal).finally(() => {
      running.delete(work);
      if (table.get(key) === work) table.delete(key);
    });
    promise.catch(() => {});
    const work: Work<T> = { promise, waiters: new Set(), controller };
    running.add(work);
    table.set(key, work);
    return work;
  };

  return {
    /** Waits for the work under `key`, which `run` begins unless it is under way. Rejects with the signal's reason, and with that of `close`. */
    async join(key: string, signal: AbortSignal | undefined, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
      const work = table.get(key) ?? start(key, run);
      let leave = (_: unknown): void => {};
      const left = new Promise<never>((_, reject) => {
        leave = reject;
      });
      const abort = (): void => leave(signal?.reason);
      signal?.addEventListener('abort', abort);
      work.waiters.add(leave);
      try {
        return await Promise.race([work.promise, left]);
      } finally {
        signal?.removeEventListener('abort', abort);
        work.waiters.delete(leave);
        if (work.waiters.size === 0) {
          if (table.get(key) === work) table.delete(key);
          work.controller.abort(signal?.reason);
        }
      }
    },

    /** Gives up all work; resolves once it has ended. */
    async close(reason: unknown): Promise<void> {
      const all = [...running];
      for (const { controller, waiters } of all) {
        for (const leave of waiters) leave(reason);
        controller.abort(reason);
      }
      await Promise.allSettled(all.map(({ promise }) => promise));
    },
  };
}
