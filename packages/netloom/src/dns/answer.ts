/**
 * From a query to its answer: what a server says to every message that may come (RFC 1035 4.1, RFC 6891, RFC 9619).
 */
import { concat } from '../wire/bytes.ts';
import { parseDnsMessage, parseHeader } from './parse.ts';
import { serializeHeader, serializeQuestion, UDP_PAYLOAD_BYTES } from './query.ts';
import { serializeRecord } from './serialize.ts';
import { type DnsData, type DnsHeader, type DnsMessage, type DnsRCode, type DnsRecord, type DnsType, RCode, TypeCode } from './types.ts';

/** A record of an answer: the fields of its type, seconds to keep it, and the name it belongs to where that is not the one asked for. */
export type DnsResponse = { ttl: number; name?: string } & DnsData;

/** An answer in full. */
export type DnsReply = {
  /** Default `NOERROR`. */
  rcode?: DnsRCode;
  answers?: DnsResponse[];
  /** For instance the SOA by which an absence may be kept (RFC 2308). */
  authorities?: DnsResponse[];
  additionals?: DnsResponse[];
  /** Whether this server is the source of the answer. Default false. */
  authoritative?: boolean;
};

/** What is asked. */
export type DnsQuery = { name: string; type: DnsType };

/** Who asks, and how. */
export type DnsQueryContext = {
  host: string;
  port: number;
  protocol: 'udp' | 'tcp';
  /** Aborts when the answer is no longer wanted: the time for it is over, or the server closes. */
  signal: AbortSignal;
};

/** Answers a query: with records, none (the name has none of this type), `undefined` (there is no such name: NXDOMAIN), or a whole reply. */
export type RequestFn = (
  query: DnsQuery,
  context: DnsQueryContext,
) => Promise<DnsResponse | DnsResponse[] | DnsReply | undefined> | DnsResponse | DnsResponse[] | DnsReply | undefined;

const MIN_UDP_BYTES = 512;
const MAX_TCP_BYTES = 65_535;
/** Longer messages are no queries that we know: a name, and options. */
export const MAX_QUERY_BYTES = 4096;
// A query has an OPT record and perhaps a signature; reading thousands of compressed names would only cost time.
const MAX_QUERY_RECORDS = 4;

/** A query that was read, or the answer to one that cannot be asked. */
export type Received = { query: DnsMessage; maxBytes: number; edns: boolean } | { refusal: Uint8Array } | undefined;

/** Reads a query. What is no query at all has no answer. */
export function receive(data: Uint8Array, protocol: 'udp' | 'tcp'): Received {
  if (data.length < 12 || data.length > MAX_QUERY_BYTES) return undefined;
  const [header] = parseHeader(data);
  if (header.isResponse) return undefined;
  const refuse = (rcode: DnsRCode): Received => ({ refusal: serializeHeader({ ...responseHeader(header, rcode), ...NO_RECORDS }) });
  if (header.opcode !== 'QUERY') return refuse('NOTIMP');
  const { questionCount, answerCount, authorityCount, additionalCount } = header;
  if (questionCount !== 1 || answerCount + authorityCount + additionalCount > MAX_QUERY_RECORDS) return refuse('FORMERR');
  let query: DnsMessage;
  try {
    query = parseDnsMessage(data);
  } catch {
    return refuse('FORMERR');
  }
  const opts = (query.additionals ?? []).filter((record) => record.type === 'OPT');
  if (opts.length > 1) return refuse('FORMERR');
  const [opt] = opts;
  const edns = opt !== undefined;
  // The class of an OPT record is the size that its sender takes.
  const offered = edns ? Number(/\d+$/.exec(opt.class)?.[0] ?? 0) : 0;
  const maxBytes = protocol === 'tcp' ? MAX_TCP_BYTES : Math.min(Math.max(offered, MIN_UDP_BYTES), UDP_PAYLOAD_BYTES);
  if (opt && ((opt.ttl >>> 16) & 0xff) !== 0) return { refusal: reply({ query, maxBytes, edns }, { rcode: 'RCODE16' }) };
  if (query.questions[0]!.class !== 'IN') return { refusal: reply({ query, maxBytes, edns }, { rcode: 'REFUSED' }) };
  return { query, maxBytes, edns };
}

/** What a handler gave, as a reply. */
export function replyOf(given: DnsResponse | DnsResponse[] | DnsReply | undefined): DnsReply {
  if (given === undefined || given === null) return { rcode: 'NXDOMAIN' };
  if (Array.isArray(given)) return { answers: given };
  return 'type' in given ? { answers: [given] } : given;
}

/** The bytes of a reply: as many records as fit, marked as truncated where answers are missing (RFC 2181 9). Throws if a record is none. */
export function reply(
  { query, maxBytes, edns }: { query: DnsMessage; maxBytes: number; edns: boolean },
  { rcode = 'NOERROR', answers = [], authorities = [], additionals = [], authoritative = false }: DnsReply,
): Uint8Array {
  const question = query.questions[0]!;
  const code = rcode in RCode ? RCode[rcode as keyof typeof RCode] : Number(rcode.slice(5));
  const opt = edns ? Uint8Array.of(0, 0, TypeCode.OPT, UDP_PAYLOAD_BYTES >> 8, UDP_PAYLOAD_BYTES & 255, code >> 4, 0, 0, 0, 0, 0) : new Uint8Array();
  const header = { ...responseHeader(query.header, `RCODE${code & 0xf}`), isAuthoritativeAnswer: authoritative, ...NO_RECORDS, questionCount: 1 };
  const parts = [serializeQuestion(question)];
  let room = maxBytes - 12 - parts[0]!.length - opt.length;
  let isFull = false;
  const put = (responses: DnsResponse[]): number => {
    let count = 0;
    for (const response of responses) {
      const record = serializeRecord({ name: question.name, class: 'IN', ...response } as DnsRecord, question.name);
      isFull ||= record.length > room;
      if (isFull) break;
      parts.push(record);
      room -= record.length;
      count += 1;
    }
    return count;
  };
  header.answerCount = put(answers);
  header.isTruncated = isFull;
  header.authorityCount = put(authorities);
  header.additionalCount = put(additionals) + (edns ? 1 : 0);
  return concat([serializeHeader(header), ...parts, opt]);
}

const NO_RECORDS = { questionCount: 0, answerCount: 0, authorityCount: 0, additionalCount: 0 };

function responseHeader(query: DnsHeader, rcode: DnsRCode): DnsHeader {
  return { ...query, isResponse: true, isAuthoritativeAnswer: false, isTruncated: false, isRecursionAvailable: true, rcode };
}
