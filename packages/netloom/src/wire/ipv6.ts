/**
 * IPv6 packets (RFC 8200): the fixed header, and UDP where it follows at once. Extension headers stay in the payload.
 */
import { compressIPv6, parseIPv6Address, serializeIPv6Address } from './address.ts';
import { parseUdpDatagram, serializeUdpDatagram, UDP_HEADER_LENGTH, type UdpDatagram } from './udp.ts';
import { transportChecksum, viewOf } from './util.ts';

/** What every packet has; addresses are in their shortest text. */
export type IPv6PacketBase = {
  /** 6 */
  version: number;
  /** 0 to 255 */
  trafficClass: number;
  /** 0 to 1,048,575 */
  flowLabel: number;
  hopLimit: number;
  sourceIP: string;
  destinationIP: string;
};
/** A packet with a UDP datagram. */
export type UdpIPv6Packet = IPv6PacketBase & { protocol: 'udp'; payload: UdpDatagram };
/** The payload is a whole segment: `parseTcpSegment` reads it. */
export type TcpIPv6Packet = IPv6PacketBase & { protocol: 'tcp'; payload: Uint8Array };
/** The payload is a whole message of RFC 4443, with its checksum. */
export type Icmpv6IPv6Packet = IPv6PacketBase & { protocol: 'icmpv6'; payload: Uint8Array };
/** Another next header, by its number. */
export type OtherIPv6Packet = IPv6PacketBase & { protocol: number; payload: Uint8Array };
/** A packet: `protocol` tells what its payload is. */
export type IPv6Packet = UdpIPv6Packet | TcpIPv6Packet | Icmpv6IPv6Packet | OtherIPv6Packet;

/** What a checksum covers beside the bytes that follow it (RFC 8200 8.1). */
export type IPv6PseudoHeader = { sourceIP: string; destinationIP: string; protocol: number; length: number };

/** Bytes of the fixed header. */
export const IPV6_HEADER_LENGTH = 40;

const NUMBERS = { tcp: 6, udp: 17, icmpv6: 58 } as const;

/**
 * Reads a packet; what follows its payload length is padding. Throws if it is short, or UDP's or ICMPv6's checksum is wrong.
 *
 * @example
 * ```ts
 * import { parseIPv6Packet, serializeIPv6Packet } from 'netloom/wire';
 *
 * const bytes = serializeIPv6Packet({
 *   version: 6,
 *   trafficClass: 0,
 *   flowLabel: 0,
 *   hopLimit: 64,
 *   protocol: 'udp',
 *   sourceIP: 'fe80::1',
 *   destinationIP: 'fe80::2',
 *   payload: { sourcePort: 1024, destinationPort: 53, payload: new Uint8Array(4) },
 * });
 * console.log(parseIPv6Packet(bytes).destinationIP); // fe80::2
 * ```
 */
export function parseIPv6Packet(data: Uint8Array): IPv6Packet {
  const view = viewOf(data, IPV6_HEADER_LENGTH, 'ipv6 packet');
  const word = view.getUint32(0);
  if (word >>> 28 !== 6) throw new Error('invalid ipv6 version');
  const length = view.getUint16(4);
  if (IPV6_HEADER_LENGTH + length > data.length) throw new Error('invalid ipv6 payload length');

  const base = {
    version: 6,
    trafficClass: (word >>> 20) & 0xff,
    flowLabel: word & 0xfffff,
    hopLimit: view.getUint8(7),
    sourceIP: compressIPv6(parseIPv6Address(data.subarray(8, 24))),
    destinationIP: compressIPv6(parseIPv6Address(data.subarray(24, 40))),
  };
  const payload = data.subarray(IPV6_HEADER_LENGTH, IPV6_HEADER_LENGTH + length);
  const protocol = view.getUint8(6);
  const pseudoHeader = serializeIPv6PseudoHeader({ ...base, protocol, length });
  switch (protocol) {
    case NUMBERS.tcp:
      return { ...base, protocol: 'tcp', payload };
    case NUMBERS.udp:
      return { ...base, protocol: 'udp', payload: parseUdpDatagram(payload, pseudoHeader) };
    case NUMBERS.icmpv6:
      if (viewOf(payload, 4, 'icmpv6 message').getUint16(2) !== transportChecksum(pseudoHeader, payload, 2)) throw new Error('invalid icmpv6 checksum');
      return { ...base, protocol: 'icmpv6', payload };
    default:
      return { ...base, protocol, payload };
  }
}

/**
 * The bytes of a packet, with UDP's checksum. Throws if a field is none or the payload is longer than 65,535 bytes.
 *
 * @example
 * ```ts
 * import { serializeIPv6Packet } from 'netloom/wire';
 *
 * const bytes = serializeIPv6Packet({
 *   version: 6,
 *   trafficClass: 0,
 *   flowLabel: 0,
 *   hopLimit: 64,
 *   protocol: 'udp',
 *   sourceIP: 'fe80::1',
 *   destinationIP: 'fe80::2',
 *   payload: { sourcePort: 1024, destinationPort: 53, payload: new Uint8Array(4) },
 * });
 * console.log(bytes.length); // 52
 * ```
 */
export function serializeIPv6Packet(packet: IPv6Packet): Uint8Array {
  const payload = serializePayload(packet);
  if (payload.length > 0xffff) throw new Error('ipv6 packet too long');
  const data = new Uint8Array(IPV6_HEADER_LENGTH + payload.length);
  const view = viewOf(data, IPV6_HEADER_LENGTH, 'ipv6 packet');
  view.setUint32(0, (6 << 28) | (packet.trafficClass << 20) | packet.flowLabel);
  view.setUint16(4, payload.length);
  view.setUint8(6, typeof packet.protocol === 'number' ? packet.protocol : NUMBERS[packet.protocol]);
  view.setUint8(7, packet.hopLimit);
  data.set(serializeIPv6Address(packet.sourceIP), 8);
  data.set(serializeIPv6Address(packet.destinationIP), 24);
  data.set(payload, IPV6_HEADER_LENGTH);
  return data;
}

function serializePayload(packet: IPv6Packet): Uint8Array {
  if (packet.protocol !== 'udp') return packet.payload;
  const { sourceIP, destinationIP, payload } = packet;
  const length = UDP_HEADER_LENGTH + payload.payload.length;
  return serializeUdpDatagram(payload, serializeIPv6PseudoHeader({ sourceIP, destinationIP, protocol: NUMBERS.udp, length }));
}

/**
 * The forty bytes of a pseudo-header.
 *
 * @example
 * ```ts
 * import { serializeIPv6PseudoHeader } from 'netloom/wire';
 *
 * const bytes = serializeIPv6PseudoHeader({ sourceIP: 'fe80::1', destinationIP: 'fe80::2', protocol: 58, length: 8 });
 * console.log(bytes[39]); // 58
 * ```
 */
export function serializeIPv6PseudoHeader(pseudoHeader: IPv6PseudoHeader): Uint8Array {
  const data = new Uint8Array(40);
  data.set(serializeIPv6Address(pseudoHeader.sourceIP), 0);
  data.set(serializeIPv6Address(pseudoHeader.destinationIP), 16);
  viewOf(data, 40, 'pseudo-header').setUint32(32, pseudoHeader.length);
  data[39] = pseudoHeader.protocol;
  return data;
}
