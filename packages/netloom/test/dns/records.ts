/** A record of every type. */
import type { DnsRecord } from '../../src/dns/index.ts';

export const common = { name: 'www.example.com', class: 'IN', ttl: 60 } as const;
export const records: DnsRecord[] = [
  { ...common, type: 'A', ip: '10.0.0.1' },
  { ...common, type: 'AAAA', ip: '2001:db8::1' },
  { ...common, type: 'NS', ns: 'ns.example.com' },
  { ...common, type: 'CNAME', cname: 'example.com' },
  { ...common, type: 'PTR', ptr: 'host' },
  { ...common, type: 'MX', preference: 10, exchange: 'mail.example.com' },
  { ...common, type: 'TXT', value: 'x'.repeat(300) },
  { ...common, type: 'SRV', priority: 1, weight: 2, port: 443, target: 'www.example.com' },
  { ...common, type: 'CAA', flags: 128, tag: 'issue', value: 'ca.example.net' },
  { ...common, type: 'SOA', mname: 'ns.example.com', rname: 'admin.example.com', serial: 4294967295, refresh: 1, retry: 2, expire: 3, minimum: 4 },
  {
    ...common,
    type: 'HTTPS',
    priority: 1,
    target: '',
    params: {
      mandatory: ['alpn', 'key7'],
      alpn: ['h2', 'http/1.1'],
      'no-default-alpn': true,
      port: 8443,
      ipv4hint: ['10.0.0.1', '10.0.0.2'],
      ech: Uint8Array.of(1, 2),
      ipv6hint: ['2001:db8::1'],
      key7: Uint8Array.of(47),
    },
  },
  { ...common, type: 'SVCB', priority: 0, target: 'svc.example.com', params: {} },
  { ...common, type: 'TYPE65280', data: Uint8Array.of(1, 2, 3) },
];
