import { deepEqual, equal, ok, test, throws } from '../harness.ts';
import {
  calculateChecksum,
  compressIPv6,
  type EthernetFrame,
  expandIPv6,
  generateMacAddress,
  generateNetmask,
  parseArpMessage,
  parseEthernetFrame,
  parseIcmpMessage,
  parseIPv4Address,
  parseIPv4Packet,
  parseIPv6Packet,
  parseMacAddress,
  parseTcpSegment,
  parseUdpDatagram,
  serializeEthernetFrame,
  serializeIcmpMessage,
  serializeIPv4Address,
  serializeIPv4Cidr,
  serializeIPv4Packet,
  serializeIPv4PseudoHeader,
  serializeIPv6Address,
  serializeIPv6Packet,
  serializeMacAddress,
  serializeTcpSegment,
} from '../../src/wire/index.ts';

const macs = { destinationMac: '02:00:00:00:00:02', sourceMac: '02:00:00:00:00:01' } as const;
const ipv4 = {
  version: 4,
  dscp: 10,
  ecn: 1,
  identification: 7,
  flags: 2,
  fragmentOffset: 0,
  ttl: 64,
  sourceIP: '192.168.1.1',
  destinationIP: '192.168.1.2',
} as const;
const ipv6 = { version: 6, trafficClass: 3, flowLabel: 0xabcde, hopLimit: 64, sourceIP: 'fe80::1', destinationIP: '2001:db8::2' } as const;
const udp = { sourcePort: 8, destinationPort: 7, payload: Uint8Array.of(1, 2, 3, 4, 5) };

const frames: EthernetFrame[] = [
  {
    ...macs,
    type: 'arp',
    payload: {
      hardwareType: 'ethernet',
      protocolType: 'ipv4',
      opcode: 'reply',
      senderMac: macs.sourceMac,
      senderIP: '10.0.0.1',
      targetMac: macs.destinationMac,
      targetIP: '10.0.0.2',
    },
  },
  { ...macs, type: 'ipv4', payload: { ...ipv4, protocol: 'udp', payload: udp } },
  {
    ...macs,
    type: 'ipv4',
    payload: { ...ipv4, protocol: 'icmp', payload: { type: 'echo-request', code: undefined, identifier: 1, sequenceNumber: 2, payload: Uint8Array.of(9) } },
  },
  {
    ...macs,
    type: 'ipv4',
    payload: {
      ...ipv4,
      protocol: 'icmp',
      payload: { type: 'destination-unreachable', code: 'port-unreachable', identifier: 0, sequenceNumber: 0, payload: new Uint8Array(28) },
    },
  },
  { ...macs, type: 'ipv4', payload: { ...ipv4, protocol: 'tcp', payload: new Uint8Array(20) } },
  { ...macs, type: 'ipv4', payload: { ...ipv4, protocol: 2, payload: Uint8Array.of(0x16, 0) } },
  { ...macs, type: 'ipv4', payload: { ...ipv4, flags: 1, fragmentOffset: 185, protocol: 17, payload: new Uint8Array(8) } },
  { ...macs, type: 'ipv6', payload: { ...ipv6, protocol: 'udp', payload: udp } },
  { ...macs, type: 'ipv6', payload: { ...ipv6, protocol: 0, payload: new Uint8Array(8) } },
  { ...macs, type: 0x88cc, payload: Uint8Array.of(1, 2, 3) },
];

test('a frame reads back as it was written, also when it stands inside a larger buffer', () => {
  for (const frame of frames) {
    const bytes = serializeEthernetFrame(frame);
    const buffer = new Uint8Array(bytes.length + 16).fill(0xee);
    buffer.set(bytes, 7);
    deepEqual(parseEthernetFrame(buffer.subarray(7, 7 + bytes.length)), frame);
  }
});

test('padding behind a packet is not its payload', () => {
  const bytes = serializeEthernetFrame(frames[1]!);
  const padded = new Uint8Array(60);
  padded.set(bytes);
  deepEqual(parseEthernetFrame(padded), frames[1]);
});

test('a truncated frame throws an Error at every length, and so does any flipped bit of a checked header', () => {
  for (const frame of frames) {
    const bytes = serializeEthernetFrame(frame);
    const whole = typeof frame.type === 'number' ? 14 : bytes.length;
    for (let length = 0; length < whole; length++) throws(() => parseEthernetFrame(bytes.slice(0, length)));
  }
  const packet = serializeIPv4Packet({ ...ipv4, protocol: 'udp', payload: udp });
  for (let bit = 0; bit < 20 * 8; bit++) {
    const flipped = packet.slice();
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    throws(() => parseIPv4Packet(flipped));
  }
});

test('random bytes never do worse than throw an Error', () => {
  const readers = [parseEthernetFrame, parseIPv4Packet, parseIPv6Packet, parseUdpDatagram, parseTcpSegment, parseIcmpMessage, parseArpMessage];
  for (let round = 0; round < 5000; round++) {
    const bytes = crypto.getRandomValues(new Uint8Array(round % 120));
    for (const reader of readers) {
      try {
        reader(bytes);
      } catch (error) {
        ok(error instanceof Error);
      }
    }
  }
});

