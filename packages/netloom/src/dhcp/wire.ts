/**
 * Messages as tcpip.js reads and writes them.
 */
import { serializeIPv4Address } from '../wire/address.ts';
import { INFINITE_SECONDS, DhcpMessageTypes, type DhcpMessageType, DhcpOptionCodes, DhcpOptions } from './constants.ts';
import { type DhcpPacket, ipOf, optionBytes, parsePacket, seconds32, serializePacket } from './packet.ts';
import { type DhcpSettings, optionsOf } from './settings.ts';

/** What a server looks at in a client's message. */
export type DhcpMessage = {
  op: number;
  htype: number;
  hlen: number;
  xid: number;
  ciaddr: string;
  yiaddr: string;
  mac: string;
  type?: DhcpMessageType;
  requestedIP?: string;
  serverIdentifier?: string;
};

/** The fields of a server's message; `type` is a number of `DhcpMessageTypes`. */
export type DhcpMessageParams = Partial<Omit<DhcpPacket, 'options'>> & { op: number; xid: number; yiaddr: string; mac: string; type: number };

/** What a server says of itself and of its leases. */
export type DhcpReplyOptions = DhcpSettings & {
  serverIdentifier: string;
  /** Seconds; none where the reply is no lease. */
  leaseDuration?: number;
  /** Seconds after which to renew. Default half of the lease. */
  renewalTime?: number;
  /** Seconds after which any server may be asked. Default 7/8 of the lease. */
  rebindingTime?: number;
};

/**
 * Name of a message type. Throws if it is unknown.
 *
 * @example
 * ```ts
 * import { parseDhcpMessageType } from 'netloom/dhcp';
 *
 * console.log(parseDhcpMessageType(5)); // ACK
 * ```
 */
export function parseDhcpMessageType(type: number): DhcpMessageType {
  for (const name in DhcpMessageTypes) if (DhcpMessageTypes[name as DhcpMessageType] === type) return name as DhcpMessageType;
  throw new Error(`unknown dhcp message type: ${type}`);
}

/**
 * Number of a message type.
 *
 * @example
 * ```ts
 * import { serializeDhcpMessageType } from 'netloom/dhcp';
 *
 * console.log(serializeDhcpMessageType('ACK')); // 5
 * ```
 */
export function serializeDhcpMessageType(type: DhcpMessageType): number {
  return DhcpMessageTypes[type];
}

/** The type of a message, if it has one. Throws if it is unknown. */
export function typeOf(packet: DhcpPacket): DhcpMessageType | undefined {
  const type = packet.options.get(DhcpOptions.MESSAGE_TYPE);
  return type?.length === 1 ? parseDhcpMessageType(type[0]!) : undefined;
}

/**
 * Reads a message. Throws if it is cut off.
 *
 * @example
 * ```ts
 * import { DhcpMessageTypes, parseDhcpMessage, serializeDhcpMessage } from 'netloom/dhcp';
 *
 * const options = { serverIdentifier: '10.0.0.1', leaseDuration: 3600, netmask: '255.255.255.0', router: '10.0.0.1' };
 * const fields = { op: 2, xid: 7, yiaddr: '10.0.0.10', mac: '02:00:00:00:00:01', type: DhcpMessageTypes.ACK };
 * const bytes = serializeDhcpMessage(fields, options);
 * console.log(parseDhcpMessage(bytes).yiaddr); // 10.0.0.10
 * ```
 */
export function parseDhcpMessage(data: Uint8Array): DhcpMessage {
  const packet = parsePacket(data);
  const { op, htype, hlen, xid, ciaddr, yiaddr, mac, options } = packet;
  return {
    op,
    htype,
    hlen,
    xid,
    ciaddr,
    yiaddr,
    mac,
    type: typeOf(packet),
    requestedIP: ipOf(options.get(DhcpOptionCodes.REQUESTED_IP)),
    serverIdentifier: ipOf(options.get(DhcpOptions.SERVER_IDENTIFIER)),
  };
}

const NO_ADDRESS = '0.0.0.0';
// What every client takes (RFC 2132 9.10): 576 bytes of packet, less the headers of IP and UDP.
const MIN_MAXIMUM_BYTES = 548;

