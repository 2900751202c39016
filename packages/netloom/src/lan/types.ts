/**
 * What a LAN of the page is told and tells: ports for NICs and uplinks, flows of guests, DNS queries.
 */
import type { WasmSource } from '../engine/module.ts';
import type { SocketOptions, StreamConnection } from '../transport/types.ts';

/** How the LAN's DHCP server leases (RFC 2131). */
export type LanDhcpOptions = {
  /** First address of the pool. Default: the hundredth of the network, such as 192.168.86.100. */
  first?: string;
  /** Last address of the pool. Default: the last of the network. */
  last?: string;
  /** Seconds that a lease lasts, 60 or more. Default 86,400. */
  lease?: number;
  /** Domain that guests are told (option 15), empty for none. Default that of the DNS server. */
  domain?: string;
  /** Name servers that guests are told instead of the gateway (option 6); an empty list tells none. Default: the gateway, if the LAN serves DNS. */
  nameServers?: readonly string[];
  /** Addresses by MAC address that nobody else gets. */
  fixed?: Readonly<Record<string, string>>;
};

/** What the LAN's DNS server answers itself. All else is asked by `onQuery`. */
export type LanDnsOptions = {
  /** The domain of guests' names: `lan` makes `web.lan` of the guest that leased as `web`. Default `lan`. */
  domain?: string;
  /** Addresses of fixed names, by name without trailing dot. */
  records?: Readonly<Record<string, readonly string[]>>;
  /** Answers every other name with this IPv4 address, and has none of any other type: for egresses that are told names, as HTTP is. Default: asks. */
  wildcard?: string;
  /** Whether queries to every address are answered, from that address, and not only those to the gateway. Default true. */
  everywhere?: boolean;
  /** Milliseconds that `answer` may take until the guest gets SERVFAIL, 100 or more. Default 5,000. */
  timeout?: number;
};

/** What a LAN is. */
export type LanOptions = {
  /** The gateway's address with its network. Default `192.168.86.1/24`. `false`: the LAN is a switch alone, and says nothing of its own. */
  ip?: string | false;
  /** The gateway's MAC address. Default `52:54:00:01:02:03`. */
  mac?: string;
  /** Whether guests reach the outside through the gateway: without, they reach each other and the services alone. Default true. */
  gateway?: boolean;
  /** Bytes of a packet that guests are told is the most (DHCP option 26), 68 to 65,535; on ports of a smaller MTU, theirs. Default 1,500. */
  mtu?: number;
  /** The DHCP server; `false` is none. */
  dhcp?: LanDhcpOptions | false;
  /** The DNS server; `false` is none. */
  dns?: LanDnsOptions | false;
  /** Whether NTP requests to every address are answered with the page's time (RFC 5905). Default true. */
  ntp?: boolean;
  /** Ports on which the gateway echoes datagrams (RFC 862). Default 7, and 8 as v86 does. */
  echoPorts?: readonly number[];
  /** Whether the gateway answers echo requests to every address, as a page must, which has no ICMP. Otherwise each `ping` is a flow. Default true. */
  answerPings?: boolean;
  /** The network of IPv6, a /64 with the gateway's address, such as `fd00:86::1/64`. Default: the LAN says nothing of IPv6, and only carries it. */
  ipv6?: string;
  /** Milliseconds that a flow may wait for `accept` or `refuse`, 100 or more. Default 30,000. */
  dialTimeout?: number;
  /** Milliseconds until a silent flow of datagrams ends, 1,000 or more. Default 60,000. */
  datagramIdle?: number;
  /** Flows that one guest may have, 1 or more. Default 4,096. */
  flowsPerGuest?: number;
  /** Bytes that all flows may hold together, both ways, 65,536 or more. Default 64 MiB, taken as needed. */
  bufferSize?: number;
  /** The WebAssembly module. Default: the one inside the package. */
  wasm?: WasmSource;
};

