/**
 * Continues after a promise as Node's event loop would: what the listeners of an event throw is an uncaught exception, and not the
 * rejection of a promise of ours.
 *
 * @module
 */
export function later<T>(promise: Promise<T>, done: (value: T) => void, failed: (error: unknown) => void): void {
  promise.then(
    (value) => process.nextTick(done, value),
    (error: unknown) => process.nextTick(failed, error),
  );
}
