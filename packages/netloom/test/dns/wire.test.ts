import { deepEqual, equal, ok, test, throws } from '../harness.ts';
import {
  type DnsMessage,
  ipToPtrName,
  parseDnsMessage,
  parseHeader,
  parseName,
  parseResourceRecord,
  parseTxtValue,
  ptrNameToIP,
  serializeDnsMessage,
  serializeName,
  serializeResourceRecord,
  serializeTxtValue,
} from '../../src/dns/index.ts';
import { common, records } from './records.ts';

const message: DnsMessage = {
  header: {
    id: 0x1234,
    isResponse: true,
    opcode: 'QUERY',
    isAuthoritativeAnswer: true,
    isTruncated: false,
    isRecursionDesired: true,
    isRecursionAvailable: true,
    rcode: 'NOERROR',
    questionCount: 1,
    answerCount: records.length,
    authorityCount: 1,
    additionalCount: 1,
  },
  questions: [{ name: 'www.example.com', type: 'A', class: 'IN' }],
  answers: records,
  authorities: [{ name: 'example.com', class: 'IN', ttl: 5, type: 'NS', ns: 'ns.example.com' }],
  additionals: [{ name: '', class: 'CLASS1232', ttl: 0, type: 'OPT', data: new Uint8Array() }],
};

test('a message with records of every type reads back as it was written, also from inside a larger buffer', () => {
  const bytes = serializeDnsMessage(message);
  deepEqual(parseDnsMessage(bytes), message);
  const buffer = new Uint8Array(bytes.length + 9).fill(0xff);
  buffer.set(bytes, 5);
  deepEqual(parseDnsMessage(buffer.subarray(5, 5 + bytes.length)), message);
});

test('a message cut off anywhere throws', () => {
  const bytes = serializeDnsMessage(message);
  for (let length = 0; length < bytes.length; length++) throws(() => parseDnsMessage(bytes.slice(0, length)));
});

test('random bytes, and messages with flipped bits, never do worse than throw an Error', () => {
  const bytes = serializeDnsMessage(message);
  for (let round = 0; round < 20_000; round++) {
    const hostile = round % 2 ? crypto.getRandomValues(new Uint8Array(round % 200)) : bytes.slice();
    if (round % 2 === 0) for (const at of crypto.getRandomValues(new Uint16Array(3))) hostile[at % hostile.length]! ^= 1 << (at & 7);
    try {
      parseDnsMessage(hostile);
    } catch (error) {
      ok(error instanceof Error);
    }
  }
});

test('compressed names are read; pointers that loop or lead forward throw', () => {
  const data = Uint8Array.of(1, 97, 0, 1, 98, 0xc0, 0, 0xc0, 3, 0xc0, 9, 0xc0, 12, 0);
  deepEqual(parseName(data, 3), ['b.a', 7]);
  deepEqual(parseName(data, 7), ['b.a', 9]);
  throws(() => parseName(data, 9), { message: 'invalid dns name pointer' });
  throws(() => parseName(data, 11), { message: 'invalid dns name pointer' });
  throws(() => parseName(Uint8Array.of(0x40, 0), 0));
  throws(() => parseName(Uint8Array.of(3, 97), 0));
  throws(() => parseName(Uint8Array.of(0xc0), 0));
  // 64 labels of three bytes, each pointing to the one before: longer than a name may be.
  const chain = [1, 97, 0];
  for (let at = 0; at < 200; at++) chain.push(1, 98, 0xc0 | ((at === 0 ? 0 : 3 + (at - 1) * 4) >> 8), (at === 0 ? 0 : 3 + (at - 1) * 4) & 255);
  throws(() => parseName(Uint8Array.from(chain), 3 + 199 * 4), { message: 'invalid dns name' });
});

test('names with dots and bytes that are no text in them read back as they were written', () => {
  const name = 'a\\.b.\\000\\255\\\\.c';
  const bytes = serializeName(name);
  deepEqual([...bytes], [3, 97, 46, 98, 3, 0, 255, 92, 1, 99, 0]);
  deepEqual(parseName(bytes, 0), [name, bytes.length]);
  deepEqual(serializeName('www.'), Uint8Array.of(3, 119, 119, 119, 0));
  for (const empty of ['', '.']) deepEqual(serializeName(empty), Uint8Array.of(0));
  for (const wrong of ['a..b', '.a', 'x'.repeat(64), Array(64).fill('abc').join('.')]) throws(() => serializeName(wrong));
});

test('a record without its fields, and of a type that is none, throws', () => {
  throws(() => serializeResourceRecord({ ...common, type: 'MX' } as never), { message: /unsupported record type/ });
  throws(() => serializeResourceRecord({ ...common, type: 'NONE', data: 1 } as never));
  throws(() => serializeResourceRecord({ ...common, type: 'A', ip: 'no address' }));
  throws(() => parseResourceRecord(Uint8Array.of(0, 0, 255, 0, 1, 0, 0, 0, 60, 0, 0), 0), { message: 'unsupported record type: ANY' });
});

test('a name longer than its length says is still read', () => {
  const bytes = Uint8Array.of(1, 97, 0, 0, 12, 0, 1, 0, 0, 0, 60, 0, 5, 4, 104, 111, 115, 116, 0);
  deepEqual(parseResourceRecord(bytes, 0), [{ name: 'a', class: 'IN', ttl: 60, type: 'PTR', ptr: 'host' }, 19]);
});

test('text is cut into strings of 255 bytes', () => {
  const bytes = serializeTxtValue('a'.repeat(300));
  equal(bytes[0], 255);
  equal(bytes[256], 45);
  deepEqual(parseTxtValue(bytes, 0, bytes.length), ['a'.repeat(300), 302]);
  deepEqual(serializeTxtValue(''), Uint8Array.of(0));
});

test('the flags of a header', () => {
  const [header] = parseHeader(Uint8Array.of(0x12, 0x34, 0x97, 0x85, 0, 0, 0, 0, 0, 0, 0, 0));
  equal(header.opcode, 'STATUS');
  equal(header.rcode, 'REFUSED');
  ok(header.isTruncated && header.isAuthoritativeAnswer && header.isRecursionDesired);
  throws(() => parseHeader(new Uint8Array(11)), { message: 'DNS header is too short' });
});

test('names of addresses', () => {
  equal(ipToPtrName('10.0.0.1'), '1.0.0.10.in-addr.arpa');
  equal(ipToPtrName('2001:db8::567:89ab'), 'b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa');
  for (const ip of ['10.0.0.1', '::1', '2001:db8::567:89ab']) equal(ptrNameToIP(ipToPtrName(ip)).ip, ip);
  for (const wrong of ['', '1.0.0.10.in-addr.com', '1.0.0.10.invalid.arpa', '1.0.10.in-addr.arpa', '256.0.0.10.in-addr.arpa', '1.ip6.arpa']) {
    throws(() => ptrNameToIP(wrong), { message: `invalid PTR name: ${wrong}` });
  }
});
