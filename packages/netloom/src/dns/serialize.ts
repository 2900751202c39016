/**
 * Writes DNS messages with records of every type (RFC 1035 4.1).
 */
import { serializeIPv4Address, serializeIPv6Address } from '../wire/address.ts';
import { concat, words } from '../wire/bytes.ts';
import { type FieldKind, LAYOUTS, SERVICE_PARAMETERS } from './layout.ts';
import { serializeName } from './names.ts';
import { serializeHeader, serializeQuestion } from './query.ts';
import { ClassCode, codeOf, type DnsMessage, type DnsRecord, type DnsServiceParameters, TypeCode } from './types.ts';

/**
 * The bytes of a message; sets the counts of its header. Throws if a field is none.
 *
 * @example
 * ```ts
 * import { serializeDnsMessage } from 'netloom/dns';
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
 * console.log(serializeDnsMessage({ header, questions: [{ name: 'web.test', type: 'A', class: 'IN' }] }).length); // 26
 * ```
 */
export function serializeDnsMessage(message: DnsMessage): Uint8Array {
  const { header, questions, answers = [], authorities = [], additionals = [] } = message;
  header.questionCount = questions.length;
  header.answerCount = answers.length;
  header.authorityCount = authorities.length;
  header.additionalCount = additionals.length;
  const owner = questions[0]?.name;
  const records = [...answers, ...authorities, ...additionals].map((record) => serializeRecord(record, owner));
  return concat([serializeHeader(header), ...questions.map(serializeQuestion), ...records]);
}

/**
 * The bytes of a record, its name not compressed. Throws if a field is none.
 *
 * @example
 * ```ts
 * import { serializeResourceRecord } from 'netloom/dns';
 *
 * console.log(serializeResourceRecord({ name: 'web.test', class: 'IN', type: 'A', ttl: 60, ip: '10.0.0.1' }).length); // 24
 * ```
 */
export function serializeResourceRecord(record: DnsRecord): Uint8Array {
  return serializeRecord(record, undefined);
}

/** As `serializeResourceRecord`; an owner that is the first question's is a pointer to it. */
export function serializeRecord(record: DnsRecord, owner: string | undefined): Uint8Array {
  const data = serializeResourceData(record);
  if (data.length > 0xffff) throw new Error(`record data too long: ${record.type}`);
  const name = owner && record.name === owner ? words(0xc00c) : serializeName(record.name);
  return concat([name, words(codeOf(TypeCode, 'TYPE', record.type), codeOf(ClassCode, 'CLASS', record.class)), dword(record.ttl), words(data.length), data]);
}

/**
 * The bytes of a record's data, names not compressed. Throws if a field is none.
 *
 * @example
 * ```ts
 * import { serializeResourceData } from 'netloom/dns';
 *
 * console.log(serializeResourceData({ name: 'web.test', class: 'IN', type: 'A', ttl: 60, ip: '10.0.0.1' })); // 10, 0, 0, 1
 * ```
 */
export function serializeResourceData(record: DnsRecord): Uint8Array {
  const fields = record as unknown as Record<string, unknown>;
  const layout: readonly (readonly [string, FieldKind])[] | undefined = LAYOUTS[record.type];
  if (layout?.every(([field]) => fields[field] !== undefined)) return concat(layout.map(([field, kind]) => serializeField(kind, fields[field])));
  if (!layout && fields['data'] instanceof Uint8Array) return fields['data'];
  throw new Error(`unsupported record type or missing fields: ${record.type}`);
}

function serializeField(kind: FieldKind, value: unknown): Uint8Array {
  switch (kind) {
    case 'name':
      return serializeName(value as string);
    case 'ipv4':
      return serializeIPv4Address(value as string);
    case 'ipv6':
      return serializeIPv6Address(value as string);
    case 'string': {
      const bytes = new TextEncoder().encode(value as string);
      if (bytes.length > 255) throw new Error('dns string too long');
      return concat([Uint8Array.of(bytes.length), bytes]);
    }
    case 'strings':
      return serializeTxtValue(value as string);
    case 'text':
      return new TextEncoder().encode(value as string);
    case 'params':
      return serializeServiceParameters(value as DnsServiceParameters);
    default:
      return kind === 1 ? Uint8Array.of(value as number) : kind === 2 ? words(value as number) : dword(value as number);
  }
}

/**
 * The strings of a TXT record, cut into 255 bytes each.
 *
 * @example
 * ```ts
 * import { serializeTxtValue } from 'netloom/dns';
 *
 * console.log(serializeTxtValue('x'.repeat(300)).length); // 302
 * ```
 */
export function serializeTxtValue(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  const parts = [];
  for (let i = 0; i === 0 || i < bytes.length; i += 255) {
    const part = bytes.subarray(i, i + 255);
    parts.push(Uint8Array.of(part.length), part);
  }
  return concat(parts);
}

function serializeServiceParameters(params: DnsServiceParameters): Uint8Array {
  const entries = Object.entries(params).map(([name, value]): [number, Uint8Array] => [serviceKey(name), serviceValue(name, value)]);
  entries.sort(([a], [b]) => a - b);
  return concat(entries.flatMap(([key, value]) => [words(key, value.length), value]));
}

function serviceKey(name: string): number {
  const known = SERVICE_PARAMETERS.findIndex(([parameter]) => parameter === name);
  const key = known >= 0 ? known : /^key\d{1,5}$/.test(name) ? Number(name.slice(3)) : NaN;
  if (!(key <= 0xffff)) throw new Error(`unknown service parameter: ${name}`);
  return key;
}

function serviceValue(name: string, value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  const kind = SERVICE_PARAMETERS.find(([parameter]) => parameter === name)?.[1];
  if (!kind) return new Uint8Array();
  return concat([value].flat().map((item) => serializeField(kind, name === 'mandatory' ? serviceKey(item as string) : item)));
}

function dword(value: number): Uint8Array {
  return words(value >>> 16, value & 0xffff);
}
