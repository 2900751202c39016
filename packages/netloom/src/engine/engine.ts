/**
 * One instance of the module: its memory, its clock, its turns, and whom its events concern. Everything that crosses the boundary does so
 * here and in the classes that this one hands its functions to.
 */
import { NetworkError } from '../errors.ts';
import { addressText } from './address.ts';
import { CODE, EVENT, EVENT_WORDS, NO_INTERFACE, type Exports, type HostExports } from './abi.ts';
import { Alarm, runSoon } from './turns.ts';

/** Who hears of a connection. */
export type FlowListener = {
  readonly generation: number;
  onEstablished(): void;
  onData(bytes: number): void;
  onFin(): void;
  onWritable(): void;
  onReset(reason: number): void;
  onClosed(): void;
  onDead(error: NetworkError): void;
};

/** Who hears of connections that arrive. */
export type AcceptListener = { readonly generation: number; onAccepted(): void; onDead(error: NetworkError): void };

/** Who hears of datagrams. */
export type SocketListener = {
  readonly generation: number;
  onDatagram(): void;
  onUndelivered(host: string, port: number, refused: boolean): void;
  onDead(error: NetworkError): void;
};

/** Who takes an interface's frames. */
export type FrameListener = { onFramesReady(): void; onDead(error: NetworkError): void };

/** What one role has in a turn that the other has not. */
export type TurnHooks = {
  /** A turn begins; whether more of it waits for another turn. */
  begin?(now: number): boolean;
  /** A guest has opened a flow. */
  opened?(index: number, generation: number): void;
  /** A guest's query is for the outside. */
  asked?(low: number, high: number): void;
  /** All that happened has been told. */
  end?(): void;
  /** A frame came while nothing else waited: what it gave to send may leave ahead of the turn. */
  alone?(): void;
};

/** An instance of a host's module, or of another role's. */
export class Engine<E extends Exports = HostExports> {
  readonly exports: E;
  readonly flows = new Map<number, FlowListener>();
  readonly listeners = new Map<number, AcceptListener>();
  readonly sockets = new Map<number, SocketListener>();
  readonly interfaces = new Map<number, FrameListener>();
  /** Loopback interfaces whose packets are watched. */
  readonly watched = new Map<number, (packet: Uint8Array) => void>();
  hooks: TurnHooks = {};
  readonly #alarm: Alarm;
  readonly #events: Uint32Array;
  readonly #eventsAtOnce: number;
  readonly arena: number;
  readonly arenaBytes: number;
  readonly #wordsAt: number;
  readonly #wordsLength: number;
  #bytes: Uint8Array;
  #words: Uint32Array;
  /** Called after the next turn. */
  #afterTurn: (() => void)[] = [];
  /** Called after the next turn in which frames left. */
  #afterFrames: (() => void)[] = [];
  #framesLeft = false;
  #pending = 0;
  #scheduled = false;
  #running = false;
  #now = 0;
  #failure: NetworkError | undefined;

