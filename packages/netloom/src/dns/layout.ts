/**
 * The fields of each type's data in the order in which they stand in it: what parser and serialiser share.
 */
import type { DnsData } from './types.ts';

/** How a field stands there: an address, a name, a number of bytes, a string with its length, strings to the end, text to the end, parameters of RFC 9460. */
export type FieldKind = 'ipv4' | 'ipv6' | 'name' | 1 | 2 | 4 | 'string' | 'strings' | 'text' | 'params';

export const LAYOUTS: { readonly [type in DnsData['type']]?: readonly (readonly [field: string, kind: FieldKind])[] } = {
  A: [['ip', 'ipv4']],
  AAAA: [['ip', 'ipv6']],
  NS: [['ns', 'name']],
  CNAME: [['cname', 'name']],
  PTR: [['ptr', 'name']],
  MX: [
    ['preference', 2],
    ['exchange', 'name'],
  ],
  TXT: [['value', 'strings']],
  SRV: [
    ['priority', 2],
    ['weight', 2],
    ['port', 2],
    ['target', 'name'],
  ],
  CAA: [
    ['flags', 1],
    ['tag', 'string'],
    ['value', 'text'],
  ],
  SOA: [
    ['mname', 'name'],
    ['rname', 'name'],
    ['serial', 4],
    ['refresh', 4],
    ['retry', 4],
    ['expire', 4],
    ['minimum', 4],
  ],
  SVCB: [
    ['priority', 2],
    ['target', 'name'],
    ['params', 'params'],
  ],
  HTTPS: [
    ['priority', 2],
    ['target', 'name'],
    ['params', 'params'],
  ],
};

/** Parameters of RFC 9460 by their keys, and how they stand there. */
export const SERVICE_PARAMETERS = [
  ['mandatory', 2],
  ['alpn', 'string'],
  ['no-default-alpn'],
  ['port', 2],
  ['ipv4hint', 'ipv4'],
  ['ech'],
  ['ipv6hint', 'ipv6'],
] as const;
