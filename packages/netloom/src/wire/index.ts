/**
 * Frames, packets and headers as objects and as bytes. Every reader checks bounds, and throws on what it cannot read.
 *
 * @module
 */
export {
  compressIPv6,
  expandIPv6,
  generateMacAddress,
  generateNetmask,
  type IPv4Address,
  type IPv4Cidr,
  type MacAddress,
  parseIPv4Address,
  parseIPv6Address,
  parseMacAddress,
  serializeIPv4Address,
  serializeIPv4Cidr,
  serializeIPv6Address,
  serializeMacAddress,
} from './address.ts';
export * from './arp.ts';
export * from './ethernet.ts';
export * from './icmp.ts';
export * from './ipv4.ts';
export * from './ipv6.ts';
export * from './tcp.ts';
export * from './udp.ts';
export { calculateChecksum, parseHex, parseUint } from './util.ts';
