/**
 * A server of `node:net` over a stream transport.
 *
 * States: new → starting → listening → closing (some connections are left) → closed. Owns the listener; the connections own themselves.
 *
 * @module
 */
import { EventEmitter } from 'node:events';
import { isIPv6 } from 'node:net';
import type { AddressInfo, BlockList } from 'node:net';
import type { StreamConnection, StreamListener } from '../../transport/index.ts';
import { nodeError, systemError, usageError } from '../errors.ts';
import { hold, release } from '../liveness.ts';
import { listenArguments } from './arguments.ts';
import type { ListenOptions } from './arguments.ts';
import type { Network } from './network.ts';
import { BoundSocket, family } from './socket.ts';

/** What `createServer` takes, as of Node. */
export type ServerOptions = {
  /** As of the sockets. Default false. */
  allowHalfOpen?: boolean | undefined;
  /** Connections are handed out paused. */
  pauseOnConnect?: boolean | undefined;
  noDelay?: boolean | undefined;
  keepAlive?: boolean | undefined;
  keepAliveInitialDelay?: number | undefined;
  /** As of the sockets. */
  highWaterMark?: number | undefined;
  /** Whose connections are dropped. */
  blockList?: BlockList | undefined;
};

/** What a `drop` event tells. */
export type DropArgument = {
  localAddress: string;
  localPort: number;
  localFamily: string | undefined;
  remoteAddress: string;
  remotePort: number;
  remoteFamily: string | undefined;
};

/** Connections that wait when nobody says how many; Node's own default. */
const BACKLOG = 511;

/** The server of `createNet`, which binds it to a transport. */
export class BoundServer extends EventEmitter {
  /** Connections at a time; more are dropped. */
  maxConnections: number | undefined = undefined;
  readonly #network: Network;
  readonly #options: ServerOptions;
  readonly #sockets = new Set<BoundSocket>();
  #starting: AbortController | undefined;
  #listener: StreamListener | undefined;
  #referenced = true;

  constructor(network: Network, options: ServerOptions, listener?: (socket: BoundSocket) => void) {
    super();
    this.#network = network;
    this.#options = options;
    if (listener) this.on('connection', listener);
  }

  /** Listens. Forms: `listen([port[, host[, backlog]]][, listener])`, `listen(options[, listener])`. */
  listen(port?: number | string, host?: string, backlog?: number, listener?: () => void): this;
  listen(port?: number | string, host?: string, listener?: () => void): this;
  listen(port?: number | string, backlog?: number, listener?: () => void): this;
  listen(port?: number | string, listener?: () => void): this;
  listen(options: ListenOptions, listener?: () => void): this;
  listen(listener?: () => void): this;
  listen(...values: unknown[]): this {
    const [options, listener] = listenArguments(values);
    if (this.#starting || this.#listener) {
      throw usageError('ERR_SERVER_ALREADY_LISTEN', 'Listen method has been called more than once without closing.', Error);
    }
    if (listener) this.once('listening', listener);
    const starting = new AbortController();
    this.#starting = starting;
    const { signal } = options;
    if (signal?.aborted) process.nextTick(() => this.close());
    else signal?.addEventListener('abort', () => this.close(), { once: true });
    this.#hold();
    void this.#start(options, starting);
    return this;
  }

