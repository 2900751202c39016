/** A guest's connection by TLS, over one that carries its records. */
import { NetworkError } from '../errors.ts';
import { IdleTimer } from '../http/timer.ts';
import type { ConnectionLike } from '../http/types.ts';
import { STATE, type TlsExports } from './abi.ts';
import type { TlsInstance } from './instance.ts';

/** How a guest's connection is taken. */
export type AcceptOptions = {
  /** The name or address that the guest dialled, for which the certificate is if the guest names no server. */
  host: string;
  /** Milliseconds that the handshake may take. Default 30,000. */
  timeout?: number;
  /** Gives up the handshake; after that it has no effect. */
  signal?: AbortSignal;
};

/** What a guest sends and is sent, decrypted. */
export type SecureConnection = ConnectionLike & {
  readonly secure: true;
  /** The server that the guest asked for, if it named one (RFC 6066 3). */
  readonly serverName: string | undefined;
  /** Breaks off: RST to the guest. */
  reset(): void;
};

const HANDSHAKE_MS = 30_000;

/** The time as the module counts it. */
export function now(): number {
  return Math.floor(Date.now() / 1000);
}

/** Does the handshake. */
export async function acceptTls(
  instance: TlsInstance,
  inner: ConnectionLike,
  { host, timeout = HANDSHAKE_MS, signal }: AcceptOptions,
): Promise<SecureConnection> {
  signal?.throwIfAborted();
  const records = new Records(instance, inner, host);
  let reason: unknown;
  const give = (why: unknown) => {
    reason = why;
    records.reset();
  };
  const timer = new IdleTimer(() => give(new NetworkError('ETIMEDOUT', { syscall: 'read', message: 'the TLS handshake was not finished in time' })));
  const abort = () => give(signal!.reason);
  timer.start(timeout);
  signal?.addEventListener('abort', abort);
  try {
    await records.shake();
    return new TlsConnection(records, inner);
  } catch (error) {
    throw reason ?? error;
  } finally {
    timer.stop();
    signal?.removeEventListener('abort', abort);
  }
}

/** The records of one connection, both ways. */
class Records {
  readonly #instance: TlsInstance;
  readonly #inner: ConnectionLike;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #number: number;
  /** Of the two directions, those that have not ended. */
  #open = 2;

  constructor(instance: TlsInstance, inner: ConnectionLike, host: string) {
    const name = new TextEncoder().encode(host).subarray(0, instance.arenaBytes);
    instance.put(name);
    const number = instance.run((exports) => exports.open(now(), name.length));
    if (number === 0) throw new NetworkError('EINVAL', { message: instance.leftText() });
    this.#instance = instance;
    this.#inner = inner;
    this.#number = number;
    this.#reader = inner.readable.getReader();
    this.#writer = inner.writable.getWriter();
    this.#writer.closed.catch(() => undefined);
  }

  /** The server that the guest asked for. */
  get serverName(): string | undefined {
    return this.#call((exports) => exports.server_name(this.#number)) > 0 ? this.#instance.leftText() : undefined;
  }

  async shake(): Promise<void> {
    try {
      while (this.#state === STATE.handshaking) if (!(await this.#receive())) throw ended();
    } catch (error) {
      this.#forget();
      // In order, so that the guest has what told it why.
      this.#inner.close().catch(() => undefined);
      throw error;
    }
  }

  /** What the guest has sent: at least one byte, or `undefined` at the end. */
  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#call((exports) => exports.take_plaintext(this.#number)) > 0) return this.#instance.left();
      // An end without a word is one, too: HTTP tells by itself what is cut short.
      if (this.#state === STATE.peerClosed || !(await this.#receive())) return this.#end();
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += this.#instance.arenaBytes) {
      const piece = bytes.subarray(at, at + this.#instance.arenaBytes);
      this.#instance.put(piece);
      if (!this.#call((exports) => exports.write(this.#number, piece.length))) throw this.#failed();
      await this.#send();
    }
  }

  async finish(): Promise<void> {
    this.#call((exports) => exports.finish(this.#number));
    this.#send().catch(() => undefined);
    this.#end();
    await this.#writer.close();
  }

  async close(): Promise<void> {
    this.#call((exports) => exports.finish(this.#number));
    this.#send().catch(() => undefined);
    this.#forget();
    await this.#inner.close();
  }

  reset(): void {
    this.#forget();
    if (this.#inner.reset) this.#inner.reset();
    else this.#inner.close().catch(() => undefined);
  }

  get #state(): number {
    return this.#call((exports) => exports.state(this.#number));
  }

  /** Takes what arrives next; false at the end. */
  async #receive(): Promise<boolean> {
    const { done, value } = await this.#reader.read();
    if (done) return false;
    for (let at = 0; at < value.length; at += this.#instance.arenaBytes) {
      const piece = value.subarray(at, at + this.#instance.arenaBytes);
      this.#instance.put(piece);
      const taken = this.#call((exports) => exports.handle_records(this.#number, now(), piece.length));
      const error = taken ? undefined : this.#failed();
      // Waited for with a failure alone: a guest that reads nothing must not keep what it sends from being read.
      const sent = this.#send();
      sent.catch(() => undefined);
      if (error) {
        await sent.catch(() => undefined);
        throw error;
      }
    }
    return true;
  }

  /** Sends what is there for the guest. In the order of the calls, since the writer is asked before anything is waited for. */
  #send(): Promise<void> {
    return this.#call((exports) => exports.take_outgoing(this.#number)) > 0 ? this.#writer.write(this.#instance.left()) : Promise.resolve();
  }

  #failed(): NetworkError {
    return new NetworkError('ECONNRESET', { syscall: 'read', message: this.#instance.leftText() || 'the connection was closed' });
  }

  #call<T>(call: (exports: TlsExports) => T): T {
    return this.#instance.run(call);
  }

  #end(): undefined {
    this.#open -= 1;
    if (this.#open === 0) this.#forget();
  }

  #forget(): void {
    this.#call((exports) => exports.close(this.#number));
  }
}

function ended(): NetworkError {
  return new NetworkError('ECONNRESET', { syscall: 'read', message: 'the guest ended the TLS handshake' });
}

class TlsConnection implements SecureConnection {
  readonly secure = true;
  readonly serverName: string | undefined;
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly localAddress?: string;
  readonly localPort?: number;
  readonly remoteAddress?: string;
  readonly remotePort?: number;
  readonly #records: Records;
  readonly #inner: ConnectionLike;

  constructor(records: Records, inner: ConnectionLike) {
    this.#records = records;
    this.#inner = inner;
    this.serverName = records.serverName;
    const { localAddress, localPort, remoteAddress, remotePort } = inner;
    Object.assign(this, { localAddress, localPort, remoteAddress, remotePort });
    this.readable = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const bytes = await records.read();
          if (bytes) controller.enqueue(bytes);
          else controller.close();
        },
        cancel: () => undefined,
      },
      { highWaterMark: 0 },
    );
    this.writable = new WritableStream<Uint8Array>({
      write: (bytes) => records.write(bytes),
      close: () => records.finish(),
      abort: () => records.reset(),
    });
  }

  setOptions(options: Parameters<NonNullable<ConnectionLike['setOptions']>>[0]): void {
    this.#inner.setOptions?.(options);
  }

  close(): Promise<void> {
    return this.#records.close();
  }

  reset(): void {
    this.#records.reset();
  }
}
