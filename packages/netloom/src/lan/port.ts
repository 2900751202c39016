import { parseMac } from '../engine/address.ts';
import type { Engine, FrameListener } from '../engine/engine.ts';
import { inRange } from '../tcp/options.ts';
import { PORT_FLAG, type LanExports } from './abi.ts';
import { guardedly } from './report.ts';
import type { FrameReceiver, Port, PortOptions } from './types.ts';

const QUEUE_BYTES = 1 << 20;
const MACS = 1024;

/** A port of a LAN. */
export class LanPort implements Port, FrameListener {
  readonly number: number;
  readonly #engine: Engine<LanExports>;
  readonly #receive: FrameReceiver;
  #framesReceived = 0;
  #bytesReceived = 0;
  #framesSent = 0;
  #bytesSent = 0;
  #open = true;

  constructor(engine: Engine<LanExports>, options: PortOptions, receive: FrameReceiver) {
    const { mtu = 1500, burst = 0, macs = MACS, multicastToUnicast = false, isolated = false, queueSize = QUEUE_BYTES } = options;
    const flags = (multicastToUnicast ? PORT_FLAG.multicastToUnicast : 0) | (isolated ? PORT_FLAG.isolated : 0);
    const outer = options.translate === undefined ? undefined : parseMac(options.translate);
    this.#engine = engine;
    this.#receive = receive;
    this.number = engine.exports.open_port(
      inRange('mtu', mtu, 68, 65_535),
      inRange('queueSize', queueSize, 65_549, 2 ** 31),
      inRange('burst', burst, 0, 65_535),
      inRange('macs', macs, 1, 65_535),
      flags,
    );
    engine.interfaces.set(this.number, this);
    this.#translate(outer);
  }

  send(frame: Uint8Array): void {
    const engine = this.#engine;
    if (!this.#open || engine.failure) return;
    this.#framesReceived += 1;
    this.#bytesReceived += frame.length;
    // Longer than any frame, it is counted as such.
    const bytes = frame.length > engine.arenaBytes ? frame.subarray(0, engine.arenaBytes) : frame;
    engine.bytes.set(bytes, engine.arena);
    // What comes while nothing else waits goes where it should at once: a guest has its ping before it goes on. More goes together, in a turn, so
    // that one acknowledgment tells of many segments.
    const alone = !engine.busy;
    try {
      engine.exports.handle_frame(engine.now, this.number, bytes.length);
      engine.wake();
      if (!alone) return;
      engine.deliver();
      engine.hooks.alone?.();
    } catch {
      // The module has failed, which all that waits was told; a NIC must not hear of it.
    }
  }

  translate(outer: string | undefined): void {
    const mac = outer === undefined ? undefined : parseMac(outer);
    if (this.#open && !this.#engine.failure) this.#translate(mac);
  }

  stats() {
    return { framesReceived: this.#framesReceived, bytesReceived: this.#bytesReceived, framesSent: this.#framesSent, bytesSent: this.#bytesSent };
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#engine.interfaces.delete(this.number);
    if (this.#engine.failure) return;
    this.#engine.exports.close_port(this.number);
    this.#engine.wake();
  }

  onFramesReady(): void {
    const engine = this.#engine;
    let at: number;
    while (this.#open && (at = engine.exports.poll_frame(engine.now, this.number) >>> 0) > 0) {
      const length = engine.words[0]!;
      engine.noteFrameLeft();
      this.#framesSent += 1;
      this.#bytesSent += length;
      guardedly(() => this.#receive(engine.bytes.subarray(at, at + length)));
    }
  }

  onDead(): void {
    this.#open = false;
  }

  #translate(outer: Uint8Array | undefined): void {
    if (outer) this.#engine.bytes.set(outer, this.#engine.arena);
    this.#engine.exports.translate(this.number, outer ? 1 : 0);
  }
}
