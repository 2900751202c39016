/**
 * UDP datagrams (RFC 768).
 */
import { type IPv4PseudoHeader, serializeIPv4PseudoHeader } from './ipv4.ts';
import { transportChecksum, viewOf } from './util.ts';

/** A UDP datagram. */
export type UdpDatagram = { sourcePort: number; destinationPort: number; payload: Uint8Array };

/** Bytes of the header. */
export const UDP_HEADER_LENGTH = 8;

/**
 * Reads a datagram. Throws if it is short, or its checksum is there and wrong.
 *
 * @param pseudoHeader bytes of the pseudo-header; without it the checksum is not verified.
 *
 * @example
 * ```ts
 * import { parseUdpDatagram, serializeUdpDatagram } from 'netloom/wire';
 *
 * const bytes = serializeUdpDatagram({ sourcePort: 1024, destinationPort: 53, payload: new Uint8Array(4) });
 * console.log(parseUdpDatagram(bytes).destinationPort); // 53
 * ```
 */
export function parseUdpDatagram(data: Uint8Array, pseudoHeader?: Uint8Array): UdpDatagram {
  const view = viewOf(data, UDP_HEADER_LENGTH, 'udp datagram');
  if (view.getUint16(4) !== data.length) throw new Error('invalid udp length');
  const checksum = view.getUint16(6);
  if (pseudoHeader && checksum !== 0 && checksumOf(data, pseudoHeader) !== checksum) throw new Error('invalid udp checksum');
  return { sourcePort: view.getUint16(0), destinationPort: view.getUint16(2), payload: data.subarray(UDP_HEADER_LENGTH) };
}

/**
 * The bytes of a datagram. Throws if it is longer than 65,535 bytes.
 *
 * @param pseudoHeader IPv4's pseudo-header, or the bytes of either version's; without it the checksum is 0, which says that there is none.
 *
 * @example
 * ```ts
 * import { serializeUdpDatagram } from 'netloom/wire';
 *
 * const bytes = serializeUdpDatagram({ sourcePort: 1024, destinationPort: 53, payload: new Uint8Array(4) });
 * console.log(bytes.length); // 12
 * ```
 */
export function serializeUdpDatagram(datagram: UdpDatagram, pseudoHeader?: IPv4PseudoHeader | Uint8Array): Uint8Array {
  const length = UDP_HEADER_LENGTH + datagram.payload.length;
  if (length > 0xffff) throw new Error('udp datagram too long');
  const data = new Uint8Array(length);
  const view = viewOf(data, UDP_HEADER_LENGTH, 'udp datagram');
  view.setUint16(0, datagram.sourcePort);
  view.setUint16(2, datagram.destinationPort);
  view.setUint16(4, length);
  data.set(datagram.payload, UDP_HEADER_LENGTH);
  if (pseudoHeader) view.setUint16(6, checksumOf(data, pseudoHeader instanceof Uint8Array ? pseudoHeader : serializeIPv4PseudoHeader(pseudoHeader)));
  return data;
}

// 0 would say that there is no checksum.
function checksumOf(data: Uint8Array, pseudoHeader: Uint8Array): number {
  return transportChecksum(pseudoHeader, data, 6) || 0xffff;
}
