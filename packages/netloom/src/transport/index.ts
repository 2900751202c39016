/**
 * What connections and sockets look like, whoever gives them, and how streams are joined.
 *
 * @module
 */

export { NetworkError, type ErrorCode } from '../errors.ts';
export type {
  Datagram,
  DatagramSocket,
  DatagramSocketOptions,
  DatagramTransport,
  DuplexStream,
  SocketOptions,
  StreamConnection,
  StreamConnectOptions,
  StreamListener,
  StreamListenOptions,
  StreamTransport,
} from './types.ts';
export { connectStreams } from './connect.ts';
export { fromReadable, fromReader } from './iterate.ts';
