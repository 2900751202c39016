/**
 * Node's own modules over a stack, so that libraries written for Node talk to what the stack reaches, a guest's servers above all.
 * The only entry that imports `node:` modules.
 *
 * @module
 */
export { createNet } from './net/index.ts';
export type { Net, NetOptions, Server, Socket } from './net/index.ts';
export type { ConnectOptions, ListenOptions } from './net/arguments.ts';
export type { DropArgument, ServerOptions } from './net/server.ts';
export type { SocketOptions } from './net/socket.ts';
export { createHttpAgent, createHttpsAgent, createUndiciConnector } from './agent.ts';
export type { Connector, ConnectorOptions } from './agent.ts';
export { createDgram } from './dgram/index.ts';
export type { Dgram, DgramOptions, RemoteInfo } from './dgram/index.ts';
export type { SocketOptions as DgramSocketOptions } from './dgram/socket.ts';
export { createNodeDns } from './dns.ts';
export type { LookupOptions, NodeDns, NodeDnsPromises, Resolver } from './dns.ts';
