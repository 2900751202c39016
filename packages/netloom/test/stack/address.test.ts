import { addressText, contains, familyOf, netmaskText, netText, networkOf, parseNet, putAddress } from '../../src/engine/address.ts';
import { deepEqual, equal, test } from '../harness.ts';

const bytes = new Uint8Array(16);
const canonical = (text: string) => addressText(bytes, 0, putAddress(text, bytes, 0));

test('addresses are read and written (RFC 5952)', () => {
  for (const [text, written] of [
    ['1.2.3.4', '1.2.3.4'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8::', '2001:db8::'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['0:0:0:1::', '0:0:0:1::'],
    ['::ffff:1.2.3.4', '::ffff:1.2.3.4'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['fe80::0001', 'fe80::1'],
  ] as const) {
    equal(canonical(text), written, text);
  }
});

test('what is no address is none', () => {
  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '1.2.3.',
    '.1.2.3',
    '01.2.3.4',
    'a.b.c.d',
    ' 1.2.3.4',
    '1..2.3',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    'g::',
    '::1.2.3',
    'fe80::1%eth0',
    '1:2:3:4:5:6:7:8::',
  ]) {
    equal(familyOf(text), 0, text);
  }
});

test('networks', () => {
  equal(netText(networkOf(parseNet('10.1.2.3/20'))), '10.1.0.0/20');
  equal(netText(networkOf(parseNet('fd12:3456::789a/33'))), 'fd12:3456::/33');
  equal(netText(parseNet('10.0.0.1')), '10.0.0.1/32');
  deepEqual([0, 1, 8, 20, 31, 32].map(netmaskText), ['0.0.0.0', '128.0.0.0', '255.0.0.0', '255.255.240.0', '255.255.255.254', '255.255.255.255']);
  const net = parseNet('192.168.16.1/20');
  const inside = (text: string) => contains(net, parseNet(text).address, parseNet(text).family);
  deepEqual(['192.168.31.255', '192.168.32.0', '192.168.15.255', '::1'].map(inside), [true, false, false, false]);
});
