/** Delays between tries: each twice as long as the one before up to a limit, and jittered by half, so that clients of a server that returns do not all come at once. */
export class Backoff {
  readonly #first: number;
  readonly #longest: number;
  readonly #random: () => number;
  #next: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Milliseconds of the first and the longest delay. */
  constructor({ reconnect, reconnectMax }: { reconnect: number; reconnectMax: number }, random: () => number = Math.random) {
    this.#first = Math.min(reconnect, reconnectMax);
    this.#longest = reconnectMax;
    this.#random = random;
    this.#next = this.#first;
  }

  /** Calls after the next delay; answers its milliseconds. */
  wait(retry: () => void): number {
    const delay = this.#next * (0.5 + this.#random() / 2);
    this.#next = Math.min(this.#next * 2, this.#longest);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(retry, delay);
    return delay;
  }

  /** What was tried has worked: the next delay is the first again. */
  reset(): void {
    this.#next = this.#first;
  }

  /** Forgets what waits. */
  cancel(): void {
    clearTimeout(this.#timer);
  }
}
