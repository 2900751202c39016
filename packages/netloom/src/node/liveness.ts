/**
 * What keeps the process running. A socket of Node's own does so while it is open, by its handle in the event loop; ours have none, as
 * an idle stack must let the process end. One timer stands for all that are open and not `unref`ed.
 *
 * @module
 */

const open = new Set<object>();
let timer: ReturnType<typeof setInterval> | undefined;
/** The longest interval that timers take. */
const FOREVER_MS = 2 ** 31 - 1;

/** Keeps the process running for `owner`'s sake. */
export function hold(owner: object): void {
  open.add(owner);
  timer ??= setInterval(() => {}, FOREVER_MS);
}

/** Ends that. */
export function release(owner: object): void {
  if (!open.delete(owner) || open.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}
