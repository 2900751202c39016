/**
 * DHCP over a stack: a server that gives addresses, and a client that configures an interface.
 *
 * @module
 */
import type { DatagramTransport } from '../transport/types.ts';
import type { DhcpRoutes } from './binding.ts';
import { DhcpClient, type DhcpClientOptions } from './client.ts';
import { DhcpServer, type DhcpServerOptions } from './server.ts';

export type { DhcpBinding, DhcpInterface, DhcpResolver, DhcpRoutes } from './binding.ts';
export { DhcpClient, type DhcpClientOptions } from './client.ts';
export { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, type DhcpMessageType, DhcpMessageTypes, type DhcpOption, DhcpOptionCodes, DhcpOptions } from './constants.ts';
export type { DhcpPacket } from './packet.ts';
export type { DhcpLease, DhcpReservation } from './pool.ts';
export { type DhcpLeaseEvent, type DhcpRelayedNetwork, DhcpServer, type DhcpServerOptions } from './server.ts';
export type { DhcpRoute, DhcpSettings } from './settings.ts';
export {
  type DhcpMessage,
  type DhcpMessageParams,
  type DhcpReplyOptions,
  parseDhcpMessage,
  parseDhcpMessageType,
  serializeDhcpMessage,
  serializeDhcpMessageType,
} from './wire.ts';

/** Servers and clients that close together. */
export type Dhcp = AsyncDisposable & {
  /** Starts a server. */
  serve(options: DhcpServerOptions): Promise<DhcpServer>;
  /** Starts a client, which has its first address when this resolves. */
  acquire(options: DhcpClientOptions): Promise<DhcpClient>;
  /** Closes the servers and the clients. */
  close(): Promise<void>;
};

/**
 * DHCP over a stack, or over `stack.udp`, whose clients then set no routes.
 *
 * @example
 * ```ts
 * import { createStack } from 'netloom';
 * import { createDhcp } from 'netloom/dhcp';
 *
 * const stack = await createStack();
 * await stack.interfaces.createTap({ ip: '192.168.1.1/24' });
 * const { serve, close } = await createDhcp(stack);
 * await serve({
 *   leaseRange: { start: '192.168.1.100', end: '192.168.1.200' },
 *   serverIdentifier: '192.168.1.1',
 *   netmask: '255.255.255.0',
 *   router: '192.168.1.1',
 * });
 * await close();
 * await stack.close();
 * ```
 */
export async function createDhcp(transport: DatagramTransport | { udp: DatagramTransport; routes?: DhcpRoutes }): Promise<Dhcp> {
  const members = new Set<DhcpServer | DhcpClient>();
  const close = async (): Promise<void> => {
    await Promise.allSettled([...members].map((member) => member.close()));
  };
  return {
    serve: async (options) => {
      const server = new DhcpServer(transport, options);
      await server.listen();
      members.add(server);
      return server;
    },
    acquire: async (options) => {
      const client = new DhcpClient(transport, options);
      await client.start();
      members.add(client);
      return client;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
