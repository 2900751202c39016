/**
 * A DHCP server (RFC 2131 4.3) over datagrams.
 */
import { sender } from '../transport/send.ts';
import type { Datagram, DatagramSocket, DatagramTransport } from '../transport/types.ts';
import { ipv4ToNumber } from '../wire/address.ts';
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessageTypes, type DhcpMessageType, DhcpOptionCodes, DhcpOptions } from './constants.ts';
import { type DhcpPacket, hexOf, ipOf, receivePacket, textOf } from './packet.ts';
import { type Client, type DhcpLease, type DhcpReservation, Leases, Pool } from './pool.ts';
import { type DhcpSettings, optionsOf } from './settings.ts';
import { serializeDhcpMessage, typeOf } from './wire.ts';

/** A network whose clients ask through a relay agent, with addresses and settings of its own. */
export type DhcpRelayedNetwork = DhcpSettings & { leaseRange: { start: string; end: string } };

/** What happened to a lease. */
export type DhcpLeaseEvent = { type: 'bound' | 'renewed' | 'released' | 'declined'; lease: DhcpLease };

/** What a server is told. */
export type DhcpServerOptions = DhcpSettings & {
  /** Addresses that clients are given, from `start` to `end`, both included. */
  leaseRange: { start: string; end: string };
  /** The server's own address, by which clients tell it from others. */
  serverIdentifier: string;
  /** Seconds that a lease lasts, 1 or more. Default 86,400. */
  leaseDuration?: number;
  /** Seconds after which a client renews. Default half of the lease. */
  renewalTime?: number;
  /** Seconds after which a client asks any server. Default 7/8 of the lease. */
  rebindingTime?: number;
  /** Addresses of certain clients. */
  reservations?: DhcpReservation[];
  /** Networks behind relay agents, told apart by the agents' addresses. */
  relayed?: DhcpRelayedNetwork[];
  /** Name of the one interface to serve. Default: all. */
  interface?: string;
  /** Leases to begin with, as `exportLeases` gave them. */
  leases?: DhcpLease[];
  /** Seconds for which an address that a client found in use is left alone. Default 3,600. */
  declineDuration?: number;
  /** Told of every change. */
  onLease?: (event: DhcpLeaseEvent) => void;
  /** Closes the server. */
  signal?: AbortSignal;
};

type Network = { pool: Pool; settings: DhcpSettings };
type ReplyType = 'OFFER' | 'ACK' | 'NAK';
type LeaseTerms = { leaseDuration?: number; renewalTime?: number; rebindingTime?: number };

const NO_ADDRESS = '0.0.0.0';
const EVERYONE = '255.255.255.255';

/**
 * A DHCP server.
 *
 * @example
 * ```ts
 * import { createStack } from 'netloom';
 * import { createDhcp } from 'netloom/dhcp';
 *
 * const stack = await createStack();
 * await stack.interfaces.createTap({ ip: '192.168.1.1/24' });
 * const dhcp = await createDhcp(stack);
 * const server = await dhcp.serve({
 *   leaseRange: { start: '192.168.1.100', end: '192.168.1.200' },
 *   serverIdentifier: '192.168.1.1',
 *   netmask: '255.255.255.0',
 *   router: '192.168.1.1',
 *   dnsServers: ['192.168.1.1'],
 *   reservations: [{ mac: '02:00:00:00:00:07', ip: '192.168.1.7' }],
 * });
 * console.log([...server.leases.values()]); // none yet
 * await server.close();
 * await stack.close();
 * ```
 */
