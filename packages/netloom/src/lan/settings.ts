/**
 * A LAN's options as its module reads them: numbers, and settings behind each other in the arena.
 */
import { parseMac, parseNet, putAddress, type Net } from '../engine/address.ts';
import { NetworkError } from '../errors.ts';
import { inRange, portOf } from '../tcp/options.ts';
import { LAN_FLAG, SETTING } from './abi.ts';
import type { LanDhcpOptions, LanDnsOptions, LanOptions } from './types.ts';
import { generateMacAddress } from '../wire/address.ts';

/** What the module is told. */
export type Settings = {
  /** The gateway's address. */
  address: string;
  /** Domain of guests' names, with a dot before it, or nothing. */
  suffix: string;
  mtu: number;
  /** The numbers of `start`, up to the length of the settings. */
  numbers: [number, number, number, number, number, number, number, number];
  bytes: Uint8Array;
};

const DEFAULT_IP = '192.168.86.1/24';
const DEFAULT_MAC = '52:54:00:01:02:03';
const DOMAIN = 'lan';
/** Where pools begin, if the network is large enough. */
const FIRST_HOST = 100;
/** The network of a switch, whose guests have any address. */
const NO_NET = '0.0.0.0/0';
const SWITCH_ALONE = { gateway: false, dhcp: false, dns: false, ntp: false, echoPorts: [], answerPings: false } as const;
const MOST_MILLISECONDS = 2 ** 31;

/** Checks a LAN's options. @throws NetworkError `EINVAL` */
export function settingsOf(given: LanOptions): Settings {
  const options: LanOptions = given.ip === false ? { ...given, ...SWITCH_ALONE } : given;
  const { ip = DEFAULT_IP, mac = DEFAULT_MAC, gateway = true, dhcp = {}, dns = {}, ntp = true, echoPorts = [7, 8], answerPings = true } = options;
  const net = parseNet(ip || NO_NET);
  if (ip !== false && (net.family !== 4 || net.prefix < 8 || net.prefix > 30)) throw invalid(`ip must be an IPv4 address with a network of /8 to /30: ${ip}`);
  const writer = new Writer();
  writer.put(SETTING.net, [...net.address.subarray(0, 4), net.prefix]);
  // A switch alone must not keep the gateway of another network from its own.
  writer.put(SETTING.mac, ip === false ? generateMacAddress() : parseMac(mac));
  const domain = (dns || {}).domain ?? DOMAIN;
  putPool(writer, net, dhcp || {}, domain);
  if (dns) putDns(writer, dns, domain);
  if (options.ipv6 !== undefined && ip !== false) putIpv6(writer, options.ipv6);
  for (const port of echoPorts) writer.put(SETTING.echoPort, [portOf(port, 1) & 255, port >> 8]);
  const flags =
    (gateway ? LAN_FLAG.gateway : 0) |
    (dhcp ? LAN_FLAG.dhcp : 0) |
    (dns ? LAN_FLAG.dns : 0) |
    (dns && (dns.everywhere ?? true) ? LAN_FLAG.dnsEverywhere : 0) |
    (ntp ? LAN_FLAG.ntp : 0) |
    (answerPings ? LAN_FLAG.answerPings : 0);
  const mtu = inRange('mtu', options.mtu ?? 1500, 68, 65_535);
  const milliseconds = (name: string, value: number, least: number) => inRange(name, value, least, MOST_MILLISECONDS) * 1000;
  return {
    address: ip === false ? '' : ip.split('/')[0]!,
    suffix: domain === '' ? '' : `.${domain.toLowerCase()}`,
    mtu,
    numbers: [
      flags,
      mtu,
      inRange('dhcp.lease', (dhcp || {}).lease ?? 86_400, 60, 2 ** 32 - 1),
      milliseconds('dns.timeout', (dns || {}).timeout ?? 5000, 100),
      milliseconds('dialTimeout', options.dialTimeout ?? 30_000, 100),
      milliseconds('datagramIdle', options.datagramIdle ?? 60_000, 1000),
      inRange('flowsPerGuest', options.flowsPerGuest ?? 4096, 1, 2 ** 31),
      inRange('bufferSize', options.bufferSize ?? 64 << 20, 1 << 16, 2 ** 31),
    ],
    bytes: writer.bytes(),
  };
}

function putPool(writer: Writer, net: Net, dhcp: LanDhcpOptions, domain: string): void {
  const hostMask = 2 ** (32 - net.prefix) - 1;
  const own = numberOf(net.address);
  const network = own - (own & hostMask);
  const first = dhcp.first === undefined ? v4Bytes(network + (hostMask > FIRST_HOST ? FIRST_HOST : 1)) : v4(dhcp.first);
  const last = dhcp.last === undefined ? v4Bytes(network + hostMask - 1) : v4(dhcp.last);
  for (const end of [first, last]) {
    if (numberOf(end) < network || numberOf(end) > network + hostMask) throw invalid(`the addresses of dhcp must lie in the LAN's network: ${end.join('.')}`);
  }
  if (numberOf(first) > numberOf(last)) throw invalid(`dhcp.first must not lie behind dhcp.last: ${first.join('.')}`);
  writer.put(SETTING.pool, [...first, ...last]);
  writer.text(SETTING.dhcpDomain, dhcp.domain ?? domain);
  if (dhcp.nameServers)
    writer.put(
      SETTING.nameServers,
      dhcp.nameServers.flatMap((server) => [...v4(server)]),
    );
  for (const [mac, address] of Object.entries(dhcp.fixed ?? {})) writer.put(SETTING.fixed, [...parseMac(mac), ...v4(address)]);
}

function putDns(writer: Writer, dns: LanDnsOptions, domain: string): void {
  writer.text(SETTING.dnsDomain, domain);
  if (dns.wildcard !== undefined) writer.put(SETTING.wildcard, v4(dns.wildcard));
  for (const [name, addresses] of Object.entries(dns.records ?? {})) {
    for (const address of addresses) {
      const bytes = new Uint8Array(17);
      bytes[0] = putAddress(address, bytes, 1);
      if (bytes[0] === 0) throw invalid(`not an address: ${address}`);
      writer.put(SETTING.record, [...bytes, ...encode(name)]);
    }
  }
}

function putIpv6(writer: Writer, text: string): void {
  const { address, family, prefix } = parseNet(text);
  if (family !== 6 || prefix !== 64) throw invalid(`ipv6 must be an IPv6 address with a network of /64: ${text}`);
  writer.put(SETTING.ipv6, [...address, prefix]);
}

/** Writes settings behind each other. */
class Writer {
  readonly #bytes: number[] = [];

  put(kind: number, value: Iterable<number>): void {
    const bytes = [...value];
    if (bytes.length > 65_535) throw invalid('an option of the LAN is too long');
    this.#bytes.push(kind, bytes.length & 255, bytes.length >> 8, ...bytes);
  }

  text(kind: number, value: string): void {
    this.put(kind, encode(value));
  }

  bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function v4(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  if (putAddress(text, bytes, 0) !== 4) throw invalid(`not an IPv4 address: ${text}`);
  return bytes.subarray(0, 4);
}

function v4Bytes(number: number): Uint8Array {
  return Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number);
}

function numberOf(bytes: Uint8Array): number {
  return ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0;
}

function invalid(message: string): NetworkError {
  return new NetworkError('EINVAL', { message });
}
