/**
 * A TCP connection between a guest and the page, by the names that v86's own has, over a connection of the LAN.
 */
import { NetworkError } from '../errors.ts';
import type { StreamConnection } from '../transport/types.ts';
import { throwLater } from './card.ts';

/** v86's events, and ours: `error` before a `close` that is not for the best, `drain` when what was written has found room. */
export type TcpConnectionEvents = {
  /** A connection that the page opens is established. */
  connect: () => void;
  /** Bytes of the guest, the listener's own. While it returns a promise that has not settled, nothing more is read, and the guest waits. */
  data: (bytes: Uint8Array) => unknown;
  /** The guest sends no more; the page may. */
  shutdown: () => void;
  /** Why it broke off, or cannot be established; `close` follows. */
  error: (error: NetworkError) => void;
  /** Both ways have ended, or the connection broke off. */
  close: (error?: NetworkError) => void;
  /** What was written has found room. */
  drain: () => void;
};

/** States by v86's names, which are RFC 9293's. */
export type TcpConnectionState =
  | 'closed'
  | 'syn-received'
  | 'syn-sent'
  | 'syn-probe'
  | 'established'
  | 'fin-wait-1'
  | 'fin-wait-2'
  | 'close-wait'
  | 'last-ack'
  | 'closing';

/** Who talks to whom: `sport` and `psrc` are the page's end as the guest sees it, `dport` and `pdest` the guest's. */
export type TcpEnds = { sport: number; dport: number; psrc: Uint8Array; pdest: Uint8Array; hsrc: Uint8Array; hdest: Uint8Array };

/** Bytes that wait to be taken before `write` answers false. */
const HIGH_WATER_BYTES = 1 << 20;
/** What is read goes one after the other into slabs, since memory for each read costs as much as the reading: as large as reads turn out to be. */
const SLAB_BYTES = { least: 1 << 12, most: 1 << 18 };

/**
 * A TCP connection of a guest, by v86's names.
 *
 * @example
 * ```ts
 * import type { TCPConnection } from 'netloom/v86';
 *
 * // What the guest opens to port 7, anywhere, is echoed.
 * function echo(connection: TCPConnection) {
 *   if (connection.sport !== 7) return;
 *   connection.on('data', (bytes) => void connection.write(bytes));
 *   connection.on('shutdown', () => connection.close());
 *   connection.accept();
 * }
 *
 * // attachNetwork(emulator, 'fetch').on_tcp_connection = echo;
 * console.log(echo.name); // echo
 * ```
 */
export class TCPConnection {
  state: TcpConnectionState;
  /** Port of the page's end, as the guest sees it; 0 before a connection of the page is established. */
  sport: number;
  readonly dport: number;
  readonly psrc: Uint8Array;
  readonly pdest: Uint8Array;
  readonly hsrc: Uint8Array;
  readonly hdest: Uint8Array;
  /** The network. */
  readonly net: unknown;
  /** For whom it may concern. */
  name: string | undefined;
  /** Called when the guest sends no more; by itself it tells listeners. */
  on_shutdown = (): void => void this.emit('shutdown');
  /** Called when the connection is over; by itself it tells listeners. */
  on_close = (error?: NetworkError): void => void this.emit('close', error);
  readonly #handlers: { [E in keyof TcpConnectionEvents]?: TcpConnectionEvents[E] } = {};
  readonly #open: (() => StreamConnection) | undefined;
  #stream: StreamConnection | undefined;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #writing = false;
  #needsDrain = false;
  #closing = false;
  #readEnded = false;
  #writeEnded = false;
  #over = false;

  /** `open` accepts a connection that a guest opens. @internal */
  constructor(net: unknown, ends: TcpEnds, open?: () => StreamConnection) {
    this.net = net;
    this.#open = open;
    this.sport = ends.sport;
    this.dport = ends.dport;
    this.psrc = ends.psrc;
    this.pdest = ends.pdest;
    this.hsrc = ends.hsrc;
    this.hdest = ends.hdest;
    this.state = open ? 'syn-received' : 'syn-sent';
  }

  /** Guest's address and port, page's address and port, with colons between. */
  get tuple(): string {
    return [this.pdest.join('.'), this.dport, this.psrc.join('.'), this.sport].join(':');
  }

  /** Has a listener told; as in v86, there is one for each event, and the latest is it. */
  on<E extends keyof TcpConnectionEvents>(event: E, handler: TcpConnectionEvents[E]): void {
    this.#handlers[event] = handler;
  }