export class DhcpServer implements AsyncDisposable {
  readonly #transport: DatagramTransport;
  readonly #options: DhcpServerOptions & { leaseDuration: number };
  readonly #networks: readonly [Network, ...Network[]];
  readonly #leases: Leases;
  #socket: DatagramSocket | undefined;
  #running: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** Throws if an address, a netmask or a range is none. */
  constructor(transport: DatagramTransport | { udp: DatagramTransport }, options: DhcpServerOptions) {
    this.#transport = 'udp' in transport ? transport.udp : transport;
    this.#options = { leaseDuration: 86_400, ...options };
    const { serverIdentifier, reservations = [], relayed = [], leases = [] } = options;
    ipv4ToNumber(serverIdentifier);
    const networkOf = (settings: DhcpRelayedNetwork): Network => {
      optionsOf(settings);
      return { settings, pool: new Pool(settings.leaseRange, settings.netmask, [serverIdentifier, settings.router ?? []].flat()) };
    };
    this.#networks = [networkOf(options), ...relayed.map(networkOf)];
    for (const { ip } of [...reservations, ...leases]) ipv4ToNumber(ip);
    this.#leases = new Leases(reservations);
    for (const { mac, clientId, ip, expiresAt, hostname } of leases) this.#leases.bind({ mac, clientId }, ip, expiresAt, hostname);
  }

  /** Leases by the clients' MAC addresses, those that expired included until their addresses are given to others. */
  get leases(): Map<string, DhcpLease> {
    return this.#leases.map;
  }

  /** Copies of the leases that last, to be kept as JSON and given to another server's `leases`. */
  exportLeases(): DhcpLease[] {
    const now = Date.now();
    return [...this.leases.values()].filter(({ expiresAt }) => expiresAt > now).map((lease) => ({ ...lease }));
  }

  /** Begins to serve. Rejects with `EADDRINUSE` if another socket has the port. */
  async listen(): Promise<void> {
    const { interface: name, signal } = this.#options;
    signal?.throwIfAborted();
    const socket = await this.#transport.open({ port: DHCP_SERVER_PORT, interface: name });
    this.#socket = socket;
    if (this.#isClosed) await socket.close();
    signal?.addEventListener('abort', () => void this.close(), { once: true });
    // A socket that fails ends the service as closing does.
    this.#running = this.#serve(socket).catch(() => {});
  }

  /** Stops; the leases stay in `leases`. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#socket?.close().catch(() => {});
    await this.#running;
  }

  /** As `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #serve(socket: DatagramSocket): Promise<void> {
    const send = sender(socket);
    const reader = socket.readable.getReader();
    for (;;) {
      const { value } = await reader.read();
      if (!value) return;
      const reply = this.#answer(value.data);
      // Without a way back there is no answer, and the client asks again.
      if (reply) await send(reply).catch(() => {});
    }
  }

  /** The answer to a message, if it has one. */
  #answer(data: Uint8Array): Datagram | undefined {
    let request: DhcpPacket;
    let type: DhcpMessageType | undefined;
    try {
      request = receivePacket(data);
      type = typeOf(request);
    } catch {
      return undefined;
    }
    const network = this.#networkFor(request);
    if (request.op !== 1 || !network) return undefined;
    const id = request.options.get(DhcpOptionCodes.CLIENT_ID);
    const client = { mac: request.mac, clientId: id && hexOf(id) };
    switch (type) {
      case 'DISCOVER':
        return this.#discover(request, client, network);
      case 'REQUEST':
        return this.#request(request, client, network);
      case 'INFORM':
        return this.#reply(request, 'ACK', NO_ADDRESS, network.settings, {});
      case 'RELEASE':
        if (this.#isForUs(request)) this.#release(request, client);
        return undefined;
      case 'DECLINE':
        if (this.#isForUs(request)) this.#decline(request, client);
        return undefined;
      default:
        return undefined;
    }
  }

  /** The network that a message is from: that of the relay agent, or of the client's own address; none if the agent's is unknown. */
  #networkFor({ giaddr, ciaddr }: DhcpPacket): Network | undefined {
    const of = (ip: string): Network | undefined => this.#networks.find(({ pool }) => pool.isOnNetwork(ip));
    return giaddr === NO_ADDRESS ? (of(ciaddr) ?? this.#networks[0]) : of(giaddr);
  }

  #discover(request: DhcpPacket, client: Client, network: Network): Datagram | undefined {
    const ip = this.#leases.choose(client, ipOf(request.options.get(DhcpOptionCodes.REQUESTED_IP)), network.pool);
    if (ip === undefined) return undefined;
    this.#leases.offer(client, ip);
    return this.#reply(request, 'OFFER', ip, network.settings, this.#options);
  }

  #request(request: DhcpPacket, client: Client, { pool, settings }: Network): Datagram | undefined {
    if (!this.#isForUs(request)) {
      this.#leases.withdraw(client);
      return undefined;
    }
    const ip = ipOf(request.options.get(DhcpOptionCodes.REQUESTED_IP)) ?? (request.ciaddr === NO_ADDRESS ? undefined : request.ciaddr);
    if (ip === undefined || !this.#leases.isFree(ip, client, pool)) return this.#reply(request, 'NAK', NO_ADDRESS, settings, {});
    const { leaseDuration } = this.#options;
    const hostname = textOf(request.options.get(DhcpOptions.HOSTNAME));
    const { lease, isRenewal } = this.#leases.bind(client, ip, Date.now() + leaseDuration * 1000, hostname);
    this.#options.onLease?.({ type: isRenewal ? 'renewed' : 'bound', lease });
    return this.#reply(request, 'ACK', ip, settings, this.#options);
  }

  #release(request: DhcpPacket, client: Client): void {
    const lease = this.#leases.release(client, request.ciaddr === NO_ADDRESS ? undefined : request.ciaddr);
    if (lease) this.#options.onLease?.({ type: 'released', lease });
  }

