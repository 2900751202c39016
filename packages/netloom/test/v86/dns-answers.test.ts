import { type DnsMessage, parseDnsMessage, serializeDnsMessage } from '../../src/dns/index.ts';
import { everyName, noSuchName } from '../../src/v86/dns-answers.ts';
import { deepEqual, equal, test } from '../harness.ts';

const query = (type: 'A' | 'AAAA') =>
  serializeDnsMessage({
    header: {
      id: 0x1234,
      isResponse: false,
      opcode: 'QUERY',
      isAuthoritativeAnswer: false,
      isTruncated: false,
      isRecursionDesired: true,
      isRecursionAvailable: false,
      rcode: 'NOERROR',
      questionCount: 1,
      answerCount: 0,
      authorityCount: 0,
      additionalCount: 1,
    },
    questions: [{ name: 'www.example.com', type, class: 'IN' }],
    answers: [],
    authorities: [],
    additionals: [{ name: '', class: 'CLASS1232', ttl: 0, type: 'OPT', data: new Uint8Array() }],
  } as DnsMessage);

test('v86 dns: there is no such name', () => {
  const { header, questions, answers, additionals } = parseDnsMessage(noSuchName(query('A'))!);
  deepEqual([header.id, header.isResponse, header.rcode, header.isRecursionDesired, header.isRecursionAvailable], [0x1234, true, 'NXDOMAIN', true, true]);
  deepEqual([questions, answers, additionals], [[{ name: 'www.example.com', type: 'A', class: 'IN' }], [], []]);
});

test('v86 dns: every name has one address, and nothing else', () => {
  const { header, answers } = parseDnsMessage(everyName(query('A'), '192.168.87.1', 10)!);
  equal(header.rcode, 'NOERROR');
  deepEqual(answers, [{ name: 'www.example.com', type: 'A', class: 'IN', ttl: 10, ip: '192.168.87.1' }]);
  const none = parseDnsMessage(everyName(query('AAAA'), '192.168.87.1', 10)!);
  deepEqual([none.header.rcode, none.answers], ['NOERROR', []]);
});

test('v86 dns: what is no query of one name has no answer', () => {
  const whole = query('A');
  for (let length = 0; length < 33; length += 1) equal(noSuchName(whole.slice(0, length)), undefined);
  const two = whole.slice();
  two[5] = 2;
  const answer = whole.slice();
  answer[2] = 0x81;
  const pointer = whole.slice();
  pointer[12] = 0xc0;
  for (const bad of [two, answer, pointer, new Uint8Array(600).fill(1)]) equal(noSuchName(bad), undefined);
});