test('UDP has no checksum where its field is 0, and a wrong one throws', () => {
  const data = Uint8Array.of(0, 80, 1, 187, 0, 12, 0, 0, 0xde, 0xad, 0xbe, 0xef);
  const pseudoHeader = serializeIPv4PseudoHeader({ sourceIP: '192.168.1.1', destinationIP: '192.168.1.2', protocol: 'udp', length: 12 });
  equal(parseUdpDatagram(data, pseudoHeader).destinationPort, 443);
  data.set([0xdc, 0xd9], 6);
  equal(parseUdpDatagram(data, pseudoHeader).destinationPort, 443);
  data[7] = 0xda;
  throws(() => parseUdpDatagram(data, pseudoHeader), { message: 'invalid udp checksum' });
});

test('a TCP segment reads back as it was written, options and all', () => {
  const segment = {
    sourcePort: 1,
    destinationPort: 2,
    sequenceNumber: 0xfffffff0,
    acknowledgmentNumber: 5,
    flags: { fin: false, syn: true, rst: false, psh: false, ack: true, urg: false, ece: true, cwr: false },
    window: 65535,
    urgentPointer: 0,
    options: [
      { kind: 2, data: Uint8Array.of(5, 180) },
      { kind: 3, data: Uint8Array.of(7) },
    ],
    payload: Uint8Array.of(1, 2, 3),
  };
  const pseudoHeader = serializeIPv4PseudoHeader({ sourceIP: '10.0.0.1', destinationIP: '10.0.0.2', protocol: 'tcp', length: 31 });
  const bytes = serializeTcpSegment(segment, pseudoHeader);
  equal(bytes.length, 31);
  deepEqual(parseTcpSegment(bytes, pseudoHeader), segment);
  bytes[30]! ^= 1;
  throws(() => parseTcpSegment(bytes, pseudoHeader), { message: 'invalid tcp checksum' });
  bytes[21] = 0;
  throws(() => parseTcpSegment(bytes), { message: 'invalid tcp option' });
});

test('every code of ICMP has a name or its number', () => {
  for (const type of ['destination-unreachable', 'time-exceeded', 'redirect', 'parameter-problem']) {
    for (const code of [0, 1, 4, 13, 255]) {
      const bytes = serializeIcmpMessage({ type, code: `code-${code}`, identifier: 0, sequenceNumber: 1400, payload: new Uint8Array() });
      equal(bytes[1], code);
      deepEqual(serializeIcmpMessage(parseIcmpMessage(bytes)), bytes);
    }
  }
});

test('addresses as text and bytes', () => {
  deepEqual(serializeIPv4Address('192.168.1.1'), Uint8Array.of(192, 168, 1, 1));
  for (const wrong of ['192.168.1', '192.168.1.', '192.168.1.256', 'hello', '1.2.3.4.5', '', '1.2.3.-4', ' 1.2.3.4']) throws(() => serializeIPv4Address(wrong));
  equal(parseIPv4Address(Uint8Array.of(10, 0, 0, 1)), '10.0.0.1');
  throws(() => parseIPv4Address(Uint8Array.of(1, 2, 3)));
  deepEqual(serializeIPv4Cidr('192.168.1.1/20'), { ipAddress: Uint8Array.of(192, 168, 1, 1), netmask: Uint8Array.of(255, 255, 240, 0) });
  deepEqual(generateNetmask(0), new Uint8Array(4));
  deepEqual(generateNetmask(32), new Uint8Array(4).fill(255));
  throws(() => generateNetmask(33));
  equal(parseMacAddress(serializeMacAddress('01:23:45:67:89:AB')), '01:23:45:67:89:ab');
  for (const wrong of ['01:23:45:67:89:zz', '01:23:45:67:89', '', '01:23:45:67:89:ab:cd']) throws(() => serializeMacAddress(wrong));
  equal(generateMacAddress()[0]! & 3, 2);
});

test('IPv6 text is that of RFC 5952', () => {
  for (const [text, short] of [
    ['0000:0000:0000:0000:0000:0000:0000:0000', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['2001:0:0:0:0:0:0:0', '2001::'],
    ['2001:db8:0:1:0:0:0:1', '2001:db8:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:DB8:1:2:3:4:0:8', '2001:db8:1:2:3:4:0:8'],
    ['::ffff:192.168.1.2', '::ffff:c0a8:102'],
    ['1::', '1::'],
  ] as const) {
    equal(compressIPv6(text), short);
    equal(compressIPv6(expandIPv6(short)), short);
  }
  for (const wrong of ['', ':', ':::', '1::2::3', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7::8', 'g::', '12345::', '::1.2.3', 'fe80::1%0']) {
    throws(() => serializeIPv6Address(wrong));
  }
});

test('the checksum of RFC 1071', () => {
  equal(calculateChecksum(new Uint8Array()), 0xffff);
  equal(calculateChecksum(Uint8Array.of(1, 2, 3)), 0xfbfd);
  equal(calculateChecksum(new Uint8Array(65536).fill(0xff)), 0);
  deepEqual(serializeIPv6Packet({ ...ipv6, protocol: 'icmpv6', payload: new Uint8Array(4) }).length, 44);
});