/** What a port of a LAN is. */
export type PortOptions = {
  /** Bytes of the largest packet that is sent to the port, 68 to 65,535. Default 1,500. */
  mtu?: number;
  /** Full frames that TCP sends in one go before the guest answers, for NICs with a small ring: 8 for the ne2k. Default: no limit. */
  burst?: number;
  /** How many MAC addresses may be behind the port. Default 1,024, which suits uplinks. */
  macs?: number;
  /** Whether multicast goes to the port in frames to the one guest behind it, for NICs that receive none, as the ne2k (RFC 6085). Default false. */
  multicastToUnicast?: boolean;
  /** Whether the port is kept from every other guest, and reaches the gateway alone. Default false. */
  isolated?: boolean;
  /** Bytes of frames that may wait for the port, 65,549 or more; what comes on top is dropped. Default 1 MiB. */
  queueSize?: number;
  /** MAC address by which the LAN knows the guest; see `Port.translate`. Default: its own. */
  translate?: string;
};

/** Where a NIC or an uplink meets a LAN's switch. */
export interface Port {
  /** Its number, which guests of the LAN tell. Numbers of closed ports are used again. */
  readonly number: number;
  /** A frame from the NIC, without FCS; copied before the call returns. It never throws: what is no frame is counted and dropped. */
  send(frame: Uint8Array): void;
  /**
   * Has the guest known to the LAN by another MAC address than the one that it believes in, which is learnt from what it sends: clones of one saved
   * state are told apart so. Ethernet, ARP, neighbour discovery, DHCP and DHCPv6 are rewritten, checksums included. `undefined` ends that. A port
   * with several MAC addresses behind it has only the latest one rewritten.
   *
   * @throws NetworkError `EINVAL` if it is no MAC address
   */
  translate(outer: string | undefined): void;
  /** Frames and bytes each way, as counted by the LAN: received ones come from the NIC. */
  stats(): { framesReceived: number; bytesReceived: number; framesSent: number; bytesSent: number };
  /** Unplugs: its guests' flows end, and their addresses are forgotten. A second close does nothing. */
  close(): void;
}

/** Takes what a port sends: a frame without FCS, valid during the call alone. */
export type FrameReceiver = (frame: Uint8Array) => void;

/** One end of a flow. */
export type Endpoint = {
  /** IPv4 in dotted decimal, or IPv6. */
  readonly address: string;
  /** TCP or UDP port; of a ping the identifier at its source, and 0. */
  readonly port: number;
};

/** Who a guest is on a LAN: its MAC address, and the number of its port. */
export type GuestId = { readonly mac: string; readonly port: number };

/** What is known of a guest, from its traffic and its lease. */
export type LanGuest = GuestId & {
  /** Its addresses, those of IPv4 first. */
  readonly addresses: readonly string[];
  /** The name that it leased with, without domain. */
  readonly name?: string;
};

/**
 * Why a flow is refused. `refused` is RST or ICMP port unreachable, `unreachable` ICMP host unreachable, `denied` RST or ICMP administratively
 * prohibited, and `timeout` silence, so that the guest gives up as it would without us.
 */
export type RefusalReason = 'refused' | 'unreachable' | 'timeout' | 'denied';

/** What answers for flows inside of the module, such as its Wisp client. */
export interface Egress {
  /** Takes a flow of the LAN over, by its id in the module. @internal */
  takeFlow(index: number, generation: number): void;
}

type AnyFlow = {
  /** The guest's end. */
  readonly source: Endpoint;
  /** The end that the guest dialled. */
  readonly destination: Endpoint;
  /** The guest. */
  readonly guest: GuestId;
  /** Aborts when the guest gives up before it was answered, or the dial timeout is over; what is done with the flow after that has no effect. */
  readonly signal: AbortSignal;
  /** Refuses the flow. Once it was accepted, it has no effect: reset the connection. */
  refuse(why: RefusalReason): void;
  /** Leaves the flow to an egress of the module, which answers it as its own outside answers. */
  relay(egress: Egress): void;
};

/** A TCP connection that a guest opens. */
export type TcpFlow = AnyFlow & {
  readonly protocol: 'tcp';
  /** Answers the guest, since the target has answered; the guest's connection, whose local end is the dialled one. @throws NetworkError `ECONNABORTED` if the guest has given up */
  accept(options?: SocketOptions): StreamConnection;
  /** As `accept`, before it is known whether there is a target, because the guest's first bytes are needed to choose it. */
  acceptEarly(options?: SocketOptions): StreamConnection;
};

