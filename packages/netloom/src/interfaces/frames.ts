import { TUN_ROOM } from '../engine/abi.ts';
import type { Engine, FrameListener } from '../engine/engine.ts';
import type { NetworkError } from '../errors.ts';
import { fromReader } from '../transport/iterate.ts';
import { Interface, type InterfaceOptions } from './interface.ts';
import { FrameReadable, sinks } from './pipe.ts';

/** Whoever gives and takes frames without streams: an interface of ours, or an adapter of a NIC. */
export type FrameEndpoint = {
  /** Gives frames to it. They are its own only during the call. */
  send(frames: Uint8Array | readonly Uint8Array[]): void;
  /** Calls with the frames that it gives, in batches; the frames are valid during the call. Returns how to stop. */
  onFrames(callback: (frames: readonly Uint8Array[]) => void): () => void;
};

type FrameCallback = (frames: readonly Uint8Array[]) => void;

/** Frames that may wait in a stream. */
const STREAM_FRAMES = 64;
/** What a batch for callbacks holds. */
const BATCH_BYTES = 128 * 1024;

/** An interface whose frames the page carries. */
export abstract class FrameInterface extends Interface implements FrameListener, FrameEndpoint {
  /** What the interface sends, one frame or packet per chunk. While nobody reads and nothing else takes them, frames are dropped. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What arrives at the interface, one frame or packet per chunk. */
  readonly writable: WritableStream<Uint8Array>;
  /** Bytes before each packet that are for the machine alone. */
  readonly #room: number;
  readonly #callbacks = new Set<FrameCallback>();
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  /** Where frames of a batch lie. */
  #batch: Uint8Array | undefined;
  /** Takes every frame, in place of callbacks and streams. */
  #peer: FrameInterface | undefined;
  #open = true;

