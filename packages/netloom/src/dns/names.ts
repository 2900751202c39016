/**
 * Domain names on the wire (RFC 1035 3.1, 4.1.4) and those of addresses (RFC 1035 3.5, RFC 3596 2.5).
 */
import { compressIPv6, expandIPv6, serializeIPv4Address } from '../wire/address.ts';

/** An address that a name under `arpa` stands for. */
export type PtrIP = { type: 'ipv4'; ip: string } | { type: 'ipv6'; ip: string };

/**
 * Reads a name, compressed or not, and says where what follows it begins. Throws if it is cut off, too long or a pointer leads forward.
 *
 * @example
 * ```ts
 * import { parseName, serializeName } from 'netloom/dns';
 *
 * console.log(parseName(serializeName('www.example.com'), 0)[0]); // www.example.com
 * ```
 */
export function parseName(data: Uint8Array, offset: number): [name: string, offset: number] {
  const labels: string[] = [];
  let end: number | undefined;
  // Every pointer must lead before the bytes read last, so that no chain of them has a loop.
  let limit = offset;
  let length = 1;
  for (let at = offset; ; ) {
    const size = data[at++];
    if (size === 0) return [labels.join('.'), end ?? at];
    if (size === undefined || (size < 64 ? at + size : at) > data.length) throw new Error('truncated dns name');
    if (size >= 0xc0) {
      end ??= at + 1;
      at = ((size & 63) << 8) | (data[at] ?? 0xff);
      if (at >= limit) throw new Error('invalid dns name pointer');
      limit = at;
      continue;
    }
    length += size + 1;
    if (size > 63 || length > 255) throw new Error('invalid dns name');
    let label = '';
    for (const byte of data.subarray(at, at + size)) {
      const char = String.fromCharCode(byte);
      label += byte < 0x21 || byte > 0x7e ? `\\${String(byte).padStart(3, '0')}` : char === '.' || char === '\\' ? `\\${char}` : char;
    }
    labels.push(label);
    at += size;
  }
}

/**
 * The bytes of a name, not compressed; a final dot makes no difference. Throws if a label is empty or longer than 63 bytes, or the name than 255.
 *
 * @example
 * ```ts
 * import { serializeName } from 'netloom/dns';
 *
 * console.log(serializeName('www')); // 3, 119, 119, 119, 0
 * ```
 */
export function serializeName(name: string): Uint8Array {
  const bytes: number[] = [];
  let label: number[] = [];
  const end = (): void => {
    if (label.length === 0 || label.length > 63) throw new Error(`invalid dns name: ${name}`);
    bytes.push(label.length, ...label);
    label = [];
  };
  // A dot, an escape of three digits, an escape of one character, or a character.
  for (const [part, digits, escaped] of name === '.' ? [] : name.matchAll(/\\(\d{3})|\\(.)|./gsu)) {
    if (part === '.') end();
    else if (digits) label.push(Number(digits) & 255);
    else label.push(...new TextEncoder().encode(escaped ?? part));
  }
  if (label.length > 0) end();
  if (bytes.length > 254) throw new Error(`invalid dns name: ${name}`);
  return Uint8Array.of(...bytes, 0);
}

/** Whether two names are the same: letters of either case are. */
export function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** The shortest text of an address, so that two of the same are equal. */
export function canonicalIP(ip: string): string {
  return ip.includes(':') ? compressIPv6(ip) : ip;
}

/** 4 or 6, or 0 if the text is no address. */
export function familyOf(ip: string): 0 | 4 | 6 {
  try {
    if (ip.includes(':')) expandIPv6(ip);
    else serializeIPv4Address(ip);
    return ip.includes(':') ? 6 : 4;
  } catch {
    return 0;
  }
}

/**
 * The name under which an address has its PTR records. Throws if it is none.
 *
 * @example
 * ```ts
 * import { ipToPtrName } from 'netloom/dns';
 *
 * console.log(ipToPtrName('10.0.0.1')); // 1.0.0.10.in-addr.arpa
 * ```
 */
export function ipToPtrName(ip: string): string {
  if (!ip.includes(':')) return `${serializeIPv4Address(ip).reverse().join('.')}.in-addr.arpa`;
  return `${[...expandIPv6(ip).replaceAll(':', '')].reverse().join('.')}.ip6.arpa`;
}

/**
 * The address whose PTR records a name has. Throws if it is none of that kind.
 *
 * @example
 * ```ts
 * import { ptrNameToIP } from 'netloom/dns';
 *
 * console.log(ptrNameToIP('1.0.0.10.in-addr.arpa').ip); // 10.0.0.1
 * ```
 */
export function ptrNameToIP(name: string): PtrIP {
  const parts = name.toLowerCase().replace(/\.$/, '').split('.').reverse();
  const [first, second, ...rest] = parts;
  try {
    if (first === 'arpa' && second === 'in-addr') return { type: 'ipv4', ip: serializeIPv4Address(rest.join('.')).join('.') };
    if (first === 'arpa' && second === 'ip6' && rest.length === 32 && rest.every((digit) => digit.length === 1)) {
      return { type: 'ipv6', ip: compressIPv6(rest.join('').replace(/.{4}(?=.)/g, '$&:')) };
    }
  } catch {
    // The error below says it.
  }
  throw new Error(`invalid PTR name: ${name}`);
}
