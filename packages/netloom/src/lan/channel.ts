import type { Engine, FlowListener } from '../engine/engine.ts';
import type { LanExports } from './abi.ts';
import { guardedly } from './report.ts';
import type { DatagramChannel } from './types.ts';

/** A flow of datagrams that was accepted. */
export class Channel implements DatagramChannel, FlowListener {
  readonly generation: number;
  readonly closed: Promise<void>;
  readonly #engine: Engine<LanExports>;
  readonly #index: number;
  readonly #receive: (datagram: Uint8Array) => void;
  #over = false;
  #end!: () => void;

  constructor(engine: Engine<LanExports>, index: number, generation: number, receive: (datagram: Uint8Array) => void) {
    this.#engine = engine;
    this.#index = index;
    this.generation = generation;
    this.#receive = receive;
    this.closed = new Promise((resolve) => (this.#end = resolve));
    engine.flows.set(index, this);
    // What came before it was accepted was told already.
    engine.afterTurn(() => this.onData());
  }

  send(datagram: Uint8Array): boolean {
    const engine = this.#engine;
    if (this.#over || datagram.length > engine.exports.room(this.#index, this.generation)) return false;
    engine.bytes.set(datagram, engine.arena);
    engine.exports.write(engine.now, this.#index, this.generation, datagram.length);
    engine.wake();
    return true;
  }

  close(): void {
    if (this.#over) return;
    this.#engine.flows.delete(this.#index);
    this.#engine.exports.reset(this.#index, this.generation);
    this.#engine.wake();
    this.#finish();
  }

  onData(): void {
    const engine = this.#engine;
    while (!this.#over && engine.exports.peek_datagram(this.#index, this.generation)) {
      const [at, length] = [engine.words[0]!, engine.words[1]!];
      guardedly(() => this.#receive(engine.bytes.subarray(at, at + length)));
      if (!this.#over) engine.exports.take(engine.now, this.#index, this.generation, 0);
    }
  }

  onEstablished(): void {}
  onFin(): void {}
  onWritable(): void {}

  onReset(): void {
    this.#finish();
  }

  onClosed(): void {
    this.#finish();
  }

  onDead(): void {
    this.#finish();
  }

  #finish(): void {
    this.#over = true;
    this.#end();
  }
}
