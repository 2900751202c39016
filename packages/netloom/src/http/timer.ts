/** A timeout that is set again and again. */
export class IdleTimer {
  /** Milliseconds; 0 for no limit. Holds for the next `start`. */
  limit = 0;
  #run: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(run: () => void) {
    this.#run = run;
  }

  /** A timer in the background does not keep a process alive: nobody waits for what it ends. */
  start(limit = this.limit, background = false): void {
    clearTimeout(this.#timer);
    this.#timer = limit > 0 ? setTimeout(this.#run, limit) : undefined;
    // Browsers' timers are numbers and need none of it.
    if (background) (this.#timer as { unref?: () => void } | undefined)?.unref?.();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
