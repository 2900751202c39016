/**
 * IPv4 packets (RFC 791) and the pseudo-header of what they carry (RFC 768, RFC 9293 3.1).
 */
import { type IPv4Address, parseIPv4Address, serializeIPv4Address } from './address.ts';
import { codes } from './codes.ts';
import { type IcmpMessage, parseIcmpMessage, serializeIcmpMessage } from './icmp.ts';
import { parseUdpDatagram, serializeUdpDatagram, UDP_HEADER_LENGTH, type UdpDatagram } from './udp.ts';
import { calculateChecksum, viewOf } from './util.ts';

/** What every packet has. */
export type IPv4PacketBase = {
  /** 4 */
  version: number;
  /** 0 to 63 */
  dscp: number;
  /** 0 to 3 */
  ecn: number;
  identification: number;
  /** Three bits: reserved, DF (2), MF (1). */
  flags: number;
  /** Units of eight bytes. */
  fragmentOffset: number;
  ttl: number;
  sourceIP: IPv4Address;
  destinationIP: IPv4Address;
};
/** A packet with an ICMP message. */
export type IcmpIPv4Packet = IPv4PacketBase & { protocol: 'icmp'; payload: IcmpMessage };
/** The payload is a whole segment: `parseTcpSegment` reads it. */
export type TcpIPv4Packet = IPv4PacketBase & { protocol: 'tcp'; payload: Uint8Array };
/** A packet with a UDP datagram. */
export type UdpIPv4Packet = IPv4PacketBase & { protocol: 'udp'; payload: UdpDatagram };
/** Another protocol, by its number; also every fragment, whose payload means nothing by itself. */
export type OtherIPv4Packet = IPv4PacketBase & { protocol: number; payload: Uint8Array };
/** A packet: `protocol` tells what its payload is. */
export type IPv4Packet = IcmpIPv4Packet | TcpIPv4Packet | UdpIPv4Packet | OtherIPv4Packet;
/** Protocols that have names here. */
export type IPv4Protocol = 'icmp' | 'tcp' | 'udp';

/** What a checksum covers beside the bytes that follow it. */
export type IPv4PseudoHeader = {
  sourceIP: IPv4Address;
  destinationIP: IPv4Address;
  protocol: IPv4Protocol;
  /** Bytes of header and payload of what the packet carries. */
  length: number;
};

/** Bytes of a header without options. */
export const IPV4_HEADER_LENGTH = 20;

const protocols = codes('ipv4 protocol', { icmp: 1, tcp: 6, udp: 17 });

/**
 * Reads a packet; what follows its total length is padding. Throws if it is short or a checksum is wrong.
 *
 * @example
 * ```ts
 * import { parseIPv4Packet, serializeIPv4Packet } from 'netloom/wire';
 *
 * const bytes = serializeIPv4Packet({
 *   version: 4,
 *   dscp: 0,
 *   ecn: 0,
 *   identification: 0,
 *   flags: 0,
 *   fragmentOffset: 0,
 *   ttl: 64,
 *   protocol: 'udp',
 *   sourceIP: '10.0.0.1',
 *   destinationIP: '10.0.0.2',
 *   payload: { sourcePort: 1024, destinationPort: 53, payload: new Uint8Array(4) },
 * });
 * console.log(parseIPv4Packet(bytes).destinationIP); // 10.0.0.2
 * ```
 */
export function parseIPv4Packet(data: Uint8Array): IPv4Packet {
  const view = viewOf(data, IPV4_HEADER_LENGTH, 'ipv4 packet');
  const version = view.getUint8(0) >> 4;
  const headerLength = (view.getUint8(0) & 0xf) * 4;
  if (version !== 4) throw new Error('invalid ipv4 version');
  if (headerLength < IPV4_HEADER_LENGTH || headerLength > data.length) throw new Error('invalid ipv4 header length');
  if (calculateChecksum(data.subarray(0, headerLength), 10) !== view.getUint16(10)) throw new Error('invalid ipv4 checksum');
  const totalLength = view.getUint16(2);
  if (totalLength < headerLength || totalLength > data.length) throw new Error('invalid ipv4 total length');

  const base = {
    version,
    dscp: view.getUint8(1) >> 2,
    ecn: view.getUint8(1) & 0x3,
    identification: view.getUint16(4),
    flags: view.getUint8(6) >> 5,
    fragmentOffset: view.getUint16(6) & 0x1fff,
    ttl: view.getUint8(8),
    sourceIP: parseIPv4Address(data.subarray(12, 16)),
    destinationIP: parseIPv4Address(data.subarray(16, 20)),
  };
  const payload = data.subarray(headerLength, totalLength);
  const protocol = view.getUint8(9);
  if ((base.flags & 1) !== 0 || base.fragmentOffset !== 0) return { ...base, protocol, payload };
  switch (protocol) {
    case 1:
      return { ...base, protocol: 'icmp', payload: parseIcmpMessage(payload) };
    case 6:
      return { ...base, protocol: 'tcp', payload };
    case 17: {
      const { sourceIP, destinationIP } = base;
      const pseudoHeader = serializeIPv4PseudoHeader({ sourceIP, destinationIP, protocol: 'udp', length: payload.length });
      return { ...base, protocol: 'udp', payload: parseUdpDatagram(payload, pseudoHeader) };
    }
    default:
      return { ...base, protocol, payload };
  }
}

