/**
 * A socket of `node:dgram` over a datagram transport.
 *
 * States: unbound → binding → bound → closed, and beside them the peer of `connect`. What is sent before the socket is bound waits for it.
 *
 * @module
 */
import { EventEmitter } from 'node:events';
import { isIPv6 } from 'node:net';
import type { LookupFunction } from 'node:net';
import type { Datagram, DatagramSocket, DatagramTransport } from '../../transport/index.ts';
import { nodeError, portOf, systemError, usageError } from '../errors.ts';
import { later } from '../later.ts';
import { hold, release } from '../liveness.ts';
import { resolve } from '../net/network.ts';
import { bindArguments, sendArguments } from './arguments.ts';
import type { BindOptions, Message, SendCallback, Sending } from './arguments.ts';

/** What `createSocket` takes, as of Node. */
export type SocketOptions = {
  type: 'udp4' | 'udp6';
  /** Bytes of datagrams that may wait; what comes on top is lost. Default that of the transport. */
  recvBufferSize?: number | undefined;
  lookup?: LookupFunction | undefined;
  /** Closes the socket. */
  signal?: AbortSignal | undefined;
};

/** Who sent a message. */
export type RemoteInfo = { address: string; family: 'IPv4' | 'IPv6'; port: number; size: number };

type Peer = { address: string; port: number };

const BROADCAST = '255.255.255.255';

/** The socket of `createDgram`, which binds it to a transport. */
export class BoundDgramSocket extends EventEmitter {
  readonly type: 'udp4' | 'udp6';
  readonly #udp: DatagramTransport;
  readonly #lookup: LookupFunction | undefined;
  readonly #receiveBufferSize: number | undefined;
  #binding: Promise<DatagramSocket | undefined> | undefined;
  #socket: DatagramSocket | undefined;
  #peer: Peer | undefined;
  #connecting = false;
  #closed = false;
  #broadcast = false;
  #referenced = true;
  #queued = { bytes: 0, count: 0 };

