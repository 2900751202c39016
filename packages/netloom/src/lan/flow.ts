/**
 * Flows that guests open: what they are, and how each is answered.
 */
import { addressText } from '../engine/address.ts';
import type { Engine, FlowListener } from '../engine/engine.ts';
import { NetworkError } from '../errors.ts';
import { TcpConnection } from '../tcp/connection.ts';
import { numbersOf } from '../tcp/options.ts';
import type { SocketOptions, StreamConnection } from '../transport/types.ts';
import { PROTOCOLS, REFUSALS, type LanExports } from './abi.ts';
import { Channel } from './channel.ts';
import type { DatagramChannel, DatagramFlow, Egress, Endpoint, Flow, GuestId, RefusalReason, TcpFlow } from './types.ts';
import { parseMacAddress } from '../wire/address.ts';

/** The flow of an id, as it is handed to the outside; `undefined` if it is over already. */
export function flowOf(engine: Engine<LanExports>, index: number, generation: number, mtuOf: (port: number) => number): Flow | undefined {
  if (!engine.exports.describe(index, generation)) return undefined;
  const { words, bytes, arena } = engine;
  const [protocol, port, sourcePort, destinationPort, sourceFamily, destinationFamily] = words as unknown as [number, number, number, number, number, number];
  const about: About = {
    source: { address: addressText(bytes, arena, sourceFamily), port: sourcePort },
    destination: { address: addressText(bytes, arena + 16, destinationFamily), port: destinationPort },
    guest: { mac: parseMacAddress(bytes.subarray(arena + 32, arena + 38)), port },
  };
  const kind = PROTOCOLS[protocol]!;
  if (kind === 'tcp') return new OpenedConnection(engine, index, generation, about, mtuOf(port));
  return new OpenedDatagrams(engine, index, generation, about, kind);
}

type About = { source: Endpoint; destination: Endpoint; guest: GuestId };

/** A flow that was not answered yet. */
abstract class Opened implements FlowListener {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly guest: GuestId;
  readonly generation: number;
  protected readonly engine: Engine<LanExports>;
  protected readonly index: number;
  #pending = true;
  #over: NetworkError | undefined;
  #controller: AbortController | undefined;

  constructor(engine: Engine<LanExports>, index: number, generation: number, { source, destination, guest }: About) {
    this.engine = engine;
    this.index = index;
    this.generation = generation;
    this.source = source;
    this.destination = destination;
    this.guest = guest;
    engine.flows.set(index, this);
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#over) this.#controller.abort(this.#over);
    return this.#controller.signal;
  }

  refuse(why: RefusalReason): void {
    if (!this.#answer()) return;
    this.engine.flows.delete(this.index);
    this.engine.exports.refuse(this.engine.now, this.index, this.generation, REFUSALS.indexOf(why));
    this.engine.wake();
  }

  relay(egress: Egress): void {
    if (!this.#answer()) return;
    this.engine.flows.delete(this.index);
    egress.takeFlow(this.index, this.generation);
    this.engine.wake();
  }

  onEstablished(): void {}
  onData(_bytes: number): void {}
  onFin(): void {}
  onWritable(): void {}

  onReset(): void {
    this.#end(new NetworkError('ECONNABORTED', { message: 'the guest has given up' }));
  }

  onClosed(): void {
    this.onReset();
  }

  onDead(error: NetworkError): void {
    this.#end(error);
  }

  /** Begins to answer it. @throws NetworkError if it is over or was answered */
  protected begin(): void {
    if (this.#over) throw this.#over;
    if (!this.#answer()) throw new NetworkError('EINVAL', { message: 'the flow was answered already' });
  }

  /** Whether it waits for its one answer. */
  #answer(): boolean {
    const pending = this.#pending && !this.#over;
    this.#pending = false;
    return pending;
  }

  #end(why: NetworkError): void {
    this.#over = why;
    this.#controller?.abort(why);
  }
}

class OpenedConnection extends Opened implements TcpFlow {
  readonly protocol = 'tcp';
  readonly #mtu: number;

  constructor(engine: Engine<LanExports>, index: number, generation: number, about: About, mtu: number) {
    super(engine, index, generation, about);
    this.#mtu = mtu;
  }

  accept(options: SocketOptions = {}): StreamConnection {
    const numbers = numbersOf(options);
    this.begin();
    const { engine, index, generation, source, destination } = this;
    engine.exports.accept_flow(engine.now, index, generation);
    engine.exports.set_options(engine.now, index, generation, ...numbers);
    engine.wake();
    const ends = { localAddress: destination.address, localPort: destination.port, remoteAddress: source.address, remotePort: source.port };
    return new TcpConnection(engine, index, generation, ends, this.#mtu, options);
  }

  acceptEarly(options?: SocketOptions): StreamConnection {
    return this.accept(options);
  }
}

class OpenedDatagrams extends Opened implements DatagramFlow {
  readonly protocol: 'udp' | 'ping';

  constructor(engine: Engine<LanExports>, index: number, generation: number, about: About, protocol: 'udp' | 'ping') {
    super(engine, index, generation, about);
    this.protocol = protocol;
  }

  accept(receive: (datagram: Uint8Array) => void): DatagramChannel {
    this.begin();
    return new Channel(this.engine, this.index, this.generation, receive);
  }
}
