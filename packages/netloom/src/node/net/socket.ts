/**
 * A socket of `node:net` over a stream transport: the events, errors and backpressure of Node's own, on a connection of ours.
 *
 * States: new → connecting → connected → (ended, finished) → destroyed. Owns the connection from the moment it is open.
 *
 * @module
 */
import { isIPv6 } from 'node:net';
import type { AddressInfo, OnReadOpts, SocketReadyState } from 'node:net';
import { addAbortSignal, Duplex } from 'node:stream';
import type { DuplexOptions } from 'node:stream';
import type { SocketOptions as TransportOptions, StreamConnection } from '../../transport/index.ts';
import { checkFunction, nodeError, usageError } from '../errors.ts';
import { later } from '../later.ts';
import { hold, release } from '../liveness.ts';
import { connectArguments } from './arguments.ts';
import type { ConnectOptions } from './arguments.ts';
import { IdleTimer } from './idle.ts';
import { resolve } from './network.ts';
import type { Network } from './network.ts';
import { Reader } from './reader.ts';

/** What the constructor takes, as of Node. */
export type SocketOptions = {
  /** Whether this end stays open for writing when the peer has ended. Default false. */
  allowHalfOpen?: boolean | undefined;
  /** Destroys the socket. */
  signal?: AbortSignal | undefined;
  /** A buffer of the caller that takes what arrives, instead of `data` events. */
  onread?: OnReadOpts | undefined;
  /** Bytes that wait each way before backpressure. Default that of Node's streams. */
  highWaterMark?: number | undefined;
};

/** How long TCP keeps silent before it asks, unless told (RFC 9293 3.8.4). */
const KEEP_ALIVE_MS = 7_200_000;
const SHORTEST_KEEP_ALIVE_MS = 1000;

/** The socket of `createNet`, which binds it to a transport. */
export class BoundSocket extends Duplex {
  /** Whether the socket is on its way to its peer. */
  connecting = false;
  /** The idle time of `setTimeout`, in milliseconds. */
  timeout: number | undefined = undefined;
  /** Bytes received. */
  bytesRead = 0;
  readonly #network: Network;
  readonly #idle: IdleTimer;
  #onread: OnReadOpts | undefined;
  #connection: StreamConnection | undefined;
  #reader: Reader | undefined;
  #opening: AbortController | undefined;
  #options: TransportOptions = {};
  #written = 0;
  #referenced = true;
  #reset = false;

