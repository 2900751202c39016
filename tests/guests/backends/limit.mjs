// The one clock of these tests: after how long something counts as never coming.

/** Milliseconds; the runner of v86's own backends sets fewer. */
export const LIMIT_MS = Number(globalThis.process?.env.NETLOOM_LIMIT_MS ?? 20_000);

/** `promise`, or a rejection after the limit. */
export async function within(promise, what, limitMs = LIMIT_MS) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`never came: ${what}`)), limitMs);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks `condition` in every turn until it holds. */
export async function eventually(condition, what) {
  const limit = Date.now() + LIMIT_MS;
  while (!condition()) {
    if (Date.now() > limit) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
