/**
 * A network stack in the page: TCP, UDP and ping over interfaces that the page carries.
 *
 * @module
 */

export { createStack, NetworkStack, type StackOptions, type StackStats } from './stack.ts';
export { NetworkError, type ErrorCode } from './errors.ts';
export { connectStreams } from './transport/connect.ts';
export { patch, type Patch } from './interfaces/patch.ts';
export type { FrameEndpoint } from './interfaces/frames.ts';
export type { InterfaceOptions, InterfaceStats } from './interfaces/interface.ts';
export type { CaptureOptions } from './interfaces/capture.ts';
export { Interfaces } from './interfaces/collection.ts';
export {
  BridgeInterface,
  LoopbackInterface,
  TapInterface,
  TunInterface,
  type BridgeInterfaceOptions,
  type LoopbackInterfaceOptions,
  type NetworkInterface,
  type TapInterfaceOptions,
  type TunInterfaceOptions,
} from './interfaces/kinds.ts';
export { Routes, type Route, type RouteOptions } from './routes.ts';
export { TcpConnection } from './tcp/connection.ts';
export { TcpListener } from './tcp/listener.ts';
export { TcpTransport } from './tcp/transport.ts';
export { UdpSocket } from './udp/socket.ts';
export { UdpTransport } from './udp/transport.ts';
export { PingSession, PingTransport, type PingOptions, type PingReply, type PingSessionOptions } from './ping/session.ts';
export type { NameServer } from './names.ts';
export type { WasmSource } from './engine/module.ts';
export type {
  Datagram as UdpDatagram,
  DatagramSocketOptions as UdpSocketOptions,
  DuplexStream,
  SocketOptions,
  StreamConnectOptions as TcpConnectionOptions,
  StreamListenOptions as TcpListenerOptions,
} from './transport/types.ts';
