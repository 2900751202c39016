/**
 * Between v86's bus of events and frames: the guest's come as events from inside its instruction, so that nothing here may throw there,
 * and are views of the ne2k's memory, so that whatever outlives the event is a copy.
 */
import { NetworkError } from '../errors.ts';
import type { FrameEndpoint } from '../interfaces/frames.ts';

/** v86's bus, as far as a NIC needs it. */
export type V86Bus = {
  /** Gives a frame to the guest. */
  send(event: string, frame: Uint8Array): void;
  /** Takes a listener off. */
  unregister?(event: string, listener: (frame: Uint8Array) => void): void;
};

/** An emulator of v86, as far as a NIC needs it. */
export type V86Emulator = {
  /** Always there, though v86's own types leave it out. */
  readonly bus?: V86Bus;
  /** Has a listener told of the guest's frames. */
  add_listener(event: 'net0-send', listener: (frame: Uint8Array) => void): void;
};

/** Which NIC, and how much waits. */
export type V86NetworkStreamOptions = {
  /** Number of the NIC, 0 or more. Default 0, the only one that v86 makes by itself. */
  nic?: number;
  /** Frames of the guest that wait in `readable`, 1 or more; what comes on top is dropped, as by a NIC. Default 256. */
  queueFrames?: number;
};

type FrameCallback = (frames: readonly Uint8Array[]) => void;

const QUEUE_FRAMES = 256;
const STREAM_FRAMES = 64;

/** The NIC of a guest in v86. */
export class V86NetworkStream implements FrameEndpoint, Disposable {
  /** What the guest sends: one Ethernet frame per chunk, without FCS. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What the guest receives, likewise. */
  readonly writable: WritableStream<Uint8Array>;
  readonly #bus: V86Bus;
  readonly #nic: number;
  readonly #callbacks = new Set<FrameCallback>();
  #fromGuest!: ReadableStreamDefaultController<Uint8Array>;
  #toGuest!: WritableStreamDefaultController;
  #dropped = 0;
  #open = true;

  constructor(emulator: V86Emulator, { nic = 0, queueFrames = QUEUE_FRAMES }: V86NetworkStreamOptions = {}) {
    if (!Number.isInteger(nic) || nic < 0) throw new NetworkError('EINVAL', { message: `nic must be a whole number, 0 or more: ${nic}` });
    if (!Number.isInteger(queueFrames) || queueFrames < 1)
      throw new NetworkError('EINVAL', { message: `queueFrames must be a whole number, 1 or more: ${queueFrames}` });
    if (!emulator.bus) throw new NetworkError('EINVAL', { message: 'the emulator has no bus' });
    this.#bus = emulator.bus;
    this.#nic = nic;
    this.readable = new ReadableStream({ start: (controller) => void (this.#fromGuest = controller) }, { highWaterMark: queueFrames });
    const sink: UnderlyingSink<Uint8Array> = { start: (controller) => void (this.#toGuest = controller), write: (frame) => this.send(frame) };
    this.writable = new WritableStream(sink, { highWaterMark: STREAM_FRAMES });
    // Of its events, v86 has the types of the first NIC alone.
    emulator.add_listener(`net${nic}-send` as 'net0-send', this.#sent);
    // v86 destroys what it finds here with itself.
    (emulator as { network_adapter?: unknown }).network_adapter ??= this;
  }

  /** Gives frames to the guest; v86 copies them at once. After `destroy`, they are dropped. */
  send(frames: Uint8Array | readonly Uint8Array[]): void {
    const event = `net${this.#nic}-receive`;
    for (const frame of frames instanceof Uint8Array ? [frames] : frames) if (this.#open) this.#bus.send(event, frame);
  }

  /**
   * Calls with each frame of the guest, valid during the call; while there is a callback, `readable` gets nothing. It runs inside the
   * guest's instruction: a callback that throws is an uncaught error, and is not called again. Returns how to stop.
   */
  onFrames(callback: FrameCallback): () => void {
    this.#callbacks.add(callback);
    return () => void this.#callbacks.delete(callback);
  }

  /** Frames of the guest that found `readable` full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Lets the emulator go: `readable` ends, `writable` fails with `ECONNABORTED`. The emulator's own `destroy` calls it. */
  destroy(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#bus.unregister?.(`net${this.#nic}-send`, this.#sent);
    this.#callbacks.clear();
    try {
      this.#fromGuest.close();
    } catch {
      // Its reader has cancelled it.
    }
    this.#toGuest.error(new NetworkError('ECONNABORTED', { syscall: 'write', message: 'the network card of the emulator is gone' }));
  }

  /** Destroys it. */
  [Symbol.dispose](): void {
    this.destroy();
  }

  readonly #sent = (frame: Uint8Array): void => {
    if (!this.#open) return;
    if (this.#callbacks.size > 0) return this.#call([frame]);
    const room = this.#fromGuest.desiredSize;
    if (room === null || room <= 0) this.#dropped += 1;
    else this.#fromGuest.enqueue(frame.slice());
  };

  #call(frames: readonly Uint8Array[]): void {
    for (const callback of this.#callbacks) {
      try {
        callback(frames);
      } catch (error) {
        this.#callbacks.delete(callback);
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/**
 * Takes the NIC of a v86 emulator. Call it right after `new V86`, before the guest's first frame.
 *
 * The emulator must have a NIC and no backend of its own: `net_device: { type: 'ne2k' }` or `'virtio'`, without `relay_url`. The ring of
 * the ne2k holds eight full frames: give its tap `burst: 8`, so that TCP does not overrun it.
 *
 * @throws NetworkError `EINVAL` if an option is out of range, or the emulator has no bus
 * @example
 * ```ts
 * import { createStack, patch } from 'netloom';
 * import { createV86NetworkStream, type V86Emulator } from 'netloom/v86';
 *
 * async function plugIn(emulator: V86Emulator) {
 *   const stack = await createStack();
 *   const tap = await stack.interfaces.createTap({ ip: '192.168.86.1/24', burst: 8 });
 *   return { stack, cable: patch(createV86NetworkStream(emulator), tap) };
 * }
 *
 * // const { stack } = await plugIn(new V86({ net_device: { type: 'ne2k' }, ... }));
 * console.log(plugIn.name); // plugIn
 * ```
 */
export function createV86NetworkStream(emulator: V86Emulator, options?: V86NetworkStreamOptions): V86NetworkStream {
  return new V86NetworkStream(emulator, options);
}
