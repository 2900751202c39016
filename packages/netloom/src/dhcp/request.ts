/**
 * The messages of a client (RFC 2131 4.4.1, table 5).
 */
import { serializeMacAddress } from '../wire/address.ts';
import { words } from '../wire/bytes.ts';
import { DhcpMessageTypes, DhcpOptionCodes, DhcpOptions } from './constants.ts';
import { serializePacket } from './packet.ts';

/** What a client says. */
export type DhcpRequest = {
  /** A number of `DhcpMessageTypes`. */
  type: number;
  xid: number;
  mac: string;
  /** Since the client began. */
  milliseconds: number;
  /** The client's address, where it has one. */
  ciaddr?: string;
  /** Options of this message alone. */
  options?: Iterable<readonly [number, Uint8Array]>;
  hostname?: string;
  clientId?: Uint8Array;
  vendorClass?: string;
};

const NO_ADDRESS = '0.0.0.0';
const MAX_PACKET_BYTES = 1500;
const REQUESTED = [
  DhcpOptions.SUBNET_MASK,
  // Before the routers, as it stands for them (RFC 3442).
  DhcpOptions.CLASSLESS_ROUTES,
  DhcpOptions.ROUTER,
  DhcpOptions.DNS_SERVERS,
  DhcpOptions.HOSTNAME,
  DhcpOptions.DOMAIN_NAME,
  DhcpOptions.INTERFACE_MTU,
  DhcpOptions.NTP_SERVERS,
  DhcpOptions.LEASE_TIME,
  DhcpOptions.RENEWAL_TIME,
  DhcpOptions.REBINDING_TIME,
  DhcpOptions.DOMAIN_SEARCH,
];

/** The bytes of a client's message. */
export function serializeRequest(request: DhcpRequest): Uint8Array {
  const { type, xid, mac, milliseconds, ciaddr = NO_ADDRESS, options = [], hostname, vendorClass } = request;
  const { clientId = Uint8Array.of(1, ...serializeMacAddress(mac)) } = request;
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const asks = type === DhcpMessageTypes.DISCOVER || type === DhcpMessageTypes.REQUEST;
  const all: (readonly [number, Uint8Array])[] = [[DhcpOptions.MESSAGE_TYPE, Uint8Array.of(type)], [DhcpOptionCodes.CLIENT_ID, clientId], ...options];
  if (asks) {
    all.push([DhcpOptions.MAXIMUM_MESSAGE_SIZE, words(MAX_PACKET_BYTES)], [DhcpOptions.PARAMETER_REQUEST_LIST, Uint8Array.from(REQUESTED)]);
    if (hostname) all.push([DhcpOptions.HOSTNAME, text(hostname)]);
    if (vendorClass) all.push([DhcpOptions.VENDOR_CLASS, text(vendorClass)]);
  }
  const seconds = asks ? Math.min(Math.floor(milliseconds / 1000), 0xffff) : 0;
  // A stack takes no packet for an address that it has not yet, so replies must come to all.
  const isBroadcast = asks && ciaddr === NO_ADDRESS;
  const fields = { op: 1, htype: 1, hlen: 6, yiaddr: NO_ADDRESS, siaddr: NO_ADDRESS, giaddr: NO_ADDRESS };
  return serializePacket({ ...fields, xid, seconds, isBroadcast, ciaddr, mac, options: all });
}