  constructor(module: WebAssembly.Module) {
    const { exports } = new WebAssembly.Instance(module);
    this.exports = guarded(exports as unknown as E, (cause) => this.#die(cause));
    this.arena = this.exports.arena();
    this.arenaBytes = this.exports.arena_bytes();
    this.#wordsAt = this.exports.words();
    this.#wordsLength = this.exports.words_length();
    this.#bytes = new Uint8Array(this.exports.memory.buffer);
    this.#words = new Uint32Array(this.exports.memory.buffer, this.#wordsAt, this.#wordsLength);
    this.#events = new Uint32Array(this.#wordsLength);
    this.#eventsAtOnce = this.exports.events_at_once();
    this.#alarm = new Alarm(this);
  }

  /** The linear memory. A view of it dies when the memory grows, which any call may do. */
  get bytes(): Uint8Array {
    if (this.#bytes.length === 0) this.#bytes = new Uint8Array(this.exports.memory.buffer);
    return this.#bytes;
  }

  /** Numbers that the latest call left. */
  get words(): Uint32Array {
    if (this.#words.length === 0) this.#words = new Uint32Array(this.exports.memory.buffer, this.#wordsAt, this.#wordsLength);
    return this.#words;
  }

  /**
   * Microseconds since the runtime's origin: those at which the turn began, or at which the next one was asked for. A clock is asked once for
   * each, since asking takes longer than most calls.
   */
  get now(): number {
    if (!this.#scheduled && !this.#running) this.#now = performance.now() * 1000;
    return this.#now;
  }

  /** Whether a turn is under way, or will be in the next macrotask. */
  get busy(): boolean {
    return this.#scheduled || this.#running;
  }

  /** Why nothing works any more, if so. */
  get failure(): NetworkError | undefined {
    return this.#failure;
  }

  /** Runs a turn in the next macrotask: to be called after whatever may have given the machine something to do. */
  wake(): void {
    if (this.#scheduled || this.#failure) return;
    if (!this.#running) this.#now = performance.now() * 1000;
    this.#scheduled = true;
    runSoon(this);
  }

  /** Hands out what frames there are, ahead of the turn that was asked for. */
  deliver(): void {
    if (!this.#failure && !this.#running) this.#deliverFrames();
  }

  /** Calls once the next turn is over. */
  afterTurn(callback: () => void): void {
    this.#afterTurn.push(callback);
    this.wake();
  }

  /** Calls after the next turn in which frames left, so that there is room for more. */
  afterFrames(callback: () => void): void {
    this.#afterFrames.push(callback);
  }

  /** A frame has left. */
  noteFrameLeft(): void {
    this.#framesLeft = true;
  }

  /** Something is waited for: the process stays until it is released. */
  hold(): void {
    this.#pending += 1;
    if (this.#pending === 1) this.#alarm.keep(true);
  }

  release(): void {
    this.#pending -= 1;
    if (this.#pending === 0) this.#alarm.keep(false);
  }

  /** Ends the instance: whatever is open or waited for fails. */
  close(): void {
    if (!this.#failure) this.#fail(new NetworkError('ECONNABORTED', { message: 'the stack was closed' }));
  }

  /** Copies bytes received on a connection; how many. */
  read(index: number, generation: number, into: Uint8Array): number {
    const available = this.exports.peek(index, generation);
    if (available === 0 || into.length === 0) return 0;
    const { bytes, words } = this;
    const [at, length, nextAt] = [words[0]!, words[1]!, words[2]!];
    const count = Math.min(available, into.length);
    const first = Math.min(length, count);
    into.set(bytes.subarray(at, at + first));
    if (count > first) into.set(bytes.subarray(nextAt, nextAt + count - first), first);
    this.exports.take(this.now, index, generation, count);
    this.wake();
    return count;
  }

  /** Writes bytes to a connection from an offset on; the offset behind what was taken. */
  write(index: number, generation: number, bytes: Uint8Array, offset: number): number {
    const { exports, arenaBytes } = this;
    let at = offset;
    while (at < bytes.length) {
      const room = exports.room(index, generation);
      const wanted = Math.min(bytes.length - at, arenaBytes);
      // A write of more than there is room for asks for the event that tells of room.
      const count = Math.min(wanted, room + 1);
      this.bytes.set(at === 0 && count === bytes.length ? bytes : bytes.subarray(at, at + count), this.arena);
      const taken = exports.write(this.now, index, generation, count);
      at += taken;
      if (taken < count) break;
    }
    this.wake();
    return at;
  }

  /** One turn: time, loopback, frames, events. `rung` if its timer calls. */
  run(rung = false): void {
    this.#scheduled = false;
    if (this.#failure) return;
    this.#running = true;
    const now = (this.#now = performance.now() * 1000);
    try {
      this.exports.handle_timeout(now, rung ? 1 : 0);
      if (this.hooks.begin?.(now)) this.wake();
      this.#deliverFrames();
      this.#deliverEvents();
      this.hooks.end?.();
      for (const callback of this.#afterTurn.splice(0)) callback();
      if (this.#framesLeft) for (const callback of this.#afterFrames.splice(0)) callback();
      this.#framesLeft = false;
      const at = this.exports.poll_timeout();
      if (at >= 0) this.#alarm.set(at / 1000, now / 1000);
    } catch (error) {
      // A trap has been dealt with; all else is a fault of this package, and must be seen.
      if (!this.#failure) throw error;
    } finally {
      this.#running = false;
    }
  }

  #deliverFrames(): void {
    let id;
    while ((id = this.exports.poll_interface()) !== NO_INTERFACE) {
      const listener = this.interfaces.get(id);
      if (listener) listener.onFramesReady();
      else this.exports.discard_frames(this.now, id);
    }
  }

  #deliverEvents(): void {
    const events = this.#events;
    let count;
    do {
      count = this.exports.poll_events();
      // Listeners make calls, which leave words of their own.
      events.set(this.words.subarray(0, count * EVENT_WORDS));
      for (let at = 0; at < count * EVENT_WORDS; at += EVENT_WORDS) this.#deliver(events, at);
    } while (count === this.#eventsAtOnce);
  }

  #deliver(events: Uint32Array, at: number): void {
    const [kind, index, generation, number] = [events[at]!, events[at + 1]!, events[at + 2]!, events[at + 3]!];
    if (kind === EVENT.accepted) {
      const listener = this.listeners.get(index);
      if (listener?.generation === generation) listener.onAccepted();
      return;
    }
    if (kind === EVENT.datagram || kind === EVENT.undelivered) {
      const socket = this.sockets.get(index);
      if (socket?.generation !== generation) return;
      if (kind === EVENT.datagram) return socket.onDatagram();
      const address = new Uint8Array(events.buffer, 4 * (at + 6), 16);
      return socket.onUndelivered(addressText(address, 0, events[at + 5]!), events[at + 4]!, number > 0);
    }
    if (kind === EVENT.opened) return this.hooks.opened?.(index, generation);
    if (kind === EVENT.query) return this.hooks.asked?.(index, generation);
    const flow = this.flows.get(index);
    if (flow?.generation !== generation) return;
    switch (kind) {
      case EVENT.established:
        return flow.onEstablished();
      case EVENT.data:
        return flow.onData(number);
      case EVENT.fin:
        return flow.onFin();
      case EVENT.writable:
        return flow.onWritable();
      case EVENT.reset:
        this.flows.delete(index);
        return flow.onReset(number);
      case EVENT.closed:
        this.flows.delete(index);
        return flow.onClosed();
    }
  }

  /** After a trap: the message of the panic goes to all that waits, and to all that comes. */
  #die(cause: unknown): NetworkError {
    if (!this.#failure) {
      const { memory, panic_pointer, panic_length } = this.exports;
      const at = panic_pointer();
      const text = new TextDecoder().decode(new Uint8Array(memory.buffer, at, panic_length()));
      this.#fail(new NetworkError('ERR_STACK_DEAD', { message: `the network machine failed: ${text || String(cause)}`, cause }));
    }
    return this.#failure!;
  }

  #fail(error: NetworkError): void {
    this.#failure = error;
    this.#alarm.clear();
    const concerned = [this.flows, this.listeners, this.sockets, this.interfaces].flatMap((map) => [...map.values()]);
    for (const map of [this.flows, this.listeners, this.sockets, this.interfaces]) map.clear();
    for (const listener of concerned) listener.onDead(error);
    for (const callback of [...this.#afterTurn.splice(0), ...this.#afterFrames.splice(0)]) callback();
  }
}

/** Whether an answer of `listen`, `connect`, `open_udp` or `send` is an error, and which. */
export function errorOf(code: number, syscall: string, address?: string, port?: number): NetworkError | undefined {
  switch (code) {
    case CODE.ok:
      return undefined;
    case CODE.inUse:
      return new NetworkError('EADDRINUSE', { syscall, address, port });
    case CODE.tooLong:
      return new NetworkError('EMSGSIZE', { syscall, address, port });
    case CODE.noRoute:
      return new NetworkError('ENETUNREACH', { syscall, address, port });
    default:
      return new NetworkError('EADDRNOTAVAIL', { syscall, address, port });
  }
}

type Call = (...args: number[]) => number;

/** The functions, each of which turns a trap into the error that it means. */
function guarded<E extends Exports>(exports: E, die: (cause: unknown) => NetworkError): E {
  const calls: Record<string, unknown> = { memory: exports.memory };
  for (const [name, call] of Object.entries(exports)) {
    if (typeof call !== 'function') continue;
    calls[name] = name.startsWith('panic_') ? call : guard(call as Call, die);
  }
  return calls as E;
}

function guard(call: Call, die: (cause: unknown) => NetworkError): Call {
  return (...args) => {
    try {
      return call(...args);
    } catch (cause) {
      throw die(cause);
    }
  };
}
