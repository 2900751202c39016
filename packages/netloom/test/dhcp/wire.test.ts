import { DhcpMessageTypes, DhcpOptions, parseDhcpMessage, parseDhcpMessageType, serializeDhcpMessage, serializeDhcpMessageType } from '../../src/dhcp/index.ts';
import { parsePacket, receivePacket, serializePacket } from '../../src/dhcp/packet.ts';
import { optionsOf, settingsOf } from '../../src/dhcp/settings.ts';
import { deepEqual, equal, ok, test, throws } from '../harness.ts';

const fields = {
  op: 1,
  htype: 1,
  hlen: 6,
  xid: 0x12345678,
  seconds: 3,
  isBroadcast: true,
  ciaddr: '0.0.0.0',
  yiaddr: '10.0.0.2',
  siaddr: '10.0.0.3',
  giaddr: '10.0.0.4',
  mac: '02:00:00:00:00:01',
};

test('a message reads back as it was written, long options in parts', () => {
  const options = new Map([
    [53, Uint8Array.of(1)],
    [61, new Uint8Array(600).map((_, i) => i)],
    [80, new Uint8Array()],
  ]);
  const bytes = serializePacket({ ...fields, options });
  deepEqual(receivePacket(bytes), { ...fields, options });
  const buffer = new Uint8Array(bytes.length + 8).fill(0xff);
  buffer.set(bytes, 3);
  deepEqual(receivePacket(buffer.subarray(3, 3 + bytes.length)), { ...fields, options });
});

test('options may go on in the fields for names', () => {
  const bytes = serializePacket({ ...fields, options: [[52, Uint8Array.of(3)]] });
  bytes.set([12, 2, 97, 98, 255], 108);
  bytes.set([0, 12, 1, 99, 255], 44);
  deepEqual(parsePacket(bytes).options.get(12), Uint8Array.of(97, 98, 99));
});

test('what is cut off, or no message of DHCP over Ethernet, throws', () => {
  const bytes = serializePacket({
    ...fields,
    options: [
      [53, Uint8Array.of(1)],
      [12, Uint8Array.of(97, 98)],
    ],
  });
  for (let length = 0; length < 240; length++) throws(() => parsePacket(bytes.slice(0, length)), { message: 'dhcp message too short' });
  for (const length of [241, 242, 244, 245, 246]) throws(() => parsePacket(bytes.slice(0, length)), { message: 'truncated dhcp option' });
  for (const [at, value] of [
    [236, 0],
    [1, 6],
    [2, 16],
  ] as const)
    throws(() => receivePacket(bytes.map((byte, i) => (i === at ? value : byte))));
});

test('random bytes never do worse than throw an Error', () => {
  for (let round = 0; round < 5000; round++) {
    const bytes = crypto.getRandomValues(new Uint8Array(240 + (round % 120)));
    try {
      settingsOf(parsePacket(bytes).options);
    } catch (error) {
      ok(error instanceof Error);
    }
  }
});

test('settings read back from their options', () => {
  const settings = {
    netmask: '255.255.255.0',
    router: ['10.0.0.1', '10.0.0.2'],
    dnsServers: ['10.0.0.53'],
    hostname: 'guest',
    domainName: 'example.com',
    searchDomains: ['eng.example.com', 'example.com'],
    mtu: 65_520,
    ntpServers: ['10.0.0.123'],
    routes: [
      { destination: '0.0.0.0/0', router: '10.0.0.1' },
      { destination: '172.16.0.0/12', router: '10.0.0.9' },
      { destination: '10.1.2.3/32', router: '0.0.0.0' },
    ],
  };
  deepEqual(settingsOf(optionsOf(settings)), settings);
  deepEqual(
    optionsOf({ netmask: '255.0.0.0', options: { 200: Uint8Array.of(1) }, dnsServers: [] }),
    new Map([
      [1, Uint8Array.of(255, 0, 0, 0)],
      [200, Uint8Array.of(1)],
    ]),
  );
});

test('search domains may be compressed; malformed options are left out', () => {
  // RFC 3397 2: eng.apple.com., marketing.apple.com.
  const domains = Uint8Array.from(
    [3, ...'eng'].map(byteOf).concat([5, ...'apple'].map(byteOf), [3, ...'com'].map(byteOf), 0, [9, ...'marketing'].map(byteOf), 0xc0, 4),
  );
  deepEqual(settingsOf(new Map([[119, domains]])).searchDomains, ['eng.apple.com', 'marketing.apple.com']);
  const broken = settingsOf(
    new Map([
      [1, Uint8Array.of(255, 0, 255, 0)],
      [119, Uint8Array.of(5, 1)],
      [121, Uint8Array.of(33, 1)],
      [26, Uint8Array.of(0, 67)],
      [3, Uint8Array.of(1, 2, 3)],
    ]),
  );
  deepEqual([broken.netmask, broken.searchDomains, broken.routes, broken.mtu, broken.router], ['', [], [], undefined, []]);
});

function byteOf(value: string | number): number {
  return typeof value === 'number' ? value : value.charCodeAt(0);
}

test("tcpip.js' names: messages as its programs read and write them", () => {
  equal(parseDhcpMessageType(serializeDhcpMessageType('ACK')), 'ACK');
  throws(() => parseDhcpMessageType(99), { message: 'unknown dhcp message type: 99' });
  const data = new Uint8Array(250);
  data.set([1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78]);
  data.set([DhcpOptions.MESSAGE_TYPE, 1, DhcpMessageTypes.DISCOVER, 50, 4, 192, 168, 1, 100], 240);
  deepEqual(
    { ...parseDhcpMessage(data) },
    {
      op: 1,
      htype: 1,
      hlen: 6,
      xid: 0x12345678,
      ciaddr: '0.0.0.0',
      yiaddr: '0.0.0.0',
      mac: '00:00:00:00:00:00',
      type: 'DISCOVER',
      requestedIP: '192.168.1.100',
      serverIdentifier: undefined,
    },
  );
  const options = {
    serverIdentifier: '192.168.1.1',
    leaseDuration: 3600,
    netmask: '255.255.255.0',
    router: '192.168.1.1',
    dnsServers: ['10.0.0.1', '10.0.0.2'],
  };
  const bytes = serializeDhcpMessage({ op: 2, type: DhcpMessageTypes.OFFER, xid: 7, yiaddr: '192.168.1.100', mac: '11:22:33:44:55:66' }, options);
  deepEqual([...bytes.subarray(236, 243)], [0x63, 0x82, 0x53, 0x63, 53, 1, 2]);
  equal(bytes.at(-1), 255);
  deepEqual(parsePacket(bytes).options.get(6), Uint8Array.of(10, 0, 0, 1, 10, 0, 0, 2));
});