  #decline(request: DhcpPacket, client: Client): void {
    const ip = ipOf(request.options.get(DhcpOptionCodes.REQUESTED_IP));
    const until = Date.now() + (this.#options.declineDuration ?? 3600) * 1000;
    if (ip !== undefined && this.#leases.decline(client, ip, until))
      this.#options.onLease?.({ type: 'declined', lease: { ip, mac: client.mac, expiresAt: until } });
  }

  #isForUs(request: DhcpPacket): boolean {
    const named = ipOf(request.options.get(DhcpOptions.SERVER_IDENTIFIER));
    return named === undefined || named === this.#options.serverIdentifier;
  }

  /** A reply and where it goes (RFC 2131 4.1): to the relay agent, to the client's address where it has one, or to everyone, as a client without address cannot be reached otherwise. */
  #reply(request: DhcpPacket, type: ReplyType, yiaddr: string, settings: DhcpSettings, terms: LeaseTerms): Datagram {
    const { xid, mac, giaddr, ciaddr } = request;
    const isRelayed = giaddr !== NO_ADDRESS;
    // A NAK to a relay agent must reach a client that believes in a wrong address.
    const isBroadcast = request.isBroadcast || (isRelayed && type === 'NAK');
    const { leaseDuration, renewalTime, rebindingTime } = terms;
    const options = { ...settings, serverIdentifier: this.#options.serverIdentifier, leaseDuration, renewalTime, rebindingTime };
    const fields = { op: 2, type: DhcpMessageTypes[type], xid, mac, giaddr, yiaddr, isBroadcast, ciaddr: type === 'ACK' ? ciaddr : NO_ADDRESS };
    const data = padded(serializeDhcpMessage(fields, options, request));
    if (isRelayed) return { host: giaddr, port: DHCP_SERVER_PORT, data };
    return { host: type === 'NAK' || ciaddr === NO_ADDRESS ? EVERYONE : ciaddr, port: DHCP_CLIENT_PORT, data };
  }
}

/** Some clients pass over what is shorter than a message of BOOTP (RFC 1542 2.1). */
function padded(data: Uint8Array): Uint8Array {
  if (data.length >= 300) return data;
  const whole = new Uint8Array(300);
  whole.set(data);
  return whole;
}
