/**
 * Writes headers and questions: all that a client sends.
 */
import { concat, words } from '../wire/bytes.ts';
import { serializeName } from './names.ts';
import { ClassCode, codeOf, type DnsHeader, type DnsQuestion, OpCode, RCode, TypeCode } from './types.ts';

/** What a sender of ours takes by UDP without fragments on any path (DNS flag day 2020). */
export const UDP_PAYLOAD_BYTES = 1232;

/**
 * The twelve bytes of a header. Throws if a name in it is unknown.
 *
 * @example
 * ```ts
 * import { serializeHeader } from 'netloom/dns';
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
 * console.log(serializeHeader(header).length); // 12
 * ```
 */
export function serializeHeader(header: DnsHeader): Uint8Array {
  const { isResponse, opcode, isAuthoritativeAnswer, isTruncated, isRecursionDesired, isRecursionAvailable, rcode } = header;
  const flags =
    (isResponse ? 0x8000 : 0) |
    (codeOf(OpCode, 'OPCODE', opcode) << 11) |
    (isAuthoritativeAnswer ? 0x400 : 0) |
    (isTruncated ? 0x200 : 0) |
    (isRecursionDesired ? 0x100 : 0) |
    (isRecursionAvailable ? 0x80 : 0) |
    (codeOf(RCode, 'RCODE', rcode) & 0xf);
  return words(header.id, flags, header.questionCount, header.answerCount, header.authorityCount, header.additionalCount);
}

/**
 * The bytes of a question. Throws if a name in it is none.
 *
 * @example
 * ```ts
 * import { serializeQuestion } from 'netloom/dns';
 *
 * console.log(serializeQuestion({ name: 'web.test', type: 'A', class: 'IN' }).length); // 14
 * ```
 */
export function serializeQuestion(question: DnsQuestion): Uint8Array {
  return concat([serializeName(question.name), words(codeOf(TypeCode, 'TYPE', question.type), codeOf(ClassCode, 'CLASS', question.class))]);
}

/** A query that desires recursion, with an EDNS record (RFC 6891) unless `edns` is false. */
export function serializeQuery(id: number, question: DnsQuestion, edns: boolean): Uint8Array {
  const opt = edns ? Uint8Array.of(0, 0, TypeCode.OPT, UDP_PAYLOAD_BYTES >> 8, UDP_PAYLOAD_BYTES & 255, 0, 0, 0, 0, 0, 0) : new Uint8Array();
  return concat([words(id, 0x100, 1, 0, 0, edns ? 1 : 0), serializeQuestion(question), opt]);
}
