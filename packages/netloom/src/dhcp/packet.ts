/**
 * DHCP messages as bytes (RFC 2131 2): fixed fields of BOOTP, and options.
 */
import { concat, words } from '../wire/bytes.ts';
import { ipv4ToNumber, numberToIPv4, parseIPv4Address, parseMacAddress, serializeIPv4Address, serializeMacAddress } from '../wire/address.ts';
import { DhcpOptions } from './constants.ts';

/** A message. */
export type DhcpPacket = {
  /** 1 asks, 2 replies. */
  op: number;
  htype: number;
  hlen: number;
  xid: number;
  /** Since the client began. */
  seconds: number;
  /** Whether the client can hear broadcasts alone. */
  isBroadcast: boolean;
  ciaddr: string;
  yiaddr: string;
  siaddr: string;
  giaddr: string;
  mac: string;
  /** By their codes, the parts of long ones joined (RFC 3396). */
  options: Map<number, Uint8Array>;
};

const HEADER_BYTES = 240;
const COOKIE = 0x63825363;
const BROADCAST = 0x8000;

/** Reads a message, whether it says that its options are DHCP's or not. Throws if it is cut off. */
export function parsePacket(data: Uint8Array): DhcpPacket {
  if (data.length < HEADER_BYTES) throw new Error('dhcp message too short');
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const ip = (offset: number): string => parseIPv4Address(data.subarray(offset, offset + 4));
  const options = new Map<number, Uint8Array>();
  parseOptions(data.subarray(HEADER_BYTES), options);
  const overload = options.get(DhcpOptions.OVERLOAD)?.[0] ?? 0;
  if (overload & 1) parseOptions(data.subarray(108, 236), options);
  if (overload & 2) parseOptions(data.subarray(44, 108), options);
  return {
    op: data[0]!,
    htype: data[1]!,
    hlen: data[2]!,
    xid: view.getUint32(4),
    seconds: view.getUint16(8),
    isBroadcast: (view.getUint16(10) & BROADCAST) !== 0,
    ciaddr: ip(12),
    yiaddr: ip(16),
    siaddr: ip(20),
    giaddr: ip(24),
    mac: parseMacAddress(data.subarray(28, 34)),
    options,
  };
}

/** Reads a message of DHCP over Ethernet. Throws if it is cut off or of another kind. */
export function receivePacket(data: Uint8Array): DhcpPacket {
  const packet = parsePacket(data);
  const cookie = new DataView(data.buffer, data.byteOffset).getUint32(236);
  if (cookie !== COOKIE || packet.htype !== 1 || packet.hlen !== 6) throw new Error('not a dhcp message of ethernet');
  return packet;
}

function parseOptions(data: Uint8Array, options: Map<number, Uint8Array>): void {
  for (let at = 0; at < data.length && data[at] !== DhcpOptions.END; ) {
    const code = data[at++]!;
    if (code === 0) continue;
    const end = at + 1 + (data[at] ?? Infinity);
    if (end > data.length) throw new Error('truncated dhcp option');
    const value = data.slice(at + 1, end);
    const before = options.get(code);
    options.set(code, before ? concat([before, value]) : value);
    at = end;
  }
}

/** The bytes of a message; an option longer than 255 bytes is cut into several (RFC 3396). Throws if an address is none. */
export function serializePacket(packet: Omit<DhcpPacket, 'options'> & { options: Iterable<readonly [number, Uint8Array]> }): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  header.set([packet.op, packet.htype, packet.hlen]);
  view.setUint32(4, packet.xid);
  view.setUint16(8, packet.seconds);
  view.setUint16(10, packet.isBroadcast ? BROADCAST : 0);
  [packet.ciaddr, packet.yiaddr, packet.siaddr, packet.giaddr].forEach((ip, i) => header.set(serializeIPv4Address(ip), 12 + i * 4));
  header.set(serializeMacAddress(packet.mac), 28);
  view.setUint32(236, COOKIE);
  const parts: Uint8Array[] = [header];
  for (const [code, value] of packet.options) parts.push(optionBytes(code, value));
  return concat([...parts, Uint8Array.of(DhcpOptions.END)]);
}

/** An option with its code and length, once or several times. */
export function optionBytes(code: number, value: Uint8Array): Uint8Array {
  const parts = [];
  for (let i = 0; i === 0 || i < value.length; i += 255) {
    const part = value.subarray(i, i + 255);
    parts.push(Uint8Array.of(code, part.length), part);
  }
  return concat(parts);
}

/** The address in an option, if it holds one. */
export function ipOf(value: Uint8Array | undefined): string | undefined {
  return value?.length === 4 ? parseIPv4Address(value) : undefined;
}

/** The addresses in an option. */
export function ipsOf(value: Uint8Array | undefined): string[] {
  return Array.from({ length: Math.floor((value?.length ?? 0) / 4) }, (_, i) => parseIPv4Address(value!.subarray(i * 4, i * 4 + 4)));
}

/** The number in an option of two or four bytes. */
export function numberOf(value: Uint8Array | undefined): number | undefined {
  return value?.length === 4 || value?.length === 2 ? value.reduce((sum, byte) => sum * 256 + byte, 0) : undefined;
}

/** The text in an option, without the zeros that some put behind it. */
export function textOf(value: Uint8Array | undefined): string | undefined {
  return value && new TextDecoder().decode(value).replace(/\0+$/, '');
}

/** Bytes as hexadecimal digits, as a client's identifier is written. */
export function hexOf(value: Uint8Array): string {
  return Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export function seconds32(value: number): Uint8Array {
  return words(value >>> 16, value & 0xffff);
}

export function ips(addresses: readonly string[]): Uint8Array {
  return concat(addresses.map(serializeIPv4Address));
}

/** The part of an address that names its network. */
export function networkOf(ip: string, netmask: string): string {
  return numberToIPv4((ipv4ToNumber(ip) & ipv4ToNumber(netmask)) >>> 0);
}

/** The address of all on the network of `ip`. */
export function broadcastOf(ip: string, netmask: string): string {
  return numberToIPv4((ipv4ToNumber(ip) | ~ipv4ToNumber(netmask)) >>> 0);
}
