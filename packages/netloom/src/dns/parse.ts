/**
 * Reads DNS messages (RFC 1035 4.1) from bytes that anyone may have sent: every reader throws on what does not fit.
 */
import { compressIPv6, parseIPv4Address, parseIPv6Address } from '../wire/address.ts';
import { type FieldKind, LAYOUTS, SERVICE_PARAMETERS } from './layout.ts';
import { parseName } from './names.ts';
import {
  ClassCode,
  type DnsClass,
  type DnsHeader,
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
  type DnsType,
  nameOf,
  OpCode,
  RCode,
  TypeCode,
} from './types.ts';

const HEADER_LENGTH = 12;

/**
 * Reads a whole message. Throws if it is cut off or malformed.
 *
 * @example
 * ```ts
 * import { parseDnsMessage, serializeDnsMessage } from 'netloom/dns';
 *
 * const header = {
 *   id: 7,
 *   isResponse: false,
 *   opcode: 'QUERY',
 *   isAuthoritativeAnswer: false,
 *   isTruncated: false,
 *   isRecursionDesired: true,
 *   isRecursionAvailable: false,
 *   rcode: 'NOERROR',
 *   questionCount: 0,
 *   answerCount: 0,
 *   authorityCount: 0,
 *   additionalCount: 0,
 * } as const;
 * const bytes = serializeDnsMessage({ header, questions: [{ name: 'web.test', type: 'A', class: 'IN' }] });
 * console.log(parseDnsMessage(bytes).questions[0]?.name); // web.test
 * ```
 */
export function parseDnsMessage(data: Uint8Array): DnsMessage {
  if (data.length < HEADER_LENGTH) throw new Error('DNS message is too short');
  const [header, start] = parseHeader(data);
  let offset = start;
  const section = <T>(count: number, parse: (data: Uint8Array, offset: number) => [T, number]): T[] => {
    const items: T[] = [];
    while (items.length < count) {
      const [item, end] = parse(data, offset);
      items.push(item);
      offset = end;
    }
    return items;
  };
  return {
    header,
    questions: section(header.questionCount, parseQuestion),
    answers: section(header.answerCount, parseResourceRecord),
    authorities: section(header.authorityCount, parseResourceRecord),
    additionals: section(header.additionalCount, parseResourceRecord),
  };
}

/**
 * Reads the twelve bytes of a header. Throws if they are fewer.
 *
 * @example
 * ```ts
 * import { parseHeader, serializeHeader } from 'netloom/dns';
 *
 * const header = {
 *   id: 7,
 *   isResponse: false,
 *   opcode: 'QUERY',
 *   isAuthoritativeAnswer: false,
 *   isTruncated: false,
 *   isRecursionDesired: true,
 *   isRecursionAvailable: false,
 *   rcode: 'NOERROR',
 *   questionCount: 0,
 *   answerCount: 0,
 *   authorityCount: 0,
 *   additionalCount: 0,
 * } as const;
 * console.log(parseHeader(serializeHeader(header))[0].id); // 7
 * ```
 */
export function parseHeader(data: Uint8Array): [header: DnsHeader, offset: number] {
  if (data.length < HEADER_LENGTH) throw new Error('DNS header is too short');
  const view = viewOf(data);
  const flags = view.getUint16(2);
  const header: DnsHeader = {
    id: view.getUint16(0),
    isResponse: (flags & 0x8000) !== 0,
    opcode: nameOf(OpCode, 'OPCODE', (flags >> 11) & 0xf),
    isAuthoritativeAnswer: (flags & 0x400) !== 0,
    isTruncated: (flags & 0x200) !== 0,
    isRecursionDesired: (flags & 0x100) !== 0,
    isRecursionAvailable: (flags & 0x80) !== 0,
    rcode: nameOf(RCode, 'RCODE', flags & 0xf),
    questionCount: view.getUint16(4),
    answerCount: view.getUint16(6),
    authorityCount: view.getUint16(8),
    additionalCount: view.getUint16(10),
  };
  return [header, HEADER_LENGTH];
}

/**
 * Reads a question. Throws if it is cut off.
 *
 * @example
 * ```ts
 * import { parseQuestion, serializeQuestion } from 'netloom/dns';
 *
 * const bytes = serializeQuestion({ name: 'web.test', type: 'A', class: 'IN' });
 * console.log(parseQuestion(bytes, 0)[0].name); // web.test
 * ```
 */
export function parseQuestion(data: Uint8Array, offset: number): [question: DnsQuestion, offset: number] {
  const [name, end] = parseName(data, offset);
  const view = viewOf(data);
  return [{ name, type: parseDnsType(view.getUint16(end)), class: parseDnsClass(view.getUint16(end + 2)) }, end + 4];
}