  /** @internal */
  constructor(engine: Engine, name: string, kind: 'tun' | 'tap', options: InterfaceOptions, mac?: Uint8Array) {
    super(engine, name, kind, options, mac);
    this.#room = kind === 'tun' ? TUN_ROOM : 0;
    const source: UnderlyingDefaultSource<Uint8Array> = {
      start: (controller) => void (this.#controller = controller),
      pull: () => this.#fill(),
    };
    this.readable = new FrameReadable(this, source, { highWaterMark: STREAM_FRAMES });
    this.writable = new WritableStream({ write: (frame) => this.send(frame) }, { highWaterMark: STREAM_FRAMES });
    sinks.set(this.writable, this);
    engine.interfaces.set(this.id, this);
  }

  /**
   * Iterates over what the interface sends, from the call on. Ending the iteration lets others listen.
   *
   * @throws Error 'readable stream already locked' if somebody else reads
   */
  listen(): AsyncIterableIterator<Uint8Array> {
    if (this.readable.locked) throw new Error('readable stream already locked');
    return fromReader(this.readable.getReader(), { preventCancel: true });
  }

  /** As `listen`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return this.listen();
  }

  /**
   * Gives frames to the interface, or packets to a tun, without a stream between. Bad ones are counted drops; of an interface that
   * is gone nobody hears.
   *
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   *
   * const stack = await createStack();
   * const tap = await stack.interfaces.createTap({ ip: '10.0.0.1/24' });
   * tap.onFrames((frames) => console.log(frames.length));
   * tap.send(new Uint8Array(60));
   * console.log(tap.stats().framesReceived); // 1
   * ```
   */
  send(frames: Uint8Array | readonly Uint8Array[]): void {
    if (this.engine.failure?.code === 'ERR_STACK_DEAD') throw this.engine.failure;
    if (frames instanceof Uint8Array) this.#receive(frames);
    else if (Array.isArray(frames)) for (const frame of frames) this.#receive(frame);
    else throw new TypeError('a frame must be a Uint8Array');
    this.engine.wake();
  }

  /**
   * Calls with what the interface sends, in batches, never from inside a call of yours. The frames are valid during the call: copy what is kept.
   * While there is a callback, the stream gets nothing.
   *
   * @returns how to stop
   */
  onFrames(callback: FrameCallback): () => void {
    this.#callbacks.add(callback);
    this.onFramesReady();
    return () => void this.#callbacks.delete(callback);
  }

  /** Hands every frame to another interface; `undefined` ends that. @internal */
  joinTo(peer: FrameInterface | undefined): void {
    this.#peer = peer;
    this.engine.afterTurn(() => this.onFramesReady());
  }

  /** Whether segments cross whole and without checksums; false if that cannot be. @internal */
  setOffload(whole: boolean): boolean {
    if (!this.#open || this.engine.failure) return false;
    return this.engine.exports.set_offload(this.id, whole ? 1 : 0, whole ? 1 : 0) > 0;
  }

  /** Whether another interface takes every frame. @internal */
  get joined(): boolean {
    return this.#peer !== undefined;
  }

  /** Whether frames wait in the stream. @internal */
  get streaming(): boolean {
    return this.#controller.desiredSize !== STREAM_FRAMES;
  }

  /** @internal */
  onFramesReady(): void {
    if (!this.#open) return;
    if (this.#peer) this.#carry(this.#peer);
    else if (this.#callbacks.size > 0) this.#call();
    else if (this.readable.locked) this.#fill();
    else this.#discard();
  }

  /** @internal */
  onDead(error: NetworkError): void {
    if (error.code === 'ERR_STACK_DEAD') this.#controller.error(error);
    else this.end();
  }

  override end(): void {
    if (!this.#open) return;
    super.end();
    this.#open = false;
    this.#peer = undefined;
    this.#callbacks.clear();
    this.engine.interfaces.delete(this.id);
    try {
      this.#controller.close();
    } catch {
      // Its reader has cancelled it.
    }
  }

  /** A frame arrives. */
  #receive(frame: Uint8Array): void {
    if (!(frame instanceof Uint8Array)) throw new TypeError('a frame must be a Uint8Array');
    const { engine } = this;
    if (!this.#open || frame.length > engine.arenaBytes - this.#room) return;
    if (this.taps.size > 0) for (const tap of this.taps) tap(frame, 'in');
    engine.bytes.set(frame, engine.arena + this.#room);
    engine.exports.handle_frame(engine.now, this.id, frame.length + this.#room);
  }

  /** The next frame that leaves, with the room before it; valid until the next call into the machine. */
  #next(): Uint8Array | undefined {
    const { engine } = this;
    const at = engine.exports.poll_frame(engine.now, this.id) >>> 0;
    if (at === 0) return undefined;
    engine.noteFrameLeft();
    const end = at + engine.words[0]!;
    if (this.taps.size > 0) for (const tap of this.taps) tap(engine.bytes.subarray(at + this.#room, end), 'out');
    return engine.bytes.subarray(at, end);
  }

  #carry(peer: FrameInterface): void {
    if (!peer.#open || peer.engine.failure) return this.#discard();
    const { engine } = peer;
    let frame;
    while ((frame = this.#next())) {
      if (peer.taps.size > 0) for (const tap of peer.taps) tap(frame.subarray(this.#room), 'in');
      engine.bytes.set(frame, engine.arena);
      engine.exports.handle_frame(engine.now, peer.id, frame.length);
    }
    engine.wake();
  }

  #call(): void {
    const batch = (this.#batch ??= new Uint8Array(BATCH_BYTES));
    let frames: Uint8Array[] = [];
    let used = 0;
    const flush = () => {
      const full = frames;
      frames = [];
      used = 0;
      for (const callback of this.#callbacks) {
        try {
          callback(full);
        } catch (error) {
          // It must be seen, and must not keep the machine from its turn.
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    };
    let frame;
    while ((frame = this.#next())) {
      const packet = frame.subarray(this.#room);
      if (used + packet.length > batch.length) flush();
      batch.set(packet, used);
      frames.push(batch.subarray(used, used + packet.length));
      used += packet.length;
    }
    if (frames.length > 0) flush();
  }

  #fill(): void {
    if (!this.#open || this.#peer || this.#callbacks.size > 0 || !this.readable.locked || this.engine.failure) return;
    let frame;
    while ((this.#controller.desiredSize ?? 0) > 0 && (frame = this.#next())) {
      this.#controller.enqueue(frame.slice(this.#room));
    }
    this.engine.wake();
  }

  #discard(): void {
    this.engine.exports.discard_frames(this.engine.now, this.id);
    this.engine.noteFrameLeft();
  }
}
