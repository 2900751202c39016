/**
 * The Internet checksum (RFC 1071), and numbers from text that are strict about what they take.
 */

/**
 * The Internet checksum (RFC 1071) over `data`.
 *
 * @param checksumOffset where the checksum itself stands, two bytes that count as zero.
 *
 * @example
 * ```ts
 * import { calculateChecksum } from 'netloom/wire';
 *
 * console.log(calculateChecksum(Uint8Array.of(1, 2, 3, 4)).toString(16)); // fbf9
 * ```
 */
export function calculateChecksum(data: Uint8Array, checksumOffset?: number): number {
  let sum = 0;
  for (let i = 0; i < data.length; i += 2) {
    if (i === checksumOffset) continue;
    sum += (data[i]! << 8) | (data[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** The Internet checksum over a pseudo-header and the bytes that follow it; the checksum itself stands at `checksumOffset` of these. */
export function transportChecksum(pseudoHeader: Uint8Array, data: Uint8Array, checksumOffset: number): number {
  const covered = new Uint8Array(pseudoHeader.length + data.length);
  covered.set(pseudoHeader);
  covered.set(data, pseudoHeader.length);
  return calculateChecksum(covered, pseudoHeader.length + checksumOffset);
}

/**
 * A string of decimal digits as a number. Throws on anything else.
 *
 * @example
 * ```ts
 * import { parseUint } from 'netloom/wire';
 *
 * console.log(parseUint('443')); // 443
 * ```
 */
export function parseUint(text: string): number {
  if (text === '') throw new Error('empty string');
  if (!/^[0-9]+$/.test(text)) throw new Error('invalid character');
  return Number(text);
}

/**
 * A string of hexadecimal digits as a number, 0 for none. Throws on anything else.
 *
 * @example
 * ```ts
 * import { parseHex } from 'netloom/wire';
 *
 * console.log(parseHex('ff')); // 255
 * ```
 */
export function parseHex(text: string): number {
  if (!/^[0-9a-f]*$/i.test(text)) throw new Error('invalid hex character');
  return text === '' ? 0 : parseInt(text, 16);
}

/** A view of exactly these bytes, of which `minimum` must be there. Throws if they are not. */
export function viewOf(data: Uint8Array, minimum: number, what: string): DataView {
  if (data.length < minimum) throw new Error(`${what} too short: ${data.length} of ${minimum} bytes`);
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}
