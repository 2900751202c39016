/**
 * Addresses as text and as bytes. The machine has 16 bytes for each, of which IPv4 uses the first four, and a family beside: 4, 6, or 0 for none.
 */
import { NetworkError } from '../errors.ts';

export type Family = 0 | 4 | 6;

/** A network, or an address with its network. */
export type Net = { address: Uint8Array; family: 4 | 6; prefix: number };

/** Writes the address that a text is; 0 if it is none. */
export function putAddress(text: string, bytes: Uint8Array, at: number): Family {
  if (text.includes(':')) return putV6(text, bytes, at) ? 6 : 0;
  return putV4(text, bytes, at) ? 4 : 0;
}

/** The family of the address that a text is; 0 if it is none. */
export function familyOf(text: string): Family {
  return putAddress(text, scratch, 0);
}

const scratch = new Uint8Array(16);

function putV4(text: string, bytes: Uint8Array, at: number): boolean {
  let octet = -1;
  let octets = 0;
  for (let index = 0; index <= text.length; index += 1) {
    const code = index < text.length ? text.charCodeAt(index) : 46;
    if (code === 46) {
      if (octet < 0 || octets === 4) return false;
      bytes[at + octets] = octet;
      octets += 1;
      octet = -1;
    } else {
      // A leading zero is octal to some readers of addresses and decimal to others: neither here.
      if (code < 48 || code > 57 || octet === 0) return false;
      octet = (octet < 0 ? 0 : octet * 10) + code - 48;
      if (octet > 255) return false;
    }
  }
  return octets === 4;
}

function putV6(text: string, bytes: Uint8Array, at: number): boolean {
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const parts: number[][] = [];
  for (const half of halves) {
    const words = half === '' ? [] : wordsOf(half.split(':'));
    if (!words) return false;
    parts.push(words);
  }
  const [front = [], back = []] = parts;
  const gap = 8 - front.length - back.length;
  if (halves.length === 2 ? gap < 1 : gap !== 0) return false;
  const words = [...front, ...new Array<number>(gap).fill(0), ...back];
  words.forEach((word, index) => {
    bytes[at + 2 * index] = word >> 8;
    bytes[at + 2 * index + 1] = word & 255;
  });
  return true;
}

function wordsOf(parts: string[]): number[] | undefined {
  const words: number[] = [];
  const last = parts.length - 1;
  for (const [index, part] of parts.entries()) {
    const quad = new Uint8Array(4);
    if (index === last && putV4(part, quad, 0)) {
      words.push((quad[0]! << 8) | quad[1]!, (quad[2]! << 8) | quad[3]!);
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) {
      words.push(Number.parseInt(part, 16));
    } else {
      return undefined;
    }
  }
  return words;
}

/** The text of an address (RFC 5952 for IPv6). */
export function addressText(bytes: Uint8Array, at: number, family: number): string {
  if (family !== 6) return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
  const words = Array.from({ length: 8 }, (_, index) => (bytes[at + 2 * index]! << 8) | bytes[at + 2 * index + 1]!);
  const mapped = words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff;
  if (mapped) return `::ffff:${addressText(bytes, at + 12, 4)}`;
  let [start, length] = [0, 0];
  for (let index = 0; index < 8; index += 1) {
    let end = index;
    while (end < 8 && words[end] === 0) end += 1;
    if (end - index > length) [start, length] = [index, end - index];
  }
  const hex = (part: number[]) => part.map((word) => word.toString(16)).join(':');
  return length < 2 ? hex(words) : `${hex(words.slice(0, start))}::${hex(words.slice(start + length))}`;
}

/** Parses `ADDRESS/PREFIX`; an address alone is the network of that one host. */
export function parseNet(text: string): Net {
  const [host = '', bits, ...rest] = text.split('/');
  const address = new Uint8Array(16);
  const family = putAddress(host, address, 0);
  const most = family === 6 ? 128 : 32;
  const prefix = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
  if (family === 0 || rest.length > 0 || prefix < 0 || prefix > most) {
    throw new NetworkError('EINVAL', { message: `not an address with its prefix, as in 192.168.1.1/24: ${text}` });
  }
  return { address, family, prefix };
}

/** The text of an address with its prefix. */
export function netText({ address, family, prefix }: Net): string {
  return `${addressText(address, 0, family)}/${prefix}`;
}

/** The network that an address lies in: its host part is zero. */
export function networkOf({ address, family, prefix }: Net): Net {
  return { address: address.map((byte, index) => byte & maskByte(prefix, index)), family, prefix };
}

/** The netmask of a prefix, as IPv4 writes it. */
export function netmaskText(prefix: number): string {
  return [0, 1, 2, 3].map((index) => maskByte(prefix, index)).join('.');
}

/** Whether an address lies in a network. */
export function contains(net: Net, address: Uint8Array, family: Family): boolean {
  return family === net.family && address.every((byte, index) => ((byte ^ net.address[index]!) & maskByte(net.prefix, index)) === 0);
}

function maskByte(prefix: number, index: number): number {
  return (0xff00 >> Math.min(8, Math.max(0, prefix - 8 * index))) & 255;
}

/** Parses a MAC address: six hexadecimal octets with `:` or `-`. */
export function parseMac(text: string): Uint8Array {
  const octets = text.split(/[:-]/);
  if (octets.length !== 6 || !octets.every((octet) => /^[0-9a-f]{1,2}$/i.test(octet))) {
    throw new NetworkError('EINVAL', { message: `not a MAC address, as 02:00:00:12:34:56: ${text}` });
  }
  const mac = Uint8Array.from(octets, (octet) => Number.parseInt(octet, 16));
  if (mac[0]! & 1) throw new NetworkError('EINVAL', { message: `the MAC address of a group: ${text}` });
  return mac;
}
