/**
 * Ethernet II frames (IEEE 802.3), without the frame check sequence.
 */
import { type MacAddress, parseMacAddress, serializeMacAddress } from './address.ts';
import { type ArpMessage, parseArpMessage, serializeArpMessage } from './arp.ts';
import { codes } from './codes.ts';
import { type IPv4Packet, parseIPv4Packet, serializeIPv4Packet } from './ipv4.ts';
import { type IPv6Packet, parseIPv6Packet, serializeIPv6Packet } from './ipv6.ts';
import { viewOf } from './util.ts';

/** What every frame has. */
export type EthernetFrameBase = { destinationMac: MacAddress; sourceMac: MacAddress };
/** A frame with an IPv4 packet. */
export type IPv4EthernetFrame = EthernetFrameBase & { type: 'ipv4'; payload: IPv4Packet };
/** A frame with an IPv6 packet. */
export type IPv6EthernetFrame = EthernetFrameBase & { type: 'ipv6'; payload: IPv6Packet };
/** A frame with an ARP message. */
export type ARPEthernetFrame = EthernetFrameBase & { type: 'arp'; payload: ArpMessage };
/** A frame of another type, given by its number (1,536 or more; less is a length of IEEE 802.3). */
export type OtherEthernetFrame = EthernetFrameBase & { type: number; payload: Uint8Array };
/** A frame: `type` tells what its payload is. */
export type EthernetFrame = IPv4EthernetFrame | IPv6EthernetFrame | ARPEthernetFrame | OtherEthernetFrame;

const HEADER_LENGTH = 14;
const types = codes('ethernet type', { ipv4: 0x0800, ipv6: 0x86dd, arp: 0x0806 });

/**
 * Reads a frame and what it carries. Throws if anything of it is short or its checksums are wrong.
 *
 * @example
 * ```ts
 * import { parseEthernetFrame, serializeEthernetFrame } from 'netloom/wire';
 *
 * const frame = serializeEthernetFrame({
 *   destinationMac: 'ff:ff:ff:ff:ff:ff',
 *   sourceMac: '02:00:00:00:00:01',
 *   type: 'arp',
 *   payload: {
 *     hardwareType: 'ethernet',
 *     protocolType: 'ipv4',
 *     opcode: 'request',
 *     senderMac: '02:00:00:00:00:01',
 *     senderIP: '10.0.0.1',
 *     targetMac: '00:00:00:00:00:00',
 *     targetIP: '10.0.0.2',
 *   },
 * });
 * console.log(parseEthernetFrame(frame).type); // arp
 * ```
 */
export function parseEthernetFrame(frame: Uint8Array): EthernetFrame {
  const type = viewOf(frame, HEADER_LENGTH, 'ethernet frame').getUint16(12);
  const macs = { destinationMac: parseMacAddress(frame.subarray(0, 6)), sourceMac: parseMacAddress(frame.subarray(6, 12)) };
  const payload = frame.subarray(HEADER_LENGTH);
  switch (type) {
    case 0x0800:
      return { ...macs, type: 'ipv4', payload: parseIPv4Packet(payload) };
    case 0x86dd:
      return { ...macs, type: 'ipv6', payload: parseIPv6Packet(payload) };
    case 0x0806:
      return { ...macs, type: 'arp', payload: parseArpMessage(payload) };
    default:
      return { ...macs, type, payload };
  }
}

/**
 * The bytes of a frame, not padded to 60. Throws if a field is none.
 *
 * @example
 * ```ts
 * import { serializeEthernetFrame } from 'netloom/wire';
 *
 * const frame = serializeEthernetFrame({
 *   destinationMac: '02:00:00:00:00:02',
 *   sourceMac: '02:00:00:00:00:01',
 *   type: 0x88b5,
 *   payload: Uint8Array.of(1, 2, 3),
 * });
 * console.log(frame.length); // 17
 * ```
 */
export function serializeEthernetFrame(frame: EthernetFrame): Uint8Array {
  const payload = serializePayload(frame);
  const data = new Uint8Array(HEADER_LENGTH + payload.length);
  data.set(serializeMacAddress(frame.destinationMac), 0);
  data.set(serializeMacAddress(frame.sourceMac), 6);
  if (typeof frame.type === 'number') viewOf(data, HEADER_LENGTH, 'ethernet frame').setUint16(12, frame.type);
  else data.set(serializeEthernetType(frame.type), 12);
  data.set(payload, HEADER_LENGTH);
  return data;
}

function serializePayload(frame: EthernetFrame): Uint8Array {
  switch (frame.type) {
    case 'ipv4':
      return serializeIPv4Packet(frame.payload);
    case 'ipv6':
      return serializeIPv6Packet(frame.payload);
    case 'arp':
      return serializeArpMessage(frame.payload);
    default:
      if (typeof frame.type !== 'number') throw new Error('unknown ethernet type');
      return frame.payload;
  }
}

/**
 * Name of a type given by its two bytes. Throws if it is unknown.
 *
 * @example
 * ```ts
 * import { parseEthernetType } from 'netloom/wire';
 *
 * console.log(parseEthernetType(Uint8Array.of(0x86, 0xdd))); // ipv6
 * ```
 */
export function parseEthernetType(bytes: Uint8Array): 'ipv4' | 'ipv6' | 'arp' {
  return types.parse(viewOf(bytes, 2, 'ethernet type').getUint16(0));
}

/**
 * The two bytes of a type. Throws if it is unknown.
 *
 * @example
 * ```ts
 * import { serializeEthernetType } from 'netloom/wire';
 *
 * console.log(serializeEthernetType('arp')); // 8, 6
 * ```
 */
export function serializeEthernetType(type: 'ipv4' | 'ipv6' | 'arp'): Uint8Array {
  const code = types.serialize(type);
  return Uint8Array.of(code >> 8, code);
}