/**
 * The bytes of a packet without options, with its checksums. Throws if a field is none or the packet is longer than 65,535 bytes.
 *
 * @example
 * ```ts
 * import { serializeIPv4Packet } from 'netloom/wire';
 *
 * const bytes = serializeIPv4Packet({
 *   version: 4,
 *   dscp: 0,
 *   ecn: 0,
 *   identification: 0,
 *   flags: 0,
 *   fragmentOffset: 0,
 *   ttl: 64,
 *   protocol: 'udp',
 *   sourceIP: '10.0.0.1',
 *   destinationIP: '10.0.0.2',
 *   payload: { sourcePort: 1024, destinationPort: 53, payload: new Uint8Array(4) },
 * });
 * console.log(bytes.length); // 32
 * ```
 */
export function serializeIPv4Packet(packet: IPv4Packet): Uint8Array {
  const payload = serializePayload(packet);
  const totalLength = IPV4_HEADER_LENGTH + payload.length;
  if (totalLength > 0xffff) throw new Error('ipv4 packet too long');
  const data = new Uint8Array(totalLength);
  const view = viewOf(data, IPV4_HEADER_LENGTH, 'ipv4 packet');
  view.setUint8(0, (packet.version << 4) | (IPV4_HEADER_LENGTH / 4));
  view.setUint8(1, (packet.dscp << 2) | packet.ecn);
  view.setUint16(2, totalLength);
  view.setUint16(4, packet.identification);
  view.setUint16(6, (packet.flags << 13) | packet.fragmentOffset);
  view.setUint8(8, packet.ttl);
  view.setUint8(9, typeof packet.protocol === 'number' ? packet.protocol : serializeIPv4Protocol(packet.protocol));
  data.set(serializeIPv4Address(packet.sourceIP), 12);
  data.set(serializeIPv4Address(packet.destinationIP), 16);
  view.setUint16(10, calculateChecksum(data.subarray(0, IPV4_HEADER_LENGTH), 10));
  data.set(payload, IPV4_HEADER_LENGTH);
  return data;
}

function serializePayload(packet: IPv4Packet): Uint8Array {
  switch (packet.protocol) {
    case 'icmp':
      return serializeIcmpMessage(packet.payload);
    case 'udp': {
      const { sourceIP, destinationIP, protocol, payload } = packet;
      return serializeUdpDatagram(payload, { sourceIP, destinationIP, protocol, length: UDP_HEADER_LENGTH + payload.payload.length });
    }
    default:
      return packet.payload;
  }
}

/**
 * Name of a protocol. Throws if it is unknown.
 *
 * @example
 * ```ts
 * import { parseIPv4Protocol } from 'netloom/wire';
 *
 * console.log(parseIPv4Protocol(17)); // udp
 * ```
 */
export function parseIPv4Protocol(protocol: number): IPv4Protocol {
  return protocols.parse(protocol);
}

/**
 * Number of a protocol. Throws if it is unknown.
 *
 * @example
 * ```ts
 * import { serializeIPv4Protocol } from 'netloom/wire';
 *
 * console.log(serializeIPv4Protocol('tcp')); // 6
 * ```
 */
export function serializeIPv4Protocol(protocol: IPv4Protocol): number {
  return protocols.serialize(protocol);
}

/**
 * The twelve bytes of a pseudo-header.
 *
 * @example
 * ```ts
 * import { serializeIPv4PseudoHeader } from 'netloom/wire';
 *
 * const bytes = serializeIPv4PseudoHeader({ sourceIP: '10.0.0.1', destinationIP: '10.0.0.2', protocol: 'tcp', length: 20 });
 * console.log(bytes[9], bytes[11]); // 6 20
 * ```
 */
export function serializeIPv4PseudoHeader(pseudoHeader: IPv4PseudoHeader): Uint8Array {
  const data = new Uint8Array(12);
  data.set(serializeIPv4Address(pseudoHeader.sourceIP), 0);
  data.set(serializeIPv4Address(pseudoHeader.destinationIP), 4);
  data[9] = serializeIPv4Protocol(pseudoHeader.protocol);
  viewOf(data, 12, 'pseudo-header').setUint16(10, pseudoHeader.length);
  return data;
}
