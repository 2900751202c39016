/**
 * `node:dgram` over a stack: the same functions and classes, bound to one transport.
 *
 * @module
 */
import type { LookupFunction } from 'node:net';
import type { DatagramTransport } from '../../transport/index.ts';
import type { RemoteInfo, SocketOptions } from './socket.ts';
import { BoundDgramSocket } from './socket.ts';

export type { RemoteInfo } from './socket.ts';

/** What `createDgram` may be told. */
export type DgramOptions = {
  /** Finds the addresses of names, as `dns.lookup` does. Default: the transport's own way. */
  lookup?: LookupFunction | undefined;
};

type Listener = (message: Buffer, from: RemoteInfo) => void;

/** The module `node:dgram`, over a stack. */
export type Dgram = {
  /** A socket of one type. `listener` hears `message`. */
  createSocket(type: 'udp4' | 'udp6' | SocketOptions, listener?: Listener): BoundDgramSocket;
  readonly Socket: new (type: 'udp4' | 'udp6' | SocketOptions, listener?: Listener) => BoundDgramSocket;
};

/**
 * Makes what `node:dgram` exports, over a stack.
 *
 * What differs: options that a stack's sockets lack (TTL, multicast) throw `ENOPROTOOPT`, and buffer sizes are said when the socket is made.
 * Errors are Node's: `bind EADDRINUSE 0.0.0.0:53`, `send EMSGSIZE 10.0.0.1:9`.
 *
 * @param udp The transport: `stack.udp`, or anything like it.
 * @example
 * ```ts
 * import { createStack } from 'netloom';
 * import { createDgram } from 'netloom/node';
 *
 * const stack = await createStack();
 * const dgram = createDgram(stack.udp);
 *
 * const server = dgram.createSocket('udp4', (message, from) => server.send(message, from.port, from.address));
 * server.bind(7, () => {
 *   const client = dgram.createSocket('udp4', (message) => {
 *     console.log(String(message));
 *     client.close();
 *     server.close(() => stack.close());
 *   });
 *   client.send('hello', 7, '127.0.0.1');
 * });
 * ```
 */
export function createDgram(udp: DatagramTransport, options: DgramOptions = {}): Dgram {
  class Socket extends BoundDgramSocket {
    constructor(type: 'udp4' | 'udp6' | SocketOptions, listener?: Listener) {
      const settings = typeof type === 'object' && type !== null ? type : { type };
      super(udp, { ...settings, lookup: settings.lookup ?? options.lookup });
      if (listener) this.on('message', listener);
    }
  }
  return { Socket, createSocket: (type, listener) => new Socket(type, listener) };
}