  async #start({ host, port, backlog = BACKLOG }: ListenOptions, starting: AbortController): Promise<void> {
    const { tcp } = this.#network;
    const address = host === 'localhost' ? '127.0.0.1' : host || undefined;
    let listener: StreamListener;
    try {
      if (!tcp.listen) throw systemError('listen', 'EOPNOTSUPP');
      listener = await tcp.listen({
        ...(address === undefined ? {} : { host: address }),
        port: Number(port),
        backlog: Math.max(1, backlog),
        keepAlive: this.#keepAlive(),
      });
    } catch (error) {
      process.nextTick(() => this.#broken(nodeError(error, 'listen', { address: address ?? '0.0.0.0', port: Number(port) }), starting));
      return;
    }
    if (starting.signal.aborted) return listener.close();
    this.#starting = undefined;
    this.#listener = listener;
    process.nextTick(() => {
      if (this.#listener === listener) this.emit('listening');
    });
    await this.#accept(listener);
  }

  #broken(error: Error, starting: AbortController): void {
    if (this.#starting !== starting) return;
    this.#starting = undefined;
    release(this);
    this.emit('error', error);
  }

  async #accept(listener: StreamListener): Promise<void> {
    try {
      for (let connection; (connection = await listener.accept()); ) process.nextTick((next: StreamConnection) => this.#connected(next), connection);
    } catch (error) {
      process.nextTick(() => {
        if (this.#listener !== listener) return;
        this.emit('error', nodeError(error, 'accept'));
        this.close();
      });
      return;
    }
    // The transport may close by itself, as a stack does.
    process.nextTick(() => {
      if (this.#listener === listener) this.close();
    });
  }

  #connected(connection: StreamConnection): void {
    const { remoteAddress, localAddress, remotePort, localPort } = connection;
    const full = this.maxConnections !== undefined && this.#sockets.size >= this.maxConnections;
    if (full || this.#options.blockList?.check(remoteAddress, isIPv6(remoteAddress) ? 'ipv6' : 'ipv4')) {
      connection.closed.catch(() => {});
      void connection.close().catch(() => {});
      const drop: DropArgument = { localAddress, localPort, localFamily: family(localAddress), remoteAddress, remotePort, remoteFamily: family(remoteAddress) };
      this.emit('drop', drop);
      return;
    }
    const { allowHalfOpen, highWaterMark, noDelay, pauseOnConnect } = this.#options;
    const socket = new BoundSocket(this.#network, { allowHalfOpen, highWaterMark, connection, paused: pauseOnConnect });
    if (noDelay !== undefined) socket.setNoDelay(noDelay);
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#drained();
    });
    // What `node:http` and others look for on the sockets of a server.
    Object.assign(socket, { server: this, _server: this });
    this.emit('connection', socket);
  }

  #keepAlive(): number | false {
    const { keepAlive, keepAliveInitialDelay = 0 } = this.#options;
    return keepAlive ? Math.max(1000, keepAliveInitialDelay || 7_200_000) : false;
  }

  /** Takes no more connections; `close` is emitted, and `done` called, when the last one has ended. */
  close(done?: (error?: Error) => void): this {
    const listening = this.#listener !== undefined || this.#starting !== undefined;
    if (typeof done === 'function') {
      if (listening) this.once('close', done);
      else this.once('close', () => done(usageError('ERR_SERVER_NOT_RUNNING', 'Server is not running.', Error)));
    }
    this.#starting?.abort();
    this.#starting = undefined;
    const listener = this.#listener;
    this.#listener = undefined;
    void listener?.close().catch(() => {});
    release(this);
    this.#drained();
    return this;
  }

  #drained(): void {
    if (this.#listener || this.#starting || this.#sockets.size > 0) return;
    process.nextTick(() => this.emit('close'));
  }

  /** Where the server listens; `null` before `listening` and after `close`. */
  address(): AddressInfo | null {
    if (!this.#listener) return null;
    const { address, port } = this.#listener;
    return { address, family: family(address) ?? 'IPv4', port };
  }

  get listening(): boolean {
    return this.#listener !== undefined;
  }

  /** Tells how many connections are open. */
  getConnections(done: (error: Error | null, count: number) => void): this {
    process.nextTick(() => done(null, this.#sockets.size));
    return this;
  }

  /** Lets the process run while the server listens: the default. */
  ref(): this {
    this.#referenced = true;
    if (this.#listener || this.#starting) this.#hold();
    return this;
  }

  /** Lets the process end although the server listens. */
  unref(): this {
    this.#referenced = false;
    release(this);
    return this;
  }

  #hold(): void {
    if (this.#referenced) hold(this);
  }

  /** Closes, and waits for the last connection to end. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#listener && !this.#starting) return;
    await new Promise<void>((done) => this.close(() => done()));
  }
}
