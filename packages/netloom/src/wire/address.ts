/**
 * Addresses as text and as bytes: MAC (IEEE 802), IPv4 (RFC 791, dotted quad) and IPv6 (RFC 4291, text of RFC 5952).
 */
import { parseHex, parseUint } from './util.ts';

/** Six bytes as two hexadecimal digits each, joined by colons. */
export type MacAddress = `${string}:${string}:${string}:${string}:${string}:${string}`;
/** A dotted quad. */
export type IPv4Address = `${number}.${number}.${number}.${number}`;
/** An address and the length of its network's prefix in bits, 0 to 32. */
export type IPv4Cidr = `${IPv4Address}/${number}`;

/**
 * Bytes of a MAC address as text. Throws unless there are six.
 *
 * @example
 * ```ts
 * import { parseMacAddress } from 'netloom/wire';
 *
 * console.log(parseMacAddress(Uint8Array.of(2, 0, 0, 0, 0, 1))); // 02:00:00:00:00:01
 * ```
 */
export function parseMacAddress(bytes: Uint8Array): MacAddress {
  if (bytes.length !== 6) throw new Error('invalid mac address');
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':') as MacAddress;
}

/**
 * The six bytes of a MAC address given as text. Throws if it is none.
 *
 * @example
 * ```ts
 * import { serializeMacAddress } from 'netloom/wire';
 *
 * console.log(serializeMacAddress('02:00:00:00:00:01')[5]); // 1
 * ```
 */
export function serializeMacAddress(mac: string): Uint8Array {
  if (!/^([0-9a-f]{1,2}:){5}[0-9a-f]{1,2}$/i.test(mac)) throw new Error(`invalid mac address: ${mac}`);
  return Uint8Array.from(mac.split(':'), (byte) => parseInt(byte, 16));
}

/**
 * Six random bytes of a locally administered unicast address (IEEE 802c).
 *
 * @example
 * ```ts
 * import { generateMacAddress, parseMacAddress } from 'netloom/wire';
 *
 * console.log(parseMacAddress(generateMacAddress())); // for instance 3e:51:0a:77:c2:09
 * ```
 */
export function generateMacAddress(): Uint8Array {
  const mac = crypto.getRandomValues(new Uint8Array(6));
  mac[0] = (mac[0]! & 0xfc) | 0x02;
  return mac;
}

/**
 * Four bytes as a dotted quad. Throws unless there are four.
 *
 * @example
 * ```ts
 * import { parseIPv4Address } from 'netloom/wire';
 *
 * console.log(parseIPv4Address(Uint8Array.of(10, 0, 0, 1))); // 10.0.0.1
 * ```
 */
export function parseIPv4Address(bytes: Uint8Array): IPv4Address {
  if (bytes.length !== 4) throw new Error('invalid ipv4 address');
  return bytes.join('.') as IPv4Address;
}

/**
 * The four bytes of a dotted quad. Throws if it is none.
 *
 * @example
 * ```ts
 * import { serializeIPv4Address } from 'netloom/wire';
 *
 * console.log(serializeIPv4Address('10.0.0.1')); // 10, 0, 0, 1
 * ```
 */
export function serializeIPv4Address(ip: string): Uint8Array {
  const parts = ip.split('.');
  const bytes = new Uint8Array(4);
  parts.forEach((part, i) => {
    const value = /^\d{1,3}$/.test(part) ? parseUint(part) : 256;
    if (value > 255 || parts.length !== 4) throw new Error(`invalid ipv4 address: ${ip}`);
    bytes[i] = value;
  });
  if (parts.length !== 4) throw new Error(`invalid ipv4 address: ${ip}`);
  return bytes;
}

/**
 * The bytes of an address and of its netmask. Throws if the text is no CIDR.
 *
 * @example
 * ```ts
 * import { serializeIPv4Cidr } from 'netloom/wire';
 *
 * console.log(serializeIPv4Cidr('10.0.0.1/24').netmask); // 255, 255, 255, 0
 * ```
 */
export function serializeIPv4Cidr(cidr: string): { ipAddress: Uint8Array; netmask: Uint8Array } {
  const [ip, maskSize, ...rest] = cidr.split('/');
  if (!ip || !maskSize || rest.length > 0) throw new Error(`invalid cidr: ${cidr}`);
  return { ipAddress: serializeIPv4Address(ip), netmask: generateNetmask(parseUint(maskSize)) };
}

/**
 * The four bytes of a netmask of `maskSize` bits, 0 to 32. Throws if it is out of range.
 *
 * @example
 * ```ts
 * import { generateNetmask } from 'netloom/wire';
 *
 * console.log(generateNetmask(20)); // 255, 255, 240, 0
 * ```
 */