  constructor(udp: DatagramTransport, { type, recvBufferSize, lookup, signal }: SocketOptions) {
    super();
    if (type !== 'udp4' && type !== 'udp6') {
      throw usageError('ERR_SOCKET_BAD_TYPE', 'Bad socket type specified. Valid types are: udp4, udp6');
    }
    this.#udp = udp;
    this.type = type;
    this.#lookup = lookup;
    this.#receiveBufferSize = recvBufferSize;
    const abort = () => void (this.#closed || this.close());
    if (signal?.aborted) process.nextTick(abort);
    else signal?.addEventListener('abort', abort, { once: true });
  }

  /** Binds to a port, 0 for a free one. Forms: `bind([port][, address][, listener])`, `bind(options[, listener])`. */
  bind(port?: number, address?: string, listener?: () => void): this;
  bind(port?: number, listener?: () => void): this;
  bind(options: BindOptions, listener?: () => void): this;
  bind(listener?: () => void): this;
  bind(...values: unknown[]): this {
    this.#check();
    const [options, listener] = bindArguments(values);
    if (this.#binding) throw usageError('ERR_SOCKET_ALREADY_BOUND', 'Socket is already bound', Error);
    if (listener) {
      const off = () => {
        this.off('listening', heard);
        this.off('error', off);
      };
      const heard = () => {
        off();
        listener.call(this);
      };
      this.on('listening', heard);
      this.on('error', off);
    }
    void this.#bind(options);
    return this;
  }

  /** Binds, once; resolves when sending may begin, with `undefined` if the socket could not be bound. */
  #bind({ port = 0, address }: BindOptions): Promise<DatagramSocket | undefined> {
    if (this.#referenced) hold(this);
    this.#binding ??= (async () => {
      let socket: DatagramSocket | undefined;
      let trouble: Error | undefined;
      try {
        const host = address === undefined ? undefined : ((await resolve(address, this.#lookup, { family: this.#version }))?.address ?? address);
        const size = this.#receiveBufferSize;
        socket = await this.#udp.open({ port, ...(host === undefined ? {} : { host }), ...(size === undefined ? {} : { receiveBufferSize: size }) });
      } catch (error) {
        trouble = nodeError(error, 'bind', { address: address ?? this.#any, port });
      }
      if (this.#closed) {
        void socket?.close();
        return undefined;
      }
      if (!socket) {
        this.#binding = undefined;
        release(this);
        process.nextTick(() => this.emit('error', trouble));
        return undefined;
      }
      this.#socket = socket;
      process.nextTick(() => !this.#closed && this.emit('listening'));
      void this.#receive(socket);
      return socket;
    })();
    return this.#binding;
  }

  async #receive(socket: DatagramSocket): Promise<void> {
    try {
      for (let datagram; (datagram = await socket.receive()); ) process.nextTick((next: Datagram) => this.#received(next), datagram);
      process.nextTick(() => !this.#closed && this.close());
    } catch (error) {
      process.nextTick(() => !this.#closed && this.emit('error', nodeError(error, 'recvmsg')));
    }
  }

  #received({ data, host, port }: Datagram): void {
    if (this.#closed) return;
    if (this.#peer && (this.#peer.address !== host || this.#peer.port !== port)) return;
    const from: RemoteInfo = { address: host, family: isIPv6(host) ? 'IPv6' : 'IPv4', port, size: data.length };
    this.emit('message', Buffer.from(data.buffer, data.byteOffset, data.byteLength), from);
  }

  /**
   * Sends a datagram. Forms: `send(msg[, offset, length][, port][, address][, callback])`; on a connected socket without `port` and
   * `address`. An error goes to the callback; without one, that a name is not found goes to `error`, and the rest is lost like a datagram.
   */
  send(message: Message, port?: number, address?: string, callback?: SendCallback): void;
  send(message: Message, port?: number, callback?: SendCallback): void;
  send(message: Message, callback?: SendCallback): void;
  send(message: Message, offset: number, length: number, port?: number, address?: string, callback?: SendCallback): void;
  send(message: Message, offset: number, length: number, port?: number, callback?: SendCallback): void;
  send(message: Message, offset: number, length: number, callback?: SendCallback): void;
  send(...values: unknown[]): void {
    const sending = sendArguments(values, this.#peer !== undefined || this.#connecting);
    this.#check();
    const { data, callback } = sending;
    this.#queued.bytes += data.length;
    this.#queued.count += 1;
    const settle = (error: Error | null) => {
      this.#queued.bytes -= data.length;
      this.#queued.count -= 1;
      if (callback) callback(error, error ? 0 : data.length);
      else if (error && !this.#closed && (error as NodeJS.ErrnoException).syscall === 'getaddrinfo') this.emit('error', error);
    };
    later(
      this.#send(sending),
      () => settle(null),
      (error) => settle(error as Error),
    );
  }

  async #send({ data, port, address }: Sending): Promise<void> {
    const socket = this.#socket ?? (await this.#bind({}));
    if (!socket) throw notRunning();
    const peer = port === undefined ? this.#peer : { port, address: await this.#target(address) };
    if (!peer) throw notRunning();
    if (peer.address === BROADCAST && !this.#broadcast) throw systemError('send', 'EACCES', peer);
    try {
      await socket.send({ host: peer.address, port: peer.port, data });
    } catch (error) {
      throw nodeError(error, 'send', peer);
    }
  }

  async #target(address: string | undefined): Promise<string> {
    const host = address ?? (this.type === 'udp6' ? '::1' : '127.0.0.1');
    return (await resolve(host, this.#lookup, { family: this.#version }))?.address ?? host;
  }

  /** Sends to, and hears from, one peer alone. Emits `connect`, or calls `listener` with the error. */
  connect(port: number, address?: string, listener?: (error?: Error) => void): void;
  connect(port: number, listener?: (error?: Error) => void): void;
  connect(port: number, ...values: unknown[]): void {
    const number = portOf(port, 'Port', false);
    const listener = values.find((value) => typeof value === 'function') as ((error?: Error) => void) | undefined;
    const [address] = values;
    this.#check();
    if (this.#peer || this.#connecting) throw usageError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected', Error);
    this.#connecting = true;
    const connected = async () => {
      await (this.#socket ?? this.#bind({}));
      return this.#target(typeof address === 'string' && address !== '' ? address : undefined);
    };
    later(
      connected(),
      (found) => {
        this.#connecting = false;
        if (this.#closed) return;
        this.#peer = { address: found, port: number };
        if (listener) this.once('connect', listener);
        this.emit('connect');
      },
      (error) => {
        this.#connecting = false;
        if (listener) listener(error as Error);
        else if (!this.#closed) this.emit('error', error);
      },
    );
  }

  /** Undoes `connect`. */
  disconnect(): void {
    if (!this.#peer) throw notConnected();
    this.#peer = undefined;
  }

  /** The peer of `connect`. */
  remoteAddress(): { address: string; family: 'IPv4' | 'IPv6'; port: number } {
    this.#check();
    if (!this.#peer) throw notConnected();
    return { ...this.#peer, family: isIPv6(this.#peer.address) ? 'IPv6' : 'IPv4' };
  }

  /** Address and port of this end, once it is bound. */
  address(): { address: string; family: 'IPv4' | 'IPv6'; port: number } {
    this.#check();
    if (!this.#socket) throw systemError('getsockname', 'EBADF');
    const { localAddress, localPort } = this.#socket;
    const any = localAddress === '0.0.0.0' || localAddress === '::';
    return { address: any ? this.#any : localAddress, family: this.type === 'udp6' ? 'IPv6' : 'IPv4', port: localPort };
  }

  /** Closes; nothing is emitted afterwards but `close`. */
  close(listener?: () => void): this {
    if (typeof listener === 'function') this.on('close', listener);
    this.#check();
    this.#closed = true;
    release(this);
    void this.#socket?.close().catch(() => {});
    process.nextTick(() => this.emit('close'));
    return this;
  }

  /** Closes. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    await new Promise<void>((done) => this.close(done));
  }

  /** Lets the socket send to 255.255.255.255; until then that is `EACCES`. */
  setBroadcast(enable: boolean): void {
    if (!this.#socket) throw systemError('setBroadcast', 'EBADF');
    this.#broadcast = Boolean(enable);
  }

  /** Throws `ENOPROTOOPT`, as all of the following: the transport has no such option. */
  setTTL(_ttl: number): never {
    throw systemError('setTTL', 'ENOPROTOOPT');
  }

  setMulticastTTL(_ttl: number): never {
    throw systemError('setMulticastTTL', 'ENOPROTOOPT');
  }

  setMulticastLoopback(_enable: boolean): never {
    throw systemError('setMulticastLoopback', 'ENOPROTOOPT');
  }

  setMulticastInterface(_address: string): never {
    throw systemError('setMulticastInterface', 'ENOPROTOOPT');
  }

  addMembership(_address: string, _interface?: string): never {
    throw systemError('addMembership', 'ENOPROTOOPT');
  }

  dropMembership(_address: string, _interface?: string): never {
    throw systemError('dropMembership', 'ENOPROTOOPT');
  }

  /** Bytes that wait to be sent. */
  getSendQueueSize(): number {
    return this.#queued.bytes;
  }

  /** Datagrams that wait to be sent. */
  getSendQueueCount(): number {
    return this.#queued.count;
  }

  /** Lets the process run until the socket is closed: the default. */
  ref(): this {
    this.#referenced = true;
    if (this.#binding && !this.#closed) hold(this);
    return this;
  }

  /** Lets the process end although the socket is open. */
  unref(): this {
    this.#referenced = false;
    release(this);
    return this;
  }

  get #any(): string {
    return this.type === 'udp6' ? '::' : '0.0.0.0';
  }

  get #version(): 4 | 6 {
    return this.type === 'udp6' ? 6 : 4;
  }

  #check(): void {
    if (this.#closed) throw notRunning();
  }
}

function notRunning(): Error {
  return usageError('ERR_SOCKET_DGRAM_NOT_RUNNING', 'Not running', Error);
}

function notConnected(): Error {
  return usageError('ERR_SOCKET_DGRAM_NOT_CONNECTED', 'Not connected', Error);
}
