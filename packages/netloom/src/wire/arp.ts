/**
 * ARP for IPv4 over Ethernet (RFC 826).
 */
import { type IPv4Address, type MacAddress, parseIPv4Address, parseMacAddress, serializeIPv4Address, serializeMacAddress } from './address.ts';
import { viewOf } from './util.ts';

/** An ARP message. */
export type ArpMessage = {
  /** `ethernet` */
  hardwareType: string;
  /** `ipv4` */
  protocolType: string;
  /** `request` or `reply` */
  opcode: string;
  senderMac: MacAddress;
  senderIP: IPv4Address;
  targetMac: MacAddress;
  targetIP: IPv4Address;
};

const ARP_LENGTH = 28;

/**
 * Reads an ARP message; what follows its 28 bytes is padding. Throws if it is short or of another kind.
 *
 * @example
 * ```ts
 * import { parseArpMessage, serializeArpMessage } from 'netloom/wire';
 *
 * const bytes = serializeArpMessage({
 *   hardwareType: 'ethernet',
 *   protocolType: 'ipv4',
 *   opcode: 'request',
 *   senderMac: '02:00:00:00:00:01',
 *   senderIP: '10.0.0.1',
 *   targetMac: '00:00:00:00:00:00',
 *   targetIP: '10.0.0.2',
 * });
 * console.log(parseArpMessage(bytes).targetIP); // 10.0.0.2
 * ```
 */
export function parseArpMessage(data: Uint8Array): ArpMessage {
  const view = viewOf(data, ARP_LENGTH, 'arp message');
  if (view.getUint8(4) !== 6 || view.getUint8(5) !== 4) throw new Error('invalid arp address length');
  return {
    hardwareType: parseHardwareType(view.getUint16(0)),
    protocolType: parseProtocolType(view.getUint16(2)),
    opcode: parseOpcode(view.getUint16(6)),
    senderMac: parseMacAddress(data.subarray(8, 14)),
    senderIP: parseIPv4Address(data.subarray(14, 18)),
    targetMac: parseMacAddress(data.subarray(18, 24)),
    targetIP: parseIPv4Address(data.subarray(24, 28)),
  };
}

/**
 * The 28 bytes of an ARP message. Throws if a field is none.
 *
 * @example
 * ```ts
 * import { serializeArpMessage } from 'netloom/wire';
 *
 * const bytes = serializeArpMessage({
 *   hardwareType: 'ethernet',
 *   protocolType: 'ipv4',
 *   opcode: 'request',
 *   senderMac: '02:00:00:00:00:01',
 *   senderIP: '10.0.0.1',
 *   targetMac: '00:00:00:00:00:00',
 *   targetIP: '10.0.0.2',
 * });
 * console.log(bytes.length); // 28
 * ```
 */
export function serializeArpMessage(message: ArpMessage): Uint8Array {
  const data = new Uint8Array(ARP_LENGTH);
  const view = viewOf(data, ARP_LENGTH, 'arp message');
  view.setUint16(0, serializeHardwareType(message.hardwareType));
  view.setUint16(2, serializeProtocolType(message.protocolType));
  view.setUint8(4, 6);
  view.setUint8(5, 4);
  view.setUint16(6, serializeOpcode(message.opcode));
  data.set(serializeMacAddress(message.senderMac), 8);
  data.set(serializeIPv4Address(message.senderIP), 14);
  data.set(serializeMacAddress(message.targetMac), 18);
  data.set(serializeIPv4Address(message.targetIP), 24);
  return data;
}

/**
 * Name of a hardware type. Throws if it is unknown.
 *
 * @example
 * ```ts
 * import { parseHardwareType } from 'netloom/wire';
 *
 * console.log(parseHardwareType(1)); // ethernet
 * ```
 */
export function parseHardwareType(hardwareType: number): 'ethernet' {
  if (hardwareType !== 1) throw new Error('unknown hardware type');
  return 'ethernet';
}

/**
 * Number of a hardware type. Throws if it is unknown.
 *
 * @example
 * ```ts
 * import { serializeHardwareType } from 'netloom/wire';
 *
 * console.log(serializeHardwareType('ethernet')); // 1
 * ```
 */
export function serializeHardwareType(hardwareType: string): number {
  if (hardwareType !== 'ethernet') throw new Error('unknown hardware type');
  return 1;
}

/**
 * Name of a protocol type. Throws if it is unknown.
 *
 * @example
 * ```ts
 * import { parseProtocolType } from 'netloom/wire';
 *
 * console.log(parseProtocolType(0x0800)); // ipv4
 * ```
 */
export function parseProtocolType(protocolType: number): 'ipv4' {
  if (protocolType !== 0x0800) throw new Error('unknown protocol type');
  return 'ipv4';
}

/**
 * Number of a protocol type. Throws if it is unknown.
 *
 * @example
 * ```ts
 * import { serializeProtocolType } from 'netloom/wire';
 *
 * console.log(serializeProtocolType('ipv4')); // 2048
 * ```
 */
export function serializeProtocolType(protocolType: string): number {
  if (protocolType !== 'ipv4') throw new Error('unknown protocol type');
  return 0x0800;
}

/**
 * Name of an operation. Throws if it is unknown.
 *
 * @example
 * ```ts
 * import { parseOpcode } from 'netloom/wire';
 *
 * console.log(parseOpcode(2)); // reply
 * ```
 */
export function parseOpcode(opcode: number): 'request' | 'reply' {
  if (opcode !== 1 && opcode !== 2) throw new Error('unknown opcode');
  return opcode === 1 ? 'request' : 'reply';
}

/**
 * Number of an operation. Throws if it is unknown.
 *
 * @example
 * ```ts
 * import { serializeOpcode } from 'netloom/wire';
 *
 * console.log(serializeOpcode('reply')); // 2
 * ```
 */
export function serializeOpcode(opcode: string): number {
  if (opcode !== 'request' && opcode !== 'reply') throw new Error('unknown opcode');
  return opcode === 'request' ? 1 : 2;
}