export function generateNetmask(maskSize: number): Uint8Array {
  if (!Number.isInteger(maskSize) || maskSize < 0 || maskSize > 32) throw new Error('invalid mask size');
  return numberToBytes(maskSize === 0 ? 0 : (0xffffffff << (32 - maskSize)) >>> 0);
}

/** The bits that a netmask sets. Throws if they are not the leading ones. */
export function netmaskSize(netmask: string): number {
  const mask = ipv4ToNumber(netmask);
  const size = Math.clz32(~mask);
  if (mask !== (size === 0 ? 0 : (0xffffffff << (32 - size)) >>> 0)) throw new Error(`invalid netmask: ${netmask}`);
  return size;
}

/** An IPv4 address as an unsigned number of 32 bits. Throws if it is none. */
export function ipv4ToNumber(ip: string): number {
  return serializeIPv4Address(ip).reduce((value, byte) => value * 256 + byte, 0);
}

/** A number of 0 to 4,294,967,295 as an IPv4 address. Throws if it is out of range. */
export function numberToIPv4(value: number): IPv4Address {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) throw new Error(`invalid ipv4 number: ${value}`);
  return parseIPv4Address(numberToBytes(value));
}

function numberToBytes(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/**
 * Sixteen bytes as eight groups of four digits, not shortened. Throws unless there are sixteen.
 *
 * @example
 * ```ts
 * import { parseIPv6Address, serializeIPv6Address } from 'netloom/wire';
 *
 * console.log(parseIPv6Address(serializeIPv6Address('fe80::1'))); // fe80:0000:0000:0000:0000:0000:0000:0001
 * ```
 */
export function parseIPv6Address(bytes: Uint8Array): string {
  if (bytes.length !== 16) throw new Error('invalid ipv6 address');
  const groups = [];
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i]! << 8) | bytes[i + 1]!).toString(16).padStart(4, '0'));
  return groups.join(':');
}

/**
 * The sixteen bytes of an IPv6 address, shortened or not. Throws if it is none.
 *
 * @example
 * ```ts
 * import { serializeIPv6Address } from 'netloom/wire';
 *
 * console.log(serializeIPv6Address('::1')[15]); // 1
 * ```
 */
export function serializeIPv6Address(ip: string): Uint8Array {
  const bytes = new Uint8Array(16);
  expandIPv6(ip)
    .split(':')
    .forEach((group, i) => {
      const value = parseHex(group);
      bytes[i * 2] = value >> 8;
      bytes[i * 2 + 1] = value & 0xff;
    });
  return bytes;
}

/**
 * The shortest text of an IPv6 address (RFC 5952). Throws if it is none.
 *
 * @example
 * ```ts
 * import { compressIPv6 } from 'netloom/wire';
 *
 * console.log(compressIPv6('2001:0db8:0000:0000:0000:0000:0000:0001')); // 2001:db8::1
 * ```
 */
export function compressIPv6(ip: string): string {
  const groups = expandIPv6(ip)
    .split(':')
    .map((group) => parseHex(group).toString(16));
  let [start, length] = [0, 1];
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (groups[end] === '0') end++;
    if (end - i > length) [start, length] = [i, end - i];
  }
  if (length === 1) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`;
}

/**
 * The eight groups of an IPv6 address, four digits each; a dotted quad may stand for the last two (RFC 4291 2.2). Throws if it is none.
 *
 * @example
 * ```ts
 * import { expandIPv6 } from 'netloom/wire';
 *
 * console.log(expandIPv6('::1')); // 0000:0000:0000:0000:0000:0000:0000:0001
 * ```
 */
export function expandIPv6(ip: string): string {
  const dotted = ip.lastIndexOf(':') + 1;
  const [head, tail, ...rest] = (ip.includes('.', dotted) ? ip.slice(0, dotted) + hexOfQuad(ip.slice(dotted)) : ip).split('::');
  const left = groupsOf(head);
  const right = groupsOf(tail);
  const missing = 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(Math.max(missing, 0)).fill('0'), ...right];
  if (rest.length > 0 || (tail === undefined ? missing !== 0 : missing < 1) || !groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) {
    throw new Error(`invalid ipv6 address: ${ip}`);
  }
  return groups.map((group) => group.toLowerCase().padStart(4, '0')).join(':');
}

function groupsOf(text: string | undefined): string[] {
  return text ? text.split(':') : [];
}

function hexOfQuad(quad: string): string {
  const value = ipv4ToNumber(quad);
  return `${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;
}