/**
 * The bytes of a server's message.
 *
 * @param request what the client asked: its list says which options come first, its limit how many there is room for.
 *
 * @example
 * ```ts
 * import { DhcpMessageTypes, serializeDhcpMessage } from 'netloom/dhcp';
 *
 * const options = { serverIdentifier: '10.0.0.1', leaseDuration: 3600, netmask: '255.255.255.0', router: '10.0.0.1' };
 * const fields = { op: 2, xid: 7, yiaddr: '10.0.0.10', mac: '02:00:00:00:00:01', type: DhcpMessageTypes.ACK };
 * const bytes = serializeDhcpMessage(fields, options);
 * console.log(bytes[242]); // 5
 * ```
 */
export function serializeDhcpMessage(params: DhcpMessageParams, options: DhcpReplyOptions, request?: DhcpPacket): Uint8Array {
  const { type } = params;
  const chosen: [number, Uint8Array][] = [
    [DhcpOptions.MESSAGE_TYPE, Uint8Array.of(type)],
    [DhcpOptions.SERVER_IDENTIFIER, serializeIPv4Address(options.serverIdentifier)],
  ];
  // RFC 6842, RFC 3046 2.2.
  const echoed = [DhcpOptionCodes.CLIENT_ID, DhcpOptions.RELAY_AGENT].flatMap((code): [number, Uint8Array][] => {
    const value = request?.options.get(code);
    return value ? [[code, value]] : [];
  });
  if (type !== DhcpMessageTypes.NAK) {
    chosen.push(...leaseTimes(options));
    const requested = request?.options.get(DhcpOptions.PARAMETER_REQUEST_LIST) ?? new Uint8Array();
    const available = optionsOf(options);
    const first = [...requested].flatMap((code): [number, Uint8Array][] => (available.has(code) ? [[code, available.get(code)!]] : []));
    const limit = roomFor(request) - 240 - 1 - bytesOf([...chosen, ...echoed]);
    let used = 0;
    for (const [code, value] of new Map([...first, ...available])) {
      const bytes = optionBytes(code, value).length;
      if (used + bytes > limit) continue;
      used += bytes;
      chosen.push([code, value]);
    }
  }
  return serializePacket({
    htype: 1,
    hlen: 6,
    seconds: 0,
    isBroadcast: false,
    ciaddr: NO_ADDRESS,
    siaddr: NO_ADDRESS,
    giaddr: NO_ADDRESS,
    ...params,
    options: [...chosen, ...echoed],
  });
}

function leaseTimes({ leaseDuration, renewalTime, rebindingTime }: DhcpReplyOptions): [number, Uint8Array][] {
  if (leaseDuration === undefined) return [];
  const lease = Math.min(Math.floor(leaseDuration), INFINITE_SECONDS);
  // Of a few seconds, whole ones are too coarse: the client takes its defaults.
  const [renewal, rebinding] = lease < 8 ? [renewalTime, rebindingTime] : [renewalTime ?? Math.floor(lease / 2), rebindingTime ?? Math.floor(lease * 0.875)];
  const times: [number, number | undefined][] = [
    [DhcpOptions.LEASE_TIME, lease],
    [DhcpOptions.RENEWAL_TIME, renewal],
    [DhcpOptions.REBINDING_TIME, rebinding],
  ];
  return times.flatMap(([code, seconds]): [number, Uint8Array][] => (seconds === undefined ? [] : [[code, seconds32(seconds)]]));
}

function roomFor(request: DhcpPacket | undefined): number {
  const maximum = request?.options.get(DhcpOptions.MAXIMUM_MESSAGE_SIZE);
  const packetBytes = maximum?.length === 2 ? (maximum[0]! << 8) | maximum[1]! : 0;
  return request ? Math.min(Math.max(packetBytes - 28, MIN_MAXIMUM_BYTES), 1472) : Infinity;
}

function bytesOf(options: readonly [number, Uint8Array][]): number {
  return options.reduce((sum, [code, value]) => sum + optionBytes(code, value).length, 0);
}
