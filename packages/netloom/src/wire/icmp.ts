/**
 * ICMP (RFC 792): eight bytes of header, of which the last four depend on the type.
 */
import { codes } from './codes.ts';
import { calculateChecksum, viewOf } from './util.ts';

/** Bytes of the header, of an echo and of every other type. */
export const ICMP_ECHO_HEADER_LENGTH = 8;

/** An ICMP message. */
export type IcmpMessage = {
  /** `echo-request`, `echo-reply`, `destination-unreachable`, `time-exceeded`, ... */
  type: string;
  /** Why, for the types that say so, such as `port-unreachable`; `code-N` where the number has no name. */
  code?: string;
  /** Bytes 4 and 5 of the header: of an echo, who asked. */
  identifier: number;
  /** Bytes 6 and 7 of the header: of an echo, which one; of `fragmentation-needed`, the MTU (RFC 1191). */
  sequenceNumber: number;
  payload: Uint8Array;
};

const types = codes('icmp type', {
  'echo-reply': 0,
  'destination-unreachable': 3,
  redirect: 5,
  'echo-request': 8,
  'router-advertisement': 9,
  'router-solicitation': 10,
  'time-exceeded': 11,
  'parameter-problem': 12,
  'timestamp-request': 13,
  'timestamp-reply': 14,
});

// In the order of their numbers. RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.
const CODES: Readonly<Record<string, readonly string[]>> = {
  'destination-unreachable': [
    'network-unreachable',
    'host-unreachable',
    'protocol-unreachable',
    'port-unreachable',
    'fragmentation-needed',
    'source-route-failed',
    'network-unknown',
    'host-unknown',
    'source-host-isolated',
    'network-prohibited',
    'host-prohibited',
    'network-unreachable-for-service',
    'host-unreachable-for-service',
    'communication-prohibited',
  ],
  redirect: ['network-redirect', 'host-redirect', 'network-redirect-for-service', 'host-redirect-for-service'],
  'time-exceeded': ['ttl-exceeded', 'fragment-reassembly-time-exceeded'],
};

/**
 * Reads an ICMP message. Throws if it is short, its checksum is wrong or its type unknown.
 *
 * @example
 * ```ts
 * import { parseIcmpMessage, serializeIcmpMessage } from 'netloom/wire';
 *
 * const bytes = serializeIcmpMessage({ type: 'echo-request', identifier: 1, sequenceNumber: 7, payload: new Uint8Array(56) });
 * console.log(parseIcmpMessage(bytes).sequenceNumber); // 7
 * ```
 */
export function parseIcmpMessage(data: Uint8Array): IcmpMessage {
  const view = viewOf(data, ICMP_ECHO_HEADER_LENGTH, 'icmp message');
  if (calculateChecksum(data, 2) !== view.getUint16(2)) throw new Error('invalid icmp checksum');
  const type = parseIcmpType(view.getUint8(0));
  return {
    type,
    code: parseIcmpCode(type, view.getUint8(1)),
    identifier: view.getUint16(4),
    sequenceNumber: view.getUint16(6),
    payload: data.subarray(ICMP_ECHO_HEADER_LENGTH),
  };
}

/**
 * The bytes of an ICMP message, with its checksum. Throws if type or code are unknown.
 *
 * @example
 * ```ts
 * import { serializeIcmpMessage } from 'netloom/wire';
 *
 * const bytes = serializeIcmpMessage({ type: 'echo-request', identifier: 1, sequenceNumber: 7, payload: new Uint8Array(56) });
 * console.log(bytes.length); // 64
 * ```
 */
export function serializeIcmpMessage(message: IcmpMessage): Uint8Array {
  const data = new Uint8Array(ICMP_ECHO_HEADER_LENGTH + message.payload.length);
  const view = viewOf(data, ICMP_ECHO_HEADER_LENGTH, 'icmp message');
  view.setUint8(0, serializeIcmpType(message.type));
  view.setUint8(1, serializeIcmpCode(message.type, message.code));
  view.setUint16(4, message.identifier);
  view.setUint16(6, message.sequenceNumber);
  data.set(message.payload, ICMP_ECHO_HEADER_LENGTH);
  view.setUint16(2, calculateChecksum(data, 2));
  return data;
}

/**
 * Name of a type. Throws if it is unknown.
 *
 * @example
 * ```ts
 * import { parseIcmpType } from 'netloom/wire';
 *
 * console.log(parseIcmpType(8)); // echo-request
 * ```
 */
export function parseIcmpType(type: number): string {
  return types.parse(type);
}

/**
 * Number of a type. Throws if it is unknown.
 *
 * @example
 * ```ts
 * import { serializeIcmpType } from 'netloom/wire';
 *
 * console.log(serializeIcmpType('echo-request')); // 8
 * ```
 */
export function serializeIcmpType(type: string): number {
  return types.serialize(type);
}

/**
 * Name of a code of this type, `undefined` where 0 is the only one.
 *
 * @example
 * ```ts
 * import { parseIcmpCode } from 'netloom/wire';
 *
 * console.log(parseIcmpCode('destination-unreachable', 3)); // port-unreachable
 * ```
 */
export function parseIcmpCode(type: string, code: number): string | undefined {
  const names = CODES[type];
  if (names === undefined && code === 0) return undefined;
  return names?.[code] ?? `code-${code}`;
}

/**
 * Number of a code of this type. Throws if it is unknown.
 *
 * @example
 * ```ts
 * import { serializeIcmpCode } from 'netloom/wire';
 *
 * console.log(serializeIcmpCode('time-exceeded', 'ttl-exceeded')); // 0
 * ```
 */
export function serializeIcmpCode(type: string, code?: string): number {
  const names = CODES[type];
  if (code === undefined && names === undefined) return 0;
  const number = /^code-(\d{1,3})$/.exec(code ?? '')?.[1];
  const index = number === undefined ? (names?.indexOf(code ?? '') ?? -1) : Number(number);
  if (index < 0 || index > 255) throw new Error('unknown icmp code');
  return index;
}
