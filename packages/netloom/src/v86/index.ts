/**
 * Networks for v86: `attachNetwork` for the whole of it, or the network card alone, as streams and as an end for `patch`.
 *
 * @module
 */
export { attachNetwork } from './attach.ts';
export { V86Network } from './network.ts';
export type { DialOptions } from './network.ts';
export { createLan } from '../lan/lan.ts';
export type * from '../lan/types.ts';
export { createV86NetworkStream, V86NetworkStream } from './nic.ts';
export type { V86Bus, V86Bus as BusConnector, V86Emulator, V86NetworkStreamOptions } from './nic.ts';
export type { ExposedServer, ExposeOptions, GuestServer } from './serve/index.ts';
export type { NetworkTarget } from './settings.ts';
export type { BackendStatus } from './stage.ts';
export { TCPConnection } from './tcp-connection.ts';
export type { TcpConnectionEvents, TcpConnectionState } from './tcp-connection.ts';
export type { AttachableEmulator, AttachOptions, FetchHook, NetDevice, NetworkState, NetworkTimeouts, WebSocketConstructor, WispCredentials } from './types.ts';