  /** Tells the listener; answers what it returns. What it throws is an uncaught error, and no fault of the connection. */
  emit<E extends keyof TcpConnectionEvents>(event: E, ...args: Parameters<TcpConnectionEvents[E]>): unknown {
    try {
      return (this.#handlers[event] as ((...args: unknown[]) => unknown) | undefined)?.(...args);
    } catch (error) {
      throwLater(error);
    }
  }

  /** Takes the connection that the guest opens: to be called before the listener that was told of it returns. */
  accept(_packet?: unknown): void {
    if (!this.#open || this.state !== 'syn-received') return;
    try {
      this.established(this.#open());
    } catch (error) {
      // The guest has given up meanwhile.
      queueMicrotask(() => this.failed(error));
    }
  }

  /** Whether somebody has taken it. @internal */
  get accepted(): boolean {
    return this.#stream !== undefined || this.#over;
  }

  /** Bytes that were written and wait for room. */
  get bufferedAmount(): number {
    return this.#queuedBytes;
  }

  /** Sends bytes, which must not be changed until they are sent. False if more than 1 MiB waits now: `drain` tells when it does not. */
  write(bytes: Uint8Array): boolean {
    if (this.#over || this.#closing || bytes.length === 0) return this.#queuedBytes <= HIGH_WATER_BYTES;
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (this.#stream) void this.#drain();
    this.#needsDrain ||= this.#queuedBytes > HIGH_WATER_BYTES;
    return this.#queuedBytes <= HIGH_WATER_BYTES;
  }

  /** Sends several pieces in order. */
  writev(pieces: readonly Uint8Array[]): boolean {
    for (const piece of pieces) this.write(piece);
    return this.#queuedBytes <= HIGH_WATER_BYTES;
  }

  /** Sends no more (FIN), once what was written is sent; the guest may. */
  close(): void {
    if (this.#closing || this.#over) return;
    this.#closing = true;
    if (this.#stream) void this.#drain();
    else this.release();
  }

  /** Breaks off (RST): nobody is told. */
  release(): void {
    this.#over = true;
    this.state = 'closed';
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#stream?.reset();
  }

  /** It is established. @internal */
  established(stream: StreamConnection): void {
    if (this.#over) return stream.reset();
    this.#stream = stream;
    this.state = 'established';
    if (!this.#open) {
      this.sport = stream.localPort;
      this.emit('connect');
    }
    void this.#read(stream);
    void this.#drain();
  }

  /** It cannot be established, or broke off. @internal */
  failed(error: unknown): void {
    if (this.#over) return;
    const cause = error instanceof NetworkError ? error : new NetworkError('ECONNRESET', { cause: error, message: String(error) });
    this.emit('error', cause);
    this.#end(cause);
  }

  async #read(stream: StreamConnection): Promise<void> {
    let size = SLAB_BYTES.least;
    let slab = new Uint8Array(size);
    try {
      for (let count = await stream.readInto(slab); count > 0; count = await stream.readInto(slab)) {
        if (this.#over) return;
        const handled = this.emit('data', slab.subarray(0, count));
        if (handled instanceof Promise) await handled.catch(throwLater);
        const filled = count === slab.length;
        slab = slab.subarray(count);
        if (slab.length >= size / 4) continue;
        size = filled ? Math.min(size * 2, SLAB_BYTES.most) : Math.max(size / 2, SLAB_BYTES.least);
        slab = new Uint8Array(size);
      }
    } catch (error) {
      return this.failed(error);
    }
    if (this.#over) return;
    this.#readEnded = true;
    this.state = this.state === 'fin-wait-1' || this.state === 'fin-wait-2' ? 'closing' : 'close-wait';
    this.#call(() => this.on_shutdown());
    this.#endIfBoth();
  }

  async #drain(): Promise<void> {
    if (this.#writing) return;
    this.#writing = true;
    try {
      for (let bytes = this.#queue.shift(); bytes; bytes = this.#queue.shift()) {
        await this.#stream!.write(bytes);
        this.#queuedBytes -= bytes.length;
        if (this.#over) return;
        if (this.#needsDrain && this.#queuedBytes <= HIGH_WATER_BYTES / 2) {
          this.#needsDrain = false;
          this.emit('drain');
        }
      }
      this.#writing = false;
      if (this.#closing && !this.#writeEnded) await this.#finish();
    } catch (error) {
      this.failed(error);
    }
  }

  async #finish(): Promise<void> {
    this.#writeEnded = true;
    this.state = this.state === 'close-wait' ? 'last-ack' : 'fin-wait-1';
    await this.#stream!.writable.close();
    if (this.state === 'fin-wait-1') this.state = 'fin-wait-2';
    this.#endIfBoth();
  }

  #endIfBoth(): void {
    if (this.#readEnded && this.#writeEnded && !this.#over) this.#end(undefined);
  }

  #end(error: NetworkError | undefined): void {
    this.#over = true;
    this.state = 'closed';
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#call(() => this.on_close(error));
  }

  /** Calls what the page may have put in place of ours. */
  #call(action: () => void): void {
    try {
      action();
    } catch (error) {
      throwLater(error);
    }
  }
}
