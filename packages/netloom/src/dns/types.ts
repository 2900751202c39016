/**
 * What a DNS message is made of (RFC 1035), and the numbers of its names.
 */

/** Types of records that are read into fields, and `ANY` (RFC 1035 3.2.2, RFC 3596, 2782, 6891, 9460, 8659). */
export const TypeCode = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  SVCB: 64,
  HTTPS: 65,
  ANY: 255,
  CAA: 257,
} as const;
/** Classes (RFC 1035 3.2.4). */
export const ClassCode = { IN: 1 } as const;
/** Kinds of messages (RFC 1035 4.1.1, RFC 1996, RFC 2136). */
export const OpCode = { QUERY: 0, IQUERY: 1, STATUS: 2, NOTIFY: 4, UPDATE: 5 } as const;
/** Outcomes (RFC 1035 4.1.1). */
export const RCode = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;

/** A record's type; one without a name of its own is written `TYPE` and its number (RFC 3597). */
export type DnsType = keyof typeof TypeCode | `TYPE${number}`;
/** A record's class; one without a name is written `CLASS` and its number (RFC 3597). */
export type DnsClass = keyof typeof ClassCode | `CLASS${number}`;
/** A kind of message; one without a name is written `OPCODE` and its number. */
export type DnsOpCode = keyof typeof OpCode | `OPCODE${number}`;
/** An outcome; one without a name is written `RCODE` and its number. */
export type DnsRCode = keyof typeof RCode | `RCODE${number}`;

/** The header of a message; the counts are computed when it is serialised. */
export type DnsHeader = {
  id: number;
  isResponse: boolean;
  opcode: DnsOpCode;
  isAuthoritativeAnswer: boolean;
  isTruncated: boolean;
  isRecursionDesired: boolean;
  isRecursionAvailable: boolean;
  rcode: DnsRCode;
  questionCount: number;
  answerCount: number;
  authorityCount: number;
  additionalCount: number;
};

/** What is asked for. */
export type DnsQuestion = { name: string; type: DnsType; class: DnsClass };

/** What an SVCB or HTTPS record says of its service (RFC 9460): lists by name, the rest as bytes under `keyN`. */
export type DnsServiceParameters = {
  mandatory?: string[];
  alpn?: string[];
  'no-default-alpn'?: true;
  port?: number;
  ech?: Uint8Array;
  ipv4hint?: string[];
  ipv6hint?: string[];
  [key: `key${number}`]: Uint8Array;
};

/** The fields of every type; names have no final dot, and a byte that is none of ASCII's printable ones is written `\DDD` (RFC 1035 5.1). */
export type DnsData =
  | { type: 'A'; ip: string }
  | { type: 'AAAA'; ip: string }
  | { type: 'NS'; ns: string }
  | { type: 'CNAME'; cname: string }
  | { type: 'PTR'; ptr: string }
  | { type: 'MX'; preference: number; exchange: string }
  | { type: 'TXT'; value: string }
  | { type: 'SRV'; priority: number; weight: number; port: number; target: string }
  | { type: 'CAA'; flags: number; tag: string; value: string }
  | { type: 'SOA'; mname: string; rname: string; serial: number; refresh: number; retry: number; expire: number; minimum: number }
  | { type: 'SVCB' | 'HTTPS'; priority: number; target: string; params: DnsServiceParameters }
  | { type: 'OPT' | `TYPE${number}`; data: Uint8Array };

/** A record of a message; `ttl` in seconds. */
export type DnsRecord = { name: string; class: DnsClass; ttl: number } & DnsData;

/** A message and the records of its sections. */
export type DnsMessage = {
  header: DnsHeader;
  questions: DnsQuestion[];
  answers?: DnsRecord[];
  authorities?: DnsRecord[];
  additionals?: DnsRecord[];
};

/** Where a name server listens; port 53 by default. */
export type NameServer = { ip: string; port?: number };

/** The name of `code` in `table`, or `prefix` and the number. */
export function nameOf<T extends Record<string, number>, P extends string>(table: T, prefix: P, code: number): (keyof T & string) | `${P}${number}` {
  for (const name in table) if (table[name] === code) return name;
  return `${prefix}${code}`;
}

/** The number of `name` in `table`, or that after `prefix`. Throws if it is neither. */
export function codeOf(table: Record<string, number>, prefix: string, name: string): number {
  const code = Object.hasOwn(table, name) ? table[name]! : name.startsWith(prefix) ? Number(name.slice(prefix.length)) : NaN;
  if (!(code >= 0 && code <= 0xffff)) throw new Error(`unknown dns ${prefix.toLowerCase()}: ${name}`);
  return code;
}
