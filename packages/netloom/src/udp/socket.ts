import { CODE } from '../engine/abi.ts';
import { addressText, familyOf } from '../engine/address.ts';
import { errorOf, type Engine, type SocketListener } from '../engine/engine.ts';
import { NetworkError } from '../errors.ts';
import type { Context } from '../context.ts';
import { fromReadable } from '../transport/iterate.ts';
import type { Datagram, DatagramSocket } from '../transport/types.ts';

/** Longest payload of a datagram: what 65,535 bytes leave after the headers of IPv4 and UDP. */
const MOST_BYTES = 65_507;
const DATA_OFFSET = 32;

type Receiving = { resolve(datagram: Datagram | undefined): void; reject(error: unknown): void };

/** A UDP socket. */
export class UdpSocket implements DatagramSocket, SocketListener {
  readonly localAddress: string;
  readonly localPort: number;
  readonly #engine: Engine;
  readonly #context: Context;
  readonly #index: number;
  /** Part of the socket's id in the machine. @internal */
  readonly generation: number;
  readonly #receiving: Receiving[] = [];
  #error: NetworkError | undefined;
  #readable: ReadableStream<Datagram> | undefined;
  #writable: WritableStream<Datagram> | undefined;
  /** Called once when there may be a datagram. */
  #waiting: (() => void) | undefined;
  #failStreams: ((error: NetworkError) => void)[] = [];

  /** @internal */
  constructor(context: Context, index: number, generation: number, localAddress: string, localPort: number) {
    this.#context = context;
    this.#engine = context.engine;
    this.#index = index;
    this.generation = generation;
    this.localAddress = localAddress;
    this.localPort = localPort;
    this.#engine.sockets.set(index, this);
  }

  get readable(): ReadableStream<Datagram> {
    return (this.#readable ??= new ReadableStream<Datagram>(
      {
        start: (controller) => this.#onFailure((error) => controller.error(error)),
        pull: (controller) => {
          const datagram = this.#take();
          if (datagram) return controller.enqueue(datagram);
          if (this.#error) return undefined;
          return new Promise<void>((resolve) => {
            this.#waiting = () => {
              const next = this.#take();
              if (next) controller.enqueue(next);
              resolve();
            };
          });
        },
        cancel: () => this.close(),
      },
      { highWaterMark: 0 },
    ));
  }

  get writable(): WritableStream<Datagram> {
    return (this.#writable ??= new WritableStream<Datagram>({
      start: (controller) => this.#onFailure((error) => controller.error(error)),
      write: (datagram) => this.#send(datagram),
    }));
  }

  async send(datagram: Datagram): Promise<void> {
    if (this.#writable?.locked) throw new TypeError('writable stream already locked');
    await this.#send(datagram);
  }

  async receive({ signal }: { signal?: AbortSignal } = {}): Promise<Datagram | undefined> {
    if (this.#readable?.locked) throw new TypeError('readable stream already locked');
    signal?.throwIfAborted();
    if (this.#error) return undefined;
    const datagram = this.#receiving.length === 0 ? this.#take() : undefined;
    if (datagram) return datagram;
    return new Promise((resolve, reject) => {
      const end = () => {
        signal?.removeEventListener('abort', abort);
        const place = this.#receiving.indexOf(receiving);
        if (place >= 0) this.#receiving.splice(place, 1);
      };
      const receiving: Receiving = {
        resolve: (next) => (end(), resolve(next)),
        reject: (error) => (end(), reject(error)),
      };
      const abort = () => receiving.reject(signal?.reason);
      signal?.addEventListener('abort', abort);
      this.#receiving.push(receiving);
    });
  }

  /** Closes the socket: its port is free at once, what waits to be read is dropped. A second close does nothing. */
  async close(): Promise<void> {
    if (this.#error) return;
    this.#engine.sockets.delete(this.#index);
    this.#engine.exports.close_socket(this.#index, this.generation);
    this.#engine.wake();
    this.#end(new NetworkError('ECONNABORTED', { message: 'udp socket closed' }));
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Iterates over what `readable` gives. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Datagram> {
    return fromReadable(this.readable);
  }

  /** @internal */
  onDatagram(): void {
    const wake = this.#waiting;
    this.#waiting = undefined;
    wake?.();
    while (this.#receiving.length > 0) {
      const datagram = this.#take();
      if (!datagram) return;
      this.#receiving[0]!.resolve(datagram);
    }
  }

  /** What a network says of one datagram is no fault of the socket. @internal */
  onUndelivered(): void {}

  /** @internal */
  onDead(error: NetworkError): void {
    this.#end(error);
  }

  #send(datagram: Datagram): Promise<void> | void {
    const { host, port, data } = datagram;
    if (this.#error) throw this.#error;
    if (!(data instanceof Uint8Array)) throw new TypeError('the data of a datagram must be a Uint8Array');
    if (!(Number.isInteger(port) && port >= 0 && port <= 65_535)) throw new NetworkError('EINVAL', { message: `not a port: ${port}` });
    if (data.length > MOST_BYTES) throw new NetworkError('EMSGSIZE', { syscall: 'send', address: host, port });
    return familyOf(host) === 0 ? this.#context.resolve(host).then((address) => this.#sendTo(address, port, data)) : this.#sendTo(host, port, data);
  }

  #sendTo(address: string, port: number, data: Uint8Array): Promise<void> | void {
    if (this.#error) throw this.#error;
    const engine = this.#engine;
    const family = this.#context.put(address, 16);
    engine.bytes.set(data, engine.arena + DATA_OFFSET);
    const code = engine.exports.send(engine.now, this.#index, this.generation, family, port, data.length);
    engine.wake();
    if (code === CODE.full) return this.#sendLater(address, port, data);
    const error = errorOf(code, 'send', address, port);
    if (error) throw error;
  }

  /** Waits until frames have left. */
  async #sendLater(address: string, port: number, data: Uint8Array): Promise<void> {
    this.#engine.hold();
    try {
      await new Promise<void>((resolve) => this.#engine.afterFrames(resolve));
    } finally {
      this.#engine.release();
    }
    await this.#sendTo(address, port, data);
  }

  #take(): Datagram | undefined {
    const engine = this.#engine;
    if (this.#error || !engine.exports.peek_datagram(this.#index, this.generation)) return undefined;
    const { words, bytes, arena } = engine;
    const [at, length, port, family] = [words[0]!, words[1]!, words[2]!, words[3]!];
    const datagram = { host: addressText(bytes, arena, family), port, data: bytes.slice(at, at + length) };
    engine.exports.take_datagram(this.#index, this.generation);
    return datagram;
  }

  #onFailure(fail: (error: NetworkError) => void): void {
    if (this.#error) fail(this.#error);
    else this.#failStreams.push(fail);
  }

  #end(error: NetworkError): void {
    this.#error = error;
    for (const fail of this.#failStreams.splice(0)) fail(error);
    const wake = this.#waiting;
    this.#waiting = undefined;
    wake?.();
    for (const receiving of [...this.#receiving]) {
      if (error.code === 'ERR_STACK_DEAD') receiving.reject(error);
      else receiving.resolve(undefined);
    }
  }
}
