/**
 * TCP segments (RFC 9293 3.1).
 */
import { transportChecksum, viewOf } from './util.ts';

/** The flags of a header. */
export type TcpFlags = { fin: boolean; syn: boolean; rst: boolean; psh: boolean; ack: boolean; urg: boolean; ece: boolean; cwr: boolean };

/** An option: its kind and the bytes after its length. NOP (1) and the end of the list (0) have none and are left out. */
export type TcpOption = { kind: number; data: Uint8Array };

/** A TCP segment. */
export type TcpSegment = {
  sourcePort: number;
  destinationPort: number;
  /** 0 to 4,294,967,295, as `acknowledgmentNumber`. */
  sequenceNumber: number;
  acknowledgmentNumber: number;
  flags: TcpFlags;
  /** As in the header, not scaled. */
  window: number;
  urgentPointer: number;
  options: TcpOption[];
  payload: Uint8Array;
};

/** Bytes of a header without options. */
export const TCP_HEADER_LENGTH = 20;

const FLAGS = ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ece', 'cwr'] as const;

/**
 * Reads a segment. Throws if it is short or its checksum is wrong.
 *
 * @param pseudoHeader bytes of the pseudo-header; without it the checksum is not verified.
 *
 * @example
 * ```ts
 * import { parseTcpSegment, serializeTcpSegment } from 'netloom/wire';
 *
 * const flags = { fin: false, syn: true, rst: false, psh: false, ack: false, urg: false, ece: false, cwr: false };
 * const bytes = serializeTcpSegment({
 *   sourcePort: 1024,
 *   destinationPort: 80,
 *   sequenceNumber: 1,
 *   acknowledgmentNumber: 0,
 *   flags,
 *   window: 65535,
 *   urgentPointer: 0,
 *   options: [{ kind: 2, data: Uint8Array.of(5, 180) }],
 *   payload: new Uint8Array(),
 * });
 * console.log(parseTcpSegment(bytes).flags.syn); // true
 * ```
 */
export function parseTcpSegment(data: Uint8Array, pseudoHeader?: Uint8Array): TcpSegment {
  const view = viewOf(data, TCP_HEADER_LENGTH, 'tcp segment');
  const headerLength = (view.getUint8(12) >> 4) * 4;
  if (headerLength < TCP_HEADER_LENGTH || headerLength > data.length) throw new Error('invalid tcp header length');
  if (pseudoHeader && transportChecksum(pseudoHeader, data, 16) !== view.getUint16(16)) throw new Error('invalid tcp checksum');
  const flags = view.getUint8(13);
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    sequenceNumber: view.getUint32(4),
    acknowledgmentNumber: view.getUint32(8),
    flags: Object.fromEntries(FLAGS.map((name, bit) => [name, (flags & (1 << bit)) !== 0])) as TcpFlags,
    window: view.getUint16(14),
    urgentPointer: view.getUint16(18),
    options: parseTcpOptions(data.subarray(TCP_HEADER_LENGTH, headerLength)),
    payload: data.subarray(headerLength),
  };
}

function parseTcpOptions(data: Uint8Array): TcpOption[] {
  const options = [];
  for (let i = 0; i < data.length && data[i] !== 0; ) {
    const kind = data[i]!;
    const length = kind === 1 ? 1 : (data[i + 1] ?? 0);
    if (kind !== 1) {
      if (length < 2 || i + length > data.length) throw new Error('invalid tcp option');
      options.push({ kind, data: data.subarray(i + 2, i + length) });
    }
    i += length;
  }
  return options;
}

/**
 * The bytes of a segment; its options are padded to a whole word. Throws if they take more than 40 bytes.
 *
 * @param pseudoHeader bytes of the pseudo-header; without it the checksum is 0.
 *
 * @example
 * ```ts
 * import { serializeTcpSegment } from 'netloom/wire';
 *
 * const flags = { fin: false, syn: true, rst: false, psh: false, ack: false, urg: false, ece: false, cwr: false };
 * const bytes = serializeTcpSegment({
 *   sourcePort: 1024,
 *   destinationPort: 80,
 *   sequenceNumber: 1,
 *   acknowledgmentNumber: 0,
 *   flags,
 *   window: 65535,
 *   urgentPointer: 0,
 *   options: [{ kind: 2, data: Uint8Array.of(5, 180) }],
 *   payload: new Uint8Array(),
 * });
 * console.log(bytes.length); // 24
 * ```
 */
export function serializeTcpSegment(segment: TcpSegment, pseudoHeader?: Uint8Array): Uint8Array {
  const optionsLength = segment.options.reduce((sum, option) => sum + 2 + option.data.length, 0);
  const headerLength = TCP_HEADER_LENGTH + Math.ceil(optionsLength / 4) * 4;
  if (headerLength > 60) throw new Error('tcp options too long');
  const data = new Uint8Array(headerLength + segment.payload.length);
  const view = viewOf(data, TCP_HEADER_LENGTH, 'tcp segment');
  view.setUint16(0, segment.sourcePort);
  view.setUint16(2, segment.destinationPort);
  view.setUint32(4, segment.sequenceNumber);
  view.setUint32(8, segment.acknowledgmentNumber);
  view.setUint8(12, (headerLength / 4) << 4);
  view.setUint8(
    13,
    FLAGS.reduce((bits, name, bit) => bits | (segment.flags[name] ? 1 << bit : 0), 0),
  );
  view.setUint16(14, segment.window);
  view.setUint16(18, segment.urgentPointer);
  let offset = TCP_HEADER_LENGTH;
  for (const option of segment.options) {
    data.set([option.kind, 2 + option.data.length], offset);
    data.set(option.data, offset + 2);
    offset += 2 + option.data.length;
  }
  data.set(segment.payload, headerLength);
  if (pseudoHeader) view.setUint16(16, transportChecksum(pseudoHeader, data, 16));
  return data;
}