  constructor(network: Network, options: SocketOptions & { connection?: StreamConnection; paused?: boolean | undefined } = {}) {
    const { allowHalfOpen = false, highWaterMark, connection, onread, signal } = options;
    if ('fd' in options || 'handle' in options) throw usageError('ERR_INVALID_ARG_VALUE', 'A network stack has no file descriptors and no handles');
    super({
      allowHalfOpen: Boolean(allowHalfOpen),
      autoDestroy: true,
      emitClose: false,
      decodeStrings: true,
      ...(highWaterMark === undefined ? {} : { highWaterMark }),
    } as DuplexOptions);
    this.#network = network;
    this.#onread = onread;
    this.#idle = new IdleTimer(() => this.emit('timeout'));
    this.on('end', () => this.#ended());
    if (options.paused) this.pause();
    if (connection) this.#adopt(connection);
    if (signal) addAbortSignal(signal, this);
  }

  /** Connects. Forms: `connect(options[, listener])`, `connect(port[, host][, listener])`. */
  connect(options: ConnectOptions, listener?: () => void): this;
  connect(port: number | string, host: string, listener?: () => void): this;
  connect(port: number | string, listener?: () => void): this;
  connect(...values: unknown[]): this {
    const [options, listener] = connectArguments(values);
    if (listener) this.once('connect', listener);
    this.#renew();
    if (options.onread) this.#onread = options.onread;
    if (options.noDelay !== undefined) this.setNoDelay(options.noDelay);
    if (options.keepAlive !== undefined) this.setKeepAlive(options.keepAlive, options.keepAliveInitialDelay);
    if (options.timeout) this.setTimeout(options.timeout);
    const opening = new AbortController();
    this.#opening = opening;
    this.connecting = true;
    this.#hold();
    const host = options.host || 'localhost';
    const port = Number(options.port);
    later(
      this.#open(options, host, port, opening.signal),
      (connection) => {
        if (opening.signal.aborted) return void connection.close();
        this.#opening = undefined;
        this.connecting = false;
        this.#adopt(connection);
        this.emit('connect');
        this.emit('ready');
      },
      (error) => {
        if (!opening.signal.aborted) this.destroy(error as Error);
      },
    );
    return this;
  }

  async #open(options: ConnectOptions, host: string, port: number, signal: AbortSignal): Promise<StreamConnection> {
    const found = await this.#resolve(options, host, signal);
    const { localAddress, localPort } = options;
    let connection;
    try {
      connection = await this.#network.tcp.connect({
        keepAlive: false,
        ...this.#options,
        host: found?.address ?? host,
        port,
        signal,
        ...(localAddress == null ? {} : { localAddress }),
        ...(localPort == null ? {} : { localPort: Number(localPort) }),
      });
    } catch (error) {
      throw nodeError(error, 'connect', { address: found?.address ?? host, port });
    }
    if (!found && !signal.aborted) this.#found(connection.remoteAddress, host);
    return connection;
  }

  async #resolve(options: ConnectOptions, host: string, signal: AbortSignal) {
    let found;
    try {
      found = await resolve(host, options.lookup ?? this.#network.lookup, options);
    } catch (error) {
      if (!signal.aborted) this.emit('lookup', error, undefined, undefined, host);
      throw error;
    }
    if (found && found.address !== host && !signal.aborted) this.#found(found.address, host);
    return found;
  }

  #found(address: string, host: string): void {
    this.emit('lookup', null, address, isIPv6(address) ? 6 : 4, host);
  }

  /** A socket may connect again after it was destroyed; pg and ioredis do. */
  #renew(): void {
    this.#opening?.abort();
    if (!this.destroyed) return;
    (this as unknown as { _undestroy(): void })._undestroy();
    this.#connection = undefined;
    this.#reset = false;
    this.bytesRead = 0;
    this.#written = 0;
  }

  #adopt(connection: StreamConnection): void {
    this.#connection = connection;
    this.#hold();
    // Reads and writes tell of it; nobody need watch this promise.
    connection.closed.catch(() => {});
    const reader = new Reader(
      connection,
      {
        received: (bytes) => {
          this.#received(bytes.length);
          this.push(bytes);
        },
        counted: (count) => this.#received(count),
        ended: () => {
          this.push(null);
          // With nothing buffered, `end` is due although nobody reads.
          this.read(0);
        },
        failed: (error) => this.#fail('read', error),
      },
      this.#onread,
    );
    this.#reader = reader;
    this.#idle.refresh();
    // An end or a reset shall be noticed before anybody listens for data.
    if (this.readable && !this.isPaused()) this.read(0);
  }

  #received(count: number): void {
    this.bytesRead += count;
    this.#idle.refresh();
  }

  #fail(syscall: string, error: unknown): void {
    if (!this.destroyed) this.destroy(nodeError(error, syscall));
  }

  #ended(): void {
    if (this.allowHalfOpen) return;
    this.write = (chunk: unknown, encoding?: unknown, callback?: unknown) => {
      if (!this.writableEnded) return super.write(chunk, encoding as BufferEncoding, callback as (error?: Error | null) => void);
      const error = usageError('EPIPE', 'This socket has been ended by the other party', Error);
      const done = typeof encoding === 'function' ? encoding : callback;
      if (typeof done === 'function') process.nextTick(done as (error: Error) => void, error);
      this.destroy(error);
      return false;
    };
  }

  override _read(size: number): void {
    if (this.#reader) this.#reader.read();
    else this.once('connect', () => this._read(size));
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#send(chunk, done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  #send(bytes: Buffer, done: (error?: Error | null) => void): void {
    if (this.connecting) return this.#whenConnected(() => this.#send(bytes, done), done);
    const connection = this.#connection;
    if (!connection) return done(usageError('ERR_SOCKET_CLOSED', 'Socket is closed', Error));
    this.#idle.refresh();
    later(
      connection.write(bytes),
      () => {
        this.#written += bytes.length;
        this.#idle.refresh();
        done();
      },
      (error) => done(nodeError(error, 'write')),
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.connecting)
      return this.#whenConnected(
        () => this._final(done),
        () => done(),
      );
    if (!this.#connection) return done();
    later(
      this.#connection.writable.close(),
      () => done(),
      (error) => done(nodeError(error, 'shutdown')),
    );
  }

  #whenConnected(then: () => void, otherwise: (error: Error) => void): void {
    const connected = () => {
      this.off('close', closed);
      then();
    };
    const closed = () => {
      this.off('connect', connected);
      otherwise(usageError('ERR_SOCKET_CLOSED_BEFORE_CONNECTION', 'Socket closed before the connection was established', Error));
    };
    this.prependOnceListener('connect', connected);
    this.once('close', closed);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.connecting = false;
    this.#opening?.abort();
    this.#opening = undefined;
    this.#idle.stop();
    this.#reader?.stop();
    this.#reader = undefined;
    release(this);
    const connection = this.#connection;
    if (connection && this.#reset) connection.reset();
    else void connection?.close().catch(() => {});
    done(error);
    // As Node's, one turn of the loop later: whoever awaits the end has then begun to wait for the close.
    setImmediate(() => this.emit('close', error !== null && error !== undefined));
  }

  /** Ends the writing side, and destroys once that is done. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** Breaks off: RST to the peer. */
  resetAndDestroy(): this {
    if (this.connecting) this.once('connect', () => this.resetAndDestroy());
    else if (this.#connection) {
      this.#reset = true;
      this.destroy();
    } else this.destroy(usageError('ERR_SOCKET_CLOSED', 'Socket is closed', Error));
    return this;
  }

  override pause(): this {
    if (this.#onread && this.#reader) this.#reader.paused = true;
    return super.pause();
  }

  override resume(): this {
    if (this.#onread && this.#reader) this.#reader.paused = false;
    return super.resume();
  }

  /** Emits `timeout` after `ms` without traffic, each time; 0 ends that. */
  setTimeout(ms: number, listener?: () => void): this {
    if (this.destroyed) return this;
    checkFunction(listener, 'callback');
    this.#idle.set(ms);
    this.timeout = ms;
    if (listener) {
      if (ms === 0) this.off('timeout', listener);
      else this.once('timeout', listener);
    }
    return this;
  }

  /** Whether small writes leave at once (default) or wait for acknowledgments (Nagle). */
  setNoDelay(enable = true): this {
    return this.#set({ noDelay: Boolean(enable) });
  }

  /** Whether a silent peer is asked for, after `initialDelay` milliseconds (0: two hours). */
  setKeepAlive(enable = false, initialDelay = 0): this {
    const ms = Number(initialDelay) > 0 ? Math.max(SHORTEST_KEEP_ALIVE_MS, Number(initialDelay)) : KEEP_ALIVE_MS;
    return this.#set({ keepAlive: enable ? ms : false });
  }

  #set(options: TransportOptions): this {
    Object.assign(this.#options, options);
    if (!this.destroyed) this.#connection?.setOptions(options);
    return this;
  }

  /** Lets the process run until the socket closes: the default. */
  ref(): this {
    this.#referenced = true;
    if (this.connecting || this.#connection) this.#hold();
    return this;
  }

  /** Lets the process end although the socket is open. */
  unref(): this {
    this.#referenced = false;
    release(this);
    return this;
  }

  #hold(): void {
    if (this.#referenced && !this.destroyed) hold(this);
  }

  /** Address of this end; `{}` before there is one. */
  address(): AddressInfo | Record<string, never> {
    const { localAddress: address, localPort: port, localFamily: family } = this;
    return address === undefined || port === undefined || family === undefined ? {} : { address, family, port };
  }

  get localAddress(): string | undefined {
    return this.#connection?.localAddress;
  }

  get localPort(): number | undefined {
    return this.#connection?.localPort;
  }

  get localFamily(): 'IPv4' | 'IPv6' | undefined {
    return family(this.localAddress);
  }

  get remoteAddress(): string | undefined {
    return this.#connection?.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#connection?.remotePort;
  }

  get remoteFamily(): 'IPv4' | 'IPv6' | undefined {
    return family(this.remoteAddress);
  }

  /** Bytes written, with those that wait to be sent. */
  get bytesWritten(): number {
    return this.#written + this.writableLength;
  }

  /** Bytes that wait to be sent. */
  get bufferSize(): number {
    return this.writableLength;
  }

  /** Whether there is no connection yet. */
  get pending(): boolean {
    return !this.#connection || this.connecting;
  }

  get readyState(): SocketReadyState {
    if (this.connecting) return 'opening';
    if (this.readable && this.writable) return 'open';
    if (this.readable) return 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }
}

/** The family of an address, as Node writes it. */
export function family(address: string | undefined): 'IPv4' | 'IPv6' | undefined {
  return address === undefined ? undefined : isIPv6(address) ? 'IPv6' : 'IPv4';
}
