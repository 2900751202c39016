/** Answers to DNS queries that are the same whatever the name (RFC 1035 4.1). */

const HEADER_BYTES = 12;
const QUESTION_BYTES = 4;
const TYPE_A = 1;
const NO_SUCH_NAME = 3;

/** That there is no such name; `undefined` if it is no query of one name. */
export function noSuchName(query: Uint8Array): Uint8Array | undefined {
  return withFlags(query, NO_SUCH_NAME);
}

/** That every name has this IPv4 address, for so many seconds, and no record of another type; `undefined` if it is no query of one name. */
export function everyName(query: Uint8Array, address: string, seconds: number): Uint8Array | undefined {
  const answer = withFlags(query, 0);
  if (!answer) return undefined;
  const type = answer.length - QUESTION_BYTES;
  if (answer[type] !== 0 || answer[type + 1] !== TYPE_A) return answer;
  answer[7] = 1;
  const record = [0xc0, HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, seconds >> 8, seconds & 255, 0, 4, ...address.split('.').map(Number)];
  return Uint8Array.of(...answer, ...record);
}

/** The question alone, as an answer with a code. */
function withFlags(query: Uint8Array, code: number): Uint8Array | undefined {
  if (query.length < HEADER_BYTES || query[2]! & 0x80 || query[4] !== 0 || query[5] !== 1) return undefined;
  let end = HEADER_BYTES;
  while (end < query.length && query[end] !== 0) {
    if (query[end]! > 63) return undefined;
    end += query[end]! + 1;
  }
  end += 1 + QUESTION_BYTES;
  if (end > query.length) return undefined;
  const answer = query.slice(0, end);
  answer[2] = 0x80 | (answer[2]! & 0x79);
  answer[3] = 0x80 | code;
  answer.fill(0, 6, HEADER_BYTES);
  return answer;
}
