/**
 * DNS over a stack: a resolver and a server.
 *
 * @module
 */
import type { DatagramTransport } from '../transport/types.ts';
import { DnsClient, type DnsClientOptions } from './client.ts';
import type { DnsTransports } from './exchange.ts';
import { DnsServer, type DnsServerOptions } from './server.ts';

export type { DnsQuery, DnsQueryContext, DnsReply, DnsResponse, RequestFn } from './answer.ts';
export { type DnsAddress, DnsClient, type DnsClientOptions, type DnsLookupOptions } from './client.ts';
export type { DnsTransports } from './exchange.ts';
export { ipToPtrName, parseName, type PtrIP, ptrNameToIP, serializeName } from './names.ts';
export { parseDnsMessage, parseHeader, parseQuestion, parseResourceRecord, parseTxtValue } from './parse.ts';
export { serializeHeader, serializeQuestion } from './query.ts';
export { serializeDnsMessage, serializeResourceData, serializeResourceRecord, serializeTxtValue } from './serialize.ts';
export { DnsServer, type DnsServerOptions } from './server.ts';
export {
  type DnsClass,
  type DnsData,
  type DnsHeader,
  type DnsMessage,
  type DnsOpCode,
  type DnsQuestion,
  type DnsRCode,
  type DnsRecord,
  type DnsServiceParameters,
  type DnsType,
  type NameServer,
} from './types.ts';

/** What `createDns` takes. */
export type CreateDnsOptions = {
  /** What its resolver is told. */
  client?: DnsClientOptions;
};

/** A resolver and servers that close together. */
export type Dns = AsyncDisposable & {
  /** The resolver. */
  readonly client: DnsClient;
  /** Starts a server. */
  serve(options: DnsServerOptions): Promise<DnsServer>;
  lookup: DnsClient['lookup'];
  lookupAll: DnsClient['lookupAll'];
  reverse: DnsClient['reverse'];
  query: DnsClient['query'];
  /** Closes the resolver and the servers. */
  close(): Promise<void>;
};

/**
 * DNS over a stack, or over `stack.udp`, which has no TCP for answers that do not fit into a datagram.
 *
 * @example
 * ```ts
 * import { createStack } from 'netloom';
 * import { createDns } from 'netloom/dns';
 *
 * const stack = await createStack();
 * const { serve, lookup, close } = await createDns(stack);
 * await serve({ request: async ({ type }) => (type === 'A' ? { type, ip: '10.0.0.1', ttl: 300 } : []) });
 * console.log(await lookup('example.com')); // 10.0.0.1
 * await close();
 * await stack.close();
 * ```
 */
export async function createDns(transport: DatagramTransport | DnsTransports, options: CreateDnsOptions = {}): Promise<Dns> {
  const client = new DnsClient(transport, options.client);
  const servers = new Set<DnsServer>();
  const close = async (): Promise<void> => {
    await Promise.allSettled([client.close(), ...[...servers].map((server) => server.close())]);
  };
  return {
    client,
    serve: async (serverOptions) => {
      const server = new DnsServer(transport, serverOptions);
      await server.listen();
      servers.add(server);
      return server;
    },
    lookup: (...args) => client.lookup(...args),
    lookupAll: (...args) => client.lookupAll(...args),
    reverse: (...args) => client.reverse(...args),
    query: (...args) => client.query(...args),
    close,
    [Symbol.asyncDispose]: close,
  };
}
