/**
 * `node:net` over a stack: the same functions and classes, bound to one transport.
 *
 * @module
 */
import { BlockList, isIP, isIPv4, isIPv6, SocketAddress } from 'node:net';
import type { LookupFunction } from 'node:net';
import type { StreamTransport } from '../../transport/index.ts';
import { connectArguments } from './arguments.ts';
import type { ConnectOptions } from './arguments.ts';
import type { Network } from './network.ts';
import { BoundServer } from './server.ts';
import type { ServerOptions } from './server.ts';
import { BoundSocket } from './socket.ts';
import type { SocketOptions } from './socket.ts';

/** What `createNet` may be told. */
export type NetOptions = {
  /** Finds the addresses of names, as `dns.lookup` does; of `createNodeDns`, say. Default: the transport's own way. */
  lookup?: LookupFunction | undefined;
};

/** A socket of a {@link Net}. */
export type Socket = BoundSocket;
/** A server of a {@link Net}. */
export type Server = BoundServer;
type ConnectionListener = (socket: BoundSocket) => void;

type Connect = {
  (options: ConnectOptions & SocketOptions, listener?: () => void): BoundSocket;
  (port: number | string, host: string, listener?: () => void): BoundSocket;
  (port: number | string, listener?: () => void): BoundSocket;
};

type CreateServer = {
  (options: ServerOptions | null | undefined, listener?: ConnectionListener): BoundServer;
  (listener?: ConnectionListener): BoundServer;
};

/** The module `node:net`, over a stack. */
export type Net = {
  readonly Server: { new (options?: ServerOptions | null, listener?: ConnectionListener): BoundServer; new (listener: ConnectionListener): BoundServer };
  readonly Socket: new (options?: SocketOptions) => BoundSocket;
  /** `Socket`, by its older name. */
  readonly Stream: new (
    options?: SocketOptions,
  ) => BoundSocket;
  readonly connect: Connect;
  readonly createConnection: Connect;
  readonly createServer: CreateServer;
  readonly BlockList: typeof BlockList;
  readonly SocketAddress: typeof SocketAddress;
  readonly isIP: typeof isIP;
  readonly isIPv4: typeof isIPv4;
  readonly isIPv6: typeof isIPv6;
};

/**
 * Makes what `node:net` exports, over a stack: sockets are streams of Node with its events, codes of errors and backpressure, so that
 * libraries for Node talk through the stack.
 *
 * What differs: there are no sockets of the file system and no handles (`path`, `fd`, `handle` throw `ERR_INVALID_ARG_VALUE`),
 * `server.address()` is known from `listening` on and not before, and sockets send at once unless `setNoDelay(false)`.
 * Errors are Node's: `connect ECONNREFUSED 10.0.0.1:80` with `code`, `errno`, `syscall`, `address` and `port`.
 *
 * @param tcp The transport: `stack.tcp`, or anything like it.
 * @example
 * ```ts
 * import { createStack } from 'netloom';
 * import { createNet } from 'netloom/node';
 *
 * const stack = await createStack();
 * const net = createNet(stack.tcp);
 *
 * const server = net.createServer((socket) => socket.end('hello\n'));
 * server.listen(7000, () => {
 *   const socket = net.connect(7000, '127.0.0.1');
 *   socket.setEncoding('utf8').on('data', (text) => console.log(text));
 *   socket.on('close', () => server.close(() => stack.close()));
 * });
 * ```
 */
export function createNet(tcp: StreamTransport, options: NetOptions = {}): Net {
  const network: Network = { tcp, lookup: options.lookup };

  class Socket extends BoundSocket {
    constructor(options?: SocketOptions) {
      super(network, options);
    }
  }

  class Server extends BoundServer {
    constructor(options?: ServerOptions | ConnectionListener | null, listener?: ConnectionListener) {
      if (typeof options === 'function') super(network, {}, options);
      else super(network, options ?? {}, listener);
    }
  }

  const connect: Connect = (...values: unknown[]) => {
    const [options, listener] = connectArguments(values);
    return new Socket(socketOptions(options)).connect(options, listener);
  };
  const createServer: CreateServer = (options?: ServerOptions | ConnectionListener | null, listener?: ConnectionListener) => new Server(options, listener);

  return { BlockList, Server, Socket, SocketAddress, Stream: Socket, connect, createConnection: connect, createServer, isIP, isIPv4, isIPv6 };
}

function socketOptions({ allowHalfOpen, highWaterMark, onread, signal }: SocketOptions): SocketOptions {
  return { allowHalfOpen, highWaterMark, onread, signal };
}
