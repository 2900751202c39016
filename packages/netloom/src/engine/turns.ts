/**
 * When engines run: each in a macrotask of its own kind, never inside the call that gave it work; and by one timer each.
 */

type Turn = { run(rung?: boolean): void };

let waiting: Turn[] = [];
let posted = false;

/** Runs an engine in the next macrotask. */
export function runSoon(turn: Turn): void {
  waiting.push(turn);
  if (!posted) {
    posted = true;
    post();
  }
}

function runAll(): void {
  posted = false;
  const turns = waiting;
  waiting = [];
  for (const turn of turns) {
    try {
      turn.run();
    } catch (error) {
      // It must be seen, and must not keep other engines from their turn.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

type Immediate = (callback: () => void) => unknown;
const immediate = (globalThis as { setImmediate?: Immediate }).setImmediate;
const post = immediate ? () => void immediate(runAll) : overChannel();

/** Browsers have no `setImmediate`, and delay timers by milliseconds. */
function overChannel(): () => void {
  let channel: MessageChannel | undefined;
  return () => {
    if (!channel) {
      channel = new MessageChannel();
      channel.port1.onmessage = runAll;
    }
    channel.port2.postMessage(0);
  };
}

type Timer = ReturnType<typeof setTimeout> & { ref?(): void; unref?(): void };
type Runtime = { Deno?: { refTimer(timer: unknown): void; unrefTimer(timer: unknown): void } };
const deno = (globalThis as Runtime).Deno;

/** One timer that wakes an engine, does not keep it from being collected, and keeps a process alive only while something is waited for. */
export class Alarm {
  readonly #turn: WeakRef<Turn>;
  /** The engine, while something of it is waited for: whoever waits may hold nothing else of it. */
  #held: Turn | undefined;
  #timer: Timer | undefined;
  /** When it rings, in milliseconds; infinite if it is not set. */
  #at = Number.POSITIVE_INFINITY;
  #kept = false;

  constructor(turn: Turn) {
    this.#turn = new WeakRef(turn);
  }

  /** Rings no later than `at`. Too early is harmless, so that a deadline that moves away costs nothing. */
  set(at: number, now: number): void {
    if (at >= this.#at) return;
    clearTimeout(this.#timer);
    this.#at = at;
    // Longer ones would ring at once (HTML 8.6).
    const delay = Math.min(Math.max(Math.ceil(at - now), 0), 0x7fff_ffff);
    this.#timer = setTimeout(ring, delay, this) as Timer;
    if (!this.#kept) this.#unref();
  }

  /** Whether it keeps the engine and the process alive. */
  keep(kept: boolean): void {
    this.#kept = kept;
    this.#held = kept ? this.#turn.deref() : undefined;
    if (this.#timer === undefined) return;
    if (!kept) this.#unref();
    else if (deno && typeof this.#timer === 'number') deno.refTimer(this.#timer);
    else this.#timer.ref?.();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#at = Number.POSITIVE_INFINITY;
  }

  ring(): void {
    this.clear();
    (this.#held ?? this.#turn.deref())?.run(true);
  }

  #unref(): void {
    if (deno && typeof this.#timer === 'number') deno.unrefTimer(this.#timer);
    else this.#timer?.unref?.();
  }
}

function ring(alarm: Alarm): void {
  alarm.ring();
}
