/**
 * The idle time of a socket, `socket.setTimeout`.
 *
 * @module
 */
import { invalidType, usageError } from '../errors.ts';

/** Milliseconds that timers take at most. */
const LONGEST_MS = 2 ** 31 - 1;

export class IdleTimer {
  #timer: NodeJS.Timeout | undefined;
  readonly #expired: () => void;

  constructor(expired: () => void) {
    this.#expired = expired;
  }

  /** Begins anew with `ms`; 0 ends it. */
  set(ms: number): void {
    if (typeof ms !== 'number') throw invalidType('msecs', 'of type number', ms);
    if (!(ms >= 0 && Number.isFinite(ms))) {
      throw usageError('ERR_OUT_OF_RANGE', `The value of "msecs" is out of range. It must be a non-negative finite number. Received ${ms}`, RangeError);
    }
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (ms === 0) return;
    this.#timer = setTimeout(this.#expired, Math.min(ms, LONGEST_MS));
    this.#timer.unref();
  }

  /** Something happened. */
  refresh(): void {
    this.#timer?.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
