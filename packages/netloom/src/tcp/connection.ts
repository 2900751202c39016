import { REASON, type Exports } from '../engine/abi.ts';
import type { Engine, FlowListener } from '../engine/engine.ts';
import { NetworkError } from '../errors.ts';
import type { SocketOptions, StreamConnection } from '../transport/types.ts';
import { fromReadable } from '../transport/iterate.ts';
import { numbersOf } from './options.ts';
import { readableOf, writableOf } from './streams.ts';

/** Both ends of a connection. */
export type Ends = { localAddress: string; localPort: number; remoteAddress: string; remotePort: number };

/** Bytes that wait for room. */
type Write = { bytes: Uint8Array; offset: number; resolve(): void; reject(error: unknown): void };

/** Largest chunk that a stream gives. */
const CHUNK_BYTES = 64 * 1024;
/** Writes of up to this leave in a segment of their own, if they can, since their reader may be waiting for just them. */
const SMALL_BYTES = 4096;
/** How many pieces that arrived apart are kept apart while nobody reads. */
const MAX_PIECES = 64;

const OPEN = 0;
const CLOSED_HERE = 1;
const OVER = 2;

/**
 * A TCP connection.
 *
 * The streams are made when they are first used: a connection without them takes a few hundred bytes.
 */
export class TcpConnection implements StreamConnection, FlowListener {
  /** Own properties, as code written for tcpip.js copies connections by spreading them; V8 shares them between instances. */
  static readonly #STREAMS: PropertyDescriptorMap & ThisType<TcpConnection> = {
    readable: {
      enumerable: true,
      get() {
        return (this.#readable ??= readableOf(this));
      },
    },
    writable: {
      enumerable: true,
      get() {
        return (this.#writable ??= writableOf(this));
      },
    },
  };
  declare readonly readable: ReadableStream<Uint8Array>;
  declare readonly writable: WritableStream<Uint8Array>;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly #engine: Engine<Exports>;
  readonly #index: number;
  /** Part of the connection's id in the machine. @internal */
  readonly generation: number;
  /** A received segment of at least this many bytes is followed by more of the same write. */
  readonly #fullSegment: number;
  #options: SocketOptions;
  #state = OPEN;
  /** Why reads and writes fail. */
  #error: unknown;
  #finReceived = false;
  #finSent = false;
  /** The bytes of reads are no longer wanted. */
  #cancelled = false;
  #pieces: number[] | undefined;
  #lastPieceGrows = false;
  /** Bytes read that no event has told of yet. */
  #readAhead = 0;
  /** Called once when there may be something to read. */
  #waiting: (() => void) | undefined;
  #writes: Write[] | undefined;
  #readable: ReadableStream<Uint8Array> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;
  #failStreams: ((error: unknown) => void)[] | undefined;
  #closed: { promise: Promise<void>; resolve(): void; reject(error: unknown): void } | undefined;
  #established: ((error?: unknown) => void) | undefined;

  /** @internal */
  constructor(
    engine: Engine<Exports>,
    index: number,
    generation: number,
    ends: Ends,
    mtu: number,
    options: SocketOptions,
    established?: (error?: unknown) => void,
  ) {
    this.#engine = engine;
    this.#index = index;
    this.generation = generation;
    this.localAddress = ends.localAddress;
    this.localPort = ends.localPort;
    this.remoteAddress = ends.remoteAddress;
    this.remotePort = ends.remotePort;
    // Less than the headers of any packet with its options take.
    this.#fullSegment = mtu - 112;
    this.#options = options;
    this.#established = established;
    Object.defineProperties(this, TcpConnection.#STREAMS);
    engine.flows.set(index, this);
  }

  /** Address and port of this end, as one. */
  get local(): { address: string; port: number } {
    return { address: this.localAddress, port: this.localPort };
  }

  /** Address and port of the peer, as one. */
  get remote(): { address: string; port: number } {
    return { address: this.remoteAddress, port: this.remotePort };
  }

  get closed(): Promise<void> {
    if (!this.#closed) {
      const settle = {} as { resolve(): void; reject(error: unknown): void };
      const promise = new Promise<void>((resolve, reject) => Object.assign(settle, { resolve, reject }));
      promise.catch(() => {});
      this.#closed = { promise, ...settle };
      if (this.#state === CLOSED_HERE || (this.#state === OVER && this.#error === undefined)) settle.resolve();
      else if (this.#state === OVER) settle.reject(this.#error);
    }
    return this.#closed.promise;
  }

  async readInto(buffer: Uint8Array, { signal }: { signal?: AbortSignal } = {}): Promise<number> {
    if (this.#readable?.locked) throw new TypeError('readable stream already locked');
    signal?.throwIfAborted();
    while (true) {
      const count = this.readNow(buffer);
      if (count !== undefined) return count;
      await this.arrival(signal);
    }
  }

  async write(bytes: Uint8Array, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    if (this.#writable?.locked) throw new TypeError('writable stream already locked');
    signal?.throwIfAborted();
    await this.send(bytes, signal);
  }

  setOptions(options: SocketOptions): void {
    this.#options = { ...this.#options, ...options };
    const numbers = numbersOf(this.#options);
    if (this.#state !== OPEN) return;
    this.#engine.exports.set_options(this.#engine.now, this.#index, this.generation, ...numbers);
    this.#engine.wake();
  }

  async close(): Promise<void> {
    if (this.#state !== OPEN) return;
    this.#engine.flows.delete(this.#index);
    this.#engine.exports.close_flow(this.#engine.now, this.#index, this.generation);
    this.#engine.wake();
    this.#end(CLOSED_HERE, new NetworkError('ECONNABORTED', { message: 'tcp connection closed' }));
    this.#closed?.resolve();
  }

  reset(): void {
    this.breakOff(new NetworkError('ECONNABORTED', { message: 'tcp connection closed' }));
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Iterates over what `readable` gives. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return fromReadable(this.readable);
  }

  /** RST to the peer; reads and writes fail with the error. @internal */
  breakOff(error: unknown): void {
    if (this.#state !== OPEN) return;
    this.#engine.flows.delete(this.#index);
    this.#engine.exports.reset(this.#index, this.generation);
    this.#engine.wake();
    this.#end(OVER, error);
  }

  /** Calls with the error when the connection fails, or was closed. @internal */
  onFailure(fail: (error: unknown) => void): void {
    if (this.#error !== undefined) fail(this.#error);
    else (this.#failStreams ??= []).push(fail);
  }

  /** Whether reads and writes fail. @internal */
  get failed(): boolean {
    return this.#error !== undefined;
  }

  /** Length of the next chunk that a stream should give; 0 at the end, `undefined` if it must wait. @internal */
  get nextBytes(): number | undefined {
    const [piece] = this.#pieces ?? [];
    if (piece !== undefined) return Math.min(piece, CHUNK_BYTES);
    return this.#finReceived ? 0 : undefined;
  }

  /** Reads what is there; 0 at the end, `undefined` if there is nothing yet. @internal */
  readNow(buffer: Uint8Array): number | undefined {
    if (this.#error !== undefined) throw this.#error;
    const pieces = this.#pieces;
    if (!pieces?.length) return this.#finReceived ? 0 : undefined;
    const count = this.#engine.read(this.#index, this.generation, buffer);
    let rest = count;
    while (rest > 0 && pieces.length > 0) {
      const used = Math.min(rest, pieces[0]!);
      rest -= used;
      if (used === pieces[0]) pieces.shift();
      else pieces[0]! -= used;
    }
    this.#readAhead += rest;
    if (pieces.length === 0) this.#pieces = undefined;
    return count;
  }

  /** Resolves when there may be something to read. @internal */
  arrival(signal?: AbortSignal): Promise<void> {
    if (this.#waiting) return Promise.reject(new TypeError('another read waits already'));
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#waiting = undefined;
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting = () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
    });
  }

  /** Calls once when there may be something to read, instead of a promise. @internal */
  onArrival(wake: () => void): void {
    this.#waiting = wake;
  }

  /** What arrives from now on is dropped. @internal */
  cancelReads(): void {
    this.#cancelled = true;
    this.#drop();
  }

  /** Sends bytes in order; settles at once if nothing has to be waited for. @internal */
  send(bytes: Uint8Array, signal?: AbortSignal): Promise<void> | undefined {
    if (!(bytes instanceof Uint8Array)) throw new TypeError('only a Uint8Array can be written');
    if (this.#error !== undefined) throw this.#error;
    if (this.#finSent) throw new NetworkError('EPIPE', { syscall: 'write' });
    let offset = 0;
    if (!this.#writes?.length) {
      offset = this.#engine.write(this.#index, this.generation, bytes, 0);
      if (offset === bytes.length) {
        return offset <= SMALL_BYTES ? new Promise((resolve) => this.#engine.afterTurn(resolve)) : undefined;
      }
    }
    return this.#wait(bytes, offset, signal);
  }

  /** Sends FIN after what was sent. @internal */
  finish(): void {
    if (this.#error !== undefined) throw this.#error;
    if (this.#finSent) return;
    this.#finSent = true;
    this.#engine.exports.fin(this.#engine.now, this.#index, this.generation);
    this.#engine.wake();
  }

  /** @internal */
  onEstablished(): void {
    this.#established?.();
    this.#established = undefined;
  }

  /** @internal */
  onData(told: number): void {
    if (this.#cancelled) return this.#drop();
    const known = Math.min(told, this.#readAhead);
    this.#readAhead -= known;
    const bytes = told - known;
    if (bytes === 0) return;
    const pieces = (this.#pieces ??= []);
    if (pieces.length > 0 && (this.#lastPieceGrows || pieces.length === MAX_PIECES)) pieces[pieces.length - 1]! += bytes;
    else pieces.push(bytes);
    this.#lastPieceGrows = told >= this.#fullSegment;
    this.#wakeReader();
  }

  /** @internal */
  onFin(): void {
    this.#finReceived = true;
    this.#wakeReader();
  }

  /** @internal */
  onWritable(): void {
    const writes = this.#writes;
    while (writes?.length) {
      const write = writes[0]!;
      write.offset = this.#engine.write(this.#index, this.generation, write.bytes, write.offset);
      if (write.offset < write.bytes.length) return;
      writes.shift();
      write.resolve();
    }
    this.#writes = undefined;
  }

  /** @internal */
  onReset(reason: number): void {
    const connecting = this.#established !== undefined;
    const code = connecting ? connectCode(reason) : resetCode(reason);
    const about = { syscall: connecting ? 'connect' : 'read', address: this.remoteAddress, port: this.remotePort };
    this.#end(OVER, new NetworkError(code, about));
  }

  /** @internal */
  onClosed(): void {
    this.#state = OVER;
    this.#closed?.resolve();
  }

  /** @internal */
  onDead(error: NetworkError): void {
    this.#end(OVER, error);
  }

  #wakeReader(): void {
    const wake = this.#waiting;
    this.#waiting = undefined;
    wake?.();
  }

  #drop(): void {
    this.#pieces = undefined;
    const { exports, now } = this.#engine;
    const bytes = exports.peek(this.#index, this.generation);
    if (bytes > 0) exports.take(now, this.#index, this.generation, bytes);
    this.#engine.wake();
  }

  #wait(bytes: Uint8Array, offset: number, signal?: AbortSignal): Promise<void> {
    this.#engine.hold();
    return new Promise<void>((resolve, reject) => {
      const end = () => {
        signal?.removeEventListener('abort', abort);
        this.#engine.release();
      };
      const write: Write = {
        bytes,
        offset,
        resolve: () => (end(), resolve()),
        reject: (error) => (end(), reject(error)),
      };
      // A write that has begun cannot be taken back: what follows would be read as the rest of it.
      const abort = () => (write.offset > 0 ? this.breakOff(signal?.reason) : this.#giveUp(write, signal?.reason));
      signal?.addEventListener('abort', abort);
      (this.#writes ??= []).push(write);
    });
  }

  #giveUp(write: Write, reason: unknown): void {
    this.#writes = this.#writes?.filter((other) => other !== write);
    write.reject(reason);
  }

  #end(state: number, error: unknown): void {
    this.#state = state;
    this.#error = error;
    this.#pieces = undefined;
    this.#established?.(error);
    this.#established = undefined;
    this.#wakeReader();
    for (const write of this.#writes?.splice(0) ?? []) write.reject(error);
    for (const fail of this.#failStreams?.splice(0) ?? []) fail(error);
    if (state === OVER) this.#closed?.reject(error);
  }
}

function connectCode(reason: number) {
  return reason === REASON.timeout ? 'ETIMEDOUT' : reason === REASON.unreachable || reason === REASON.interfaceClosed ? 'EHOSTUNREACH' : 'ECONNREFUSED';
}

function resetCode(reason: number) {
  return reason === REASON.timeout ? 'ETIMEDOUT' : reason === REASON.unreachable || reason === REASON.interfaceClosed ? 'EHOSTUNREACH' : 'ECONNRESET';
}