/**
 * Reads a record of any section. Throws if it is cut off or its data does not fit its type.
 *
 * @example
 * ```ts
 * import { parseResourceRecord, serializeResourceRecord } from 'netloom/dns';
 *
 * const bytes = serializeResourceRecord({ name: 'web.test', class: 'IN', type: 'A', ttl: 60, ip: '10.0.0.1' });
 * console.log(parseResourceRecord(bytes, 0)[0].ttl); // 60
 * ```
 */
export function parseResourceRecord(data: Uint8Array, offset: number): [record: DnsRecord, offset: number] {
  const [name, at] = parseName(data, offset);
  const view = viewOf(data);
  const type = parseDnsType(view.getUint16(at));
  const start = at + 10;
  const end = start + view.getUint16(at + 8);
  if (end > data.length) throw new Error('truncated dns record');
  // Some senders give the length of a name one short of what it takes.
  const isName = type === 'NS' || type === 'CNAME' || type === 'PTR';
  const [fields, last] = parseResourceData(type, isName ? data : data.subarray(0, end), start);
  return [{ name, class: parseDnsClass(view.getUint16(at + 2)), ttl: view.getUint32(at + 4), type, ...fields } as DnsRecord, Math.max(end, last)];
}

function parseResourceData(type: DnsType, data: Uint8Array, start: number): [fields: object, offset: number] {
  if (type === 'ANY') throw new Error('unsupported record type: ANY');
  const layout = LAYOUTS[type];
  if (!layout) return [{ data: data.slice(start) }, data.length];
  const fields: Record<string, unknown> = {};
  let at = start;
  for (const [field, kind] of layout) [fields[field], at] = parseField(kind, data, at);
  return [fields, at];
}

function parseField(kind: FieldKind, data: Uint8Array, at: number): [value: unknown, offset: number] {
  const { length } = data;
  switch (kind) {
    case 'name':
      return parseName(data, at);
    case 'ipv4':
      return [parseIPv4Address(data.subarray(at, at + 4)), at + 4];
    case 'ipv6':
      return [compressIPv6(parseIPv6Address(data.subarray(at, at + 16))), at + 16];
    case 'string': {
      const end = at + 1 + viewOf(data).getUint8(at);
      if (end > length) throw new Error('truncated dns string');
      return [text(data.subarray(at + 1, end)), end];
    }
    case 'strings':
      return parseTxtValue(data, at, length - at);
    case 'text':
      return [text(data.subarray(at)), length];
    case 'params':
      return [parseServiceParameters(data, at), length];
    default:
      return [viewOf(data)[`getUint${(kind * 8) as 8 | 16 | 32}`](at), at + kind];
  }
}

function parseServiceParameters(data: Uint8Array, at: number): Record<string, unknown> {
  const params: Record<string, unknown> = {};
  while (at < data.length) {
    const view = viewOf(data);
    const key = view.getUint16(at);
    const end = at + 4 + view.getUint16(at + 2);
    if (end > data.length) throw new Error('truncated dns record');
    const [name = `key${key}`, kind] = SERVICE_PARAMETERS[key] ?? [];
    if (kind) {
      const values = [];
      for (at += 4; at < end; ) {
        const [value, next] = parseField(kind, data.subarray(0, end), at);
        values.push(name === 'mandatory' ? (SERVICE_PARAMETERS[value as number]?.[0] ?? `key${value as number}`) : value);
        at = next;
      }
      params[name] = name === 'port' ? values[0] : values;
    } else {
      params[name] = name === 'no-default-alpn' ? true : data.slice(at + 4, end);
      at = end;
    }
  }
  return params;
}

/**
 * Reads the strings of a TXT record, joined. Throws if they are cut off.
 *
 * @example
 * ```ts
 * import { parseTxtValue, serializeTxtValue } from 'netloom/dns';
 *
 * const bytes = serializeTxtValue('hello');
 * console.log(parseTxtValue(bytes, 0, bytes.length)[0]); // hello
 * ```
 */
export function parseTxtValue(data: Uint8Array, offset: number, length: number): [value: string, offset: number] {
  const end = offset + length;
  let value = '';
  while (offset < end) {
    const [part, next] = parseField('string', data.subarray(0, end), offset);
    value += part as string;
    offset = next;
  }
  return [value, offset];
}

/** Name of a type's number. */
export function parseDnsType(type: number): DnsType {
  return nameOf(TypeCode, 'TYPE', type);
}

/** Name of a class's number. */
export function parseDnsClass(number: number): DnsClass {
  return nameOf(ClassCode, 'CLASS', number);
}

function text(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}

function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}