/** Datagrams of a guest to one target, from its first one on. */
export type DatagramFlow = AnyFlow & {
  /** `ping` is ICMP echo: each datagram is the sequence number, in two bytes, and the payload; what is sent is the reply. */
  readonly protocol: 'udp' | 'ping';
  /** Takes the datagrams, each valid during the call alone; those that have arrived already follow in the next turn. */
  accept(receive: (datagram: Uint8Array) => void): DatagramChannel;
};

/** The accepted end of a flow of datagrams. */
export interface DatagramChannel {
  /** Sends a datagram to the guest, from the address that it dialled. False if it was dropped, because it is longer than a packet or the channel is closed. */
  send(datagram: Uint8Array): boolean;
  /** Ends the flow; the next datagram of the guest opens another one. */
  close(): void;
  /** Resolves when the flow has ended: closed, silent, or the guest's port closed. */
  readonly closed: Promise<void>;
}

/** What a guest opens toward the outside. */
export type Flow = TcpFlow | DatagramFlow;

/** A DNS query that the LAN does not answer itself. */
export type Query = {
  /** For `Lan.answer`. */
  readonly id: number;
  /** The query as the guest sent it (RFC 1035 4.1), a copy. */
  readonly message: Uint8Array;
  /** Who asks. */
  readonly guest: GuestId;
};

/** Where `Lan.connect` goes to. */
export type LanConnectOptions = SocketOptions & {
  /** Milliseconds until an unanswered connect fails with `ETIMEDOUT`. Default: what TCP's retransmissions take. */
  timeout?: number;
  /** Gives up the connect; after that it has no effect. */
  signal?: AbortSignal;
};

/** What a LAN has done and holds. */
export type LanStats = {
  /** Flows that are open. */
  flows: number;
  /** Bytes of WebAssembly memory. */
  memoryBytes: number;
  /** What was dropped, by reason; reasons that did not occur are left out. */
  drops: Record<string, number>;
};

/** One LAN of the page: a switch, and a gateway with its services. */
export interface Lan extends AsyncDisposable {
  /** The gateway's address; empty if the LAN is a switch alone. */
  readonly address: string;
  /** Called with each flow that a guest opens, to the gateway's own address too; without it, or if it throws, flows are refused. It runs in the LAN's turn, never inside `send`. */
  onFlow: ((flow: Flow) => void) | undefined;
  /** Called with each DNS query for the outside, which `answer` answers; without it they get SERVFAIL. */
  onQuery: ((query: Query) => void) | undefined;
  /** Called when the guests, or what is known of them, may have changed. */
  onGuests: (() => void) | undefined;
  /** Opens a port. `receive` is called with each frame that it sends, in the LAN's turn, or inside `send` with what answers the frame at once; a receiver that throws is an uncaught error, and no fault of the LAN. @throws NetworkError `EINVAL` */
  openPort(options: PortOptions, receive: FrameReceiver): Port;
  /** Answers a query: a DNS message, or `undefined` if there is none (the guest gets SERVFAIL). Late and repeated answers have no effect. */
  answer(id: number, message: Uint8Array | undefined): void;
  /**
   * Opens a connection from the gateway to a guest (RFC 9293 3.10.1).
   *
   * @param host its address, or the name of its lease
   * @throws NetworkError `ECONNREFUSED`, `ETIMEDOUT`, `EHOSTUNREACH` if nobody has the address, `ENOTFOUND` if no guest has the name, `ENETUNREACH`
   *   if it is not of the LAN, `EINVAL`; the signal's reason if it aborts
   */
  connect(host: string, port: number, options?: LanConnectOptions): Promise<StreamConnection>;
  /** The guests that the LAN knows. */
  guests(): LanGuest[];
  /** What it has done and holds. */
  stats(): LanStats;
  /** Ends the LAN: ports close, connections break off. A second close does nothing. */
  close(): Promise<void>;
}
