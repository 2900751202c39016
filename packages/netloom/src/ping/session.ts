import type { SocketListener } from '../engine/engine.ts';
import { addressText } from '../engine/address.ts';
import { errorOf, type Engine } from '../engine/engine.ts';
import { NetworkError } from '../errors.ts';
import type { Context } from '../context.ts';

/** What a session pings. */
export type PingSessionOptions = {
  /** An address, or a name that the stack's name server knows. */
  host: string;
  /** Milliseconds that a reply may take. Default 1,000. */
  timeout?: number;
  /** Gives up looking up the name. */
  signal?: AbortSignal;
};

/** One echo request. */
export type PingOptions = {
  /** Milliseconds that the reply may take. Default: the session's. */
  timeout?: number;
  /** What is sent along, up to 65,507 bytes. Default 56 bytes, 0 to 55. */
  payload?: Uint8Array;
  /** Gives up waiting. */
  signal?: AbortSignal;
};

/** What came back. */
export type PingReply = {
  host: string;
  identifier: number;
  sequenceNumber: number;
  payload: Uint8Array;
  /** Milliseconds from the request to the reply. */
  roundTripTime: number;
};

type Pending = { sentAt: number; resolve(reply: PingReply): void; reject(error: unknown): void };

const MOST_BYTES = 65_507;
const RECEIVE_BYTES = 256 * 1024;
const TIMEOUT_MS = 1000;
const DATA_OFFSET = 32;

/** Echo requests to one host (RFC 792, RFC 4443). */
export class PingSession implements SocketListener, AsyncDisposable {
  /** The address that is pinged. */
  readonly host: string;
  /** Identifier of the session's requests. */
  readonly identifier: number;
  readonly #engine: Engine;
  readonly #context: Context;
  readonly #index: number;
  /** Part of the socket's id in the machine. @internal */
  readonly generation: number;
  readonly #timeout: number;
  readonly #pending = new Map<number, Pending>();
  #sequence = 0;
  #error: NetworkError | undefined;

  /** @internal */
  constructor(context: Context, index: number, generation: number, identifier: number, host: string, timeout: number) {
    this.#context = context;
    this.#engine = context.engine;
    this.#index = index;
    this.generation = generation;
    this.identifier = identifier;
    this.host = host;
    this.#timeout = timeout;
    this.#engine.sockets.set(index, this);
  }

  /**
   * Sends an echo request and waits for its reply.
   *
   * @throws NetworkError `ETIMEDOUT`, `EHOSTUNREACH` if the network says so, `ENETUNREACH` without a route, `EMSGSIZE`; the signal's reason if it aborts
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   *
   * const stack = await createStack();
   * await using session = await stack.ping.createSession({ host: '127.0.0.1' });
   * const reply = await session.ping();
   * console.log(reply.sequenceNumber, reply.payload.length); // 0 56
   * ```
   */
  async ping(options: PingOptions = {}): Promise<PingReply> {
    const { timeout = this.#timeout, payload = Uint8Array.from({ length: 56 }, (_, index) => index), signal } = options;
    if (this.#error) throw this.#error;
    signal?.throwIfAborted();
    if (payload.length > MOST_BYTES) {
      throw new NetworkError('EMSGSIZE', { syscall: 'ping', message: 'icmp echo payload exceeds maximum IPv4 packet size' });
    }
    const sequence = this.#sequence;
    this.#sequence = (sequence + 1) % 65_536;
    const engine = this.#engine;
    const family = this.#context.put(this.host, 16);
    engine.bytes.set(payload, engine.arena + DATA_OFFSET);
    const code = engine.exports.send(engine.now, this.#index, this.generation, family, sequence, payload.length);
    engine.wake();
    const error = errorOf(code, 'ping', this.host);
    if (error) throw error;
    return new Promise((resolve, reject) => {
      const late = new NetworkError('ETIMEDOUT', { syscall: 'ping', address: this.host, message: `icmp ping timed out: ${this.host}` });
      const timer = setTimeout(() => pending.reject(late), timeout);
      const abort = () => pending.reject(signal?.reason);
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        this.#pending.delete(sequence);
      };
      const pending: Pending = {
        sentAt: performance.now(),
        resolve: (reply) => (end(), resolve(reply)),
        reject: (reason) => (end(), reject(reason)),
      };
      signal?.addEventListener('abort', abort);
      this.#pending.set(sequence, pending);
    });
  }

  /** Ends the session; pings that wait reject. */
  async close(): Promise<void> {
    if (this.#error) return;
    this.#engine.sockets.delete(this.#index);
    this.#engine.exports.close_socket(this.#index, this.generation);
    this.#end(new NetworkError('ECONNABORTED', { message: 'icmp ping session closed' }));
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @internal */
  onDatagram(): void {
    const engine = this.#engine;
    while (!this.#error && engine.exports.peek_datagram(this.#index, this.generation)) {
      const { words, bytes, arena } = engine;
      const [at, length, sequenceNumber, family] = [words[0]!, words[1]!, words[2]!, words[3]!];
      const host = addressText(bytes, arena, family);
      const payload = bytes.slice(at, at + length);
      engine.exports.take_datagram(this.#index, this.generation);
      const pending = this.#pending.get(sequenceNumber);
      const roundTripTime = pending ? performance.now() - pending.sentAt : 0;
      pending?.resolve({ host, identifier: this.identifier, sequenceNumber, payload, roundTripTime });
    }
  }

  /** @internal */
  onUndelivered(_host: string, sequence: number, refused: boolean): void {
    this.#pending.get(sequence)?.reject(new NetworkError(refused ? 'ECONNREFUSED' : 'EHOSTUNREACH', { syscall: 'ping', address: this.host }));
  }

  /** @internal */
  onDead(error: NetworkError): void {
    this.#end(error);
  }

  #end(error: NetworkError): void {
    this.#error = error;
    for (const pending of [...this.#pending.values()]) pending.reject(error);
  }
}

/** Ping of a stack. */
export class PingTransport {
  readonly #context: Context;

  /** @internal */
  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Begins a session of echo requests to one host.
   *
   * @throws NetworkError `ENOTFOUND` or `EAI_AGAIN` for names, `EADDRNOTAVAIL` if all 65,536 identifiers are in use
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   *
   * const stack = await createStack();
   * const session = await stack.ping.createSession({ host: '127.0.0.1', timeout: 500 });
   * console.log((await session.ping()).host); // 127.0.0.1
   * await session.close();
   * ```
   */
  async createSession({ host, timeout = TIMEOUT_MS, signal }: PingSessionOptions): Promise<PingSession> {
    this.#context.check(signal);
    const address = await this.#context.resolve(host, signal);
    this.#context.check(signal);
    const { engine } = this.#context;
    const error = errorOf(engine.exports.open_ping(RECEIVE_BYTES), 'ping', address);
    if (error) throw error;
    const [index, generation, identifier] = engine.words as unknown as [number, number, number];
    return new PingSession(this.#context, index, generation, identifier, address, timeout);
  }
}
