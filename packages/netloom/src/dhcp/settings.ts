/**
 * What a server tells a client of its network, as options (RFC 2132, 3397, 3442).
 */
import { parseName, serializeName } from '../dns/names.ts';
import { concat, words } from '../wire/bytes.ts';
import { generateNetmask, netmaskSize, parseIPv4Address, serializeIPv4Address } from '../wire/address.ts';
import { DhcpOptions } from './constants.ts';
import { ipOf, ips, ipsOf, numberOf, textOf } from './packet.ts';

/** A route: a network, as `10.0.0.0/8`, and the router that leads there; `0.0.0.0` where it is reached directly. */
export type DhcpRoute = { destination: string; router: string };

/** What clients are told. */
export type DhcpSettings = {
  netmask: string;
  /** The default gateway, or several in order of preference. Default: none. */
  router?: string | string[];
  dnsServers?: string[];
  /** A name for the client. */
  hostname?: string;
  domainName?: string;
  searchDomains?: string[];
  /** Bytes of the largest packet, 68 to 65,535. */
  mtu?: number;
  ntpServers?: string[];
  /** Clients that know this option go by it alone and ignore `router` (RFC 3442). */
  routes?: DhcpRoute[];
  /** Further options by their codes, 1 to 254. */
  options?: Record<number, Uint8Array>;
};

/** The options for settings. Throws if one is none. */
export function optionsOf(settings: DhcpSettings): Map<number, Uint8Array> {
  const { netmask, router, dnsServers, hostname, domainName, searchDomains, mtu, ntpServers, routes, options = {} } = settings;
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const entries: [number, Uint8Array | undefined | false][] = [
    [DhcpOptions.SUBNET_MASK, serializeIPv4Address(netmask)],
    [DhcpOptions.ROUTER, router !== undefined && ips([router].flat())],
    [DhcpOptions.DNS_SERVERS, dnsServers && ips(dnsServers)],
    [DhcpOptions.HOSTNAME, hostname !== undefined && text(hostname)],
    [DhcpOptions.DOMAIN_NAME, domainName !== undefined && text(domainName)],
    [DhcpOptions.DOMAIN_SEARCH, searchDomains && concat(searchDomains.map(serializeName))],
    [DhcpOptions.INTERFACE_MTU, mtu !== undefined && words(mtu)],
    [DhcpOptions.NTP_SERVERS, ntpServers && ips(ntpServers)],
    [DhcpOptions.CLASSLESS_ROUTES, routes && concat(routes.map(serializeRoute))],
    ...Object.entries(options).map(([code, value]): [number, Uint8Array] => [Number(code), value]),
  ];
  // Options of no bytes are none (RFC 2132 2).
  return new Map(entries.filter((entry): entry is [number, Uint8Array] => Boolean(entry[1]) && (entry[1] as Uint8Array).length > 0));
}

/** What options say; those that are malformed are left out. */
export function settingsOf(options: ReadonlyMap<number, Uint8Array>): DhcpSettings & { router: string[] } {
  const mask = ipOf(options.get(DhcpOptions.SUBNET_MASK));
  const mtu = numberOf(options.get(DhcpOptions.INTERFACE_MTU));
  return {
    netmask: mask !== undefined && isNetmask(mask) ? mask : '',
    router: ipsOf(options.get(DhcpOptions.ROUTER)),
    dnsServers: ipsOf(options.get(DhcpOptions.DNS_SERVERS)),
    hostname: textOf(options.get(DhcpOptions.HOSTNAME)),
    domainName: textOf(options.get(DhcpOptions.DOMAIN_NAME)),
    searchDomains: attempt(() => parseDomains(options.get(DhcpOptions.DOMAIN_SEARCH))) ?? [],
    mtu: mtu !== undefined && mtu >= 68 ? mtu : undefined,
    ntpServers: ipsOf(options.get(DhcpOptions.NTP_SERVERS)),
    routes: attempt(() => parseRoutes(options.get(DhcpOptions.CLASSLESS_ROUTES))) ?? [],
  };
}

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}

function isNetmask(mask: string): boolean {
  return attempt(() => netmaskSize(mask)) !== undefined;
}

/** Names one after the other, compressed among themselves (RFC 3397 2). */
function parseDomains(value: Uint8Array = new Uint8Array()): string[] {
  const domains = [];
  for (let at = 0; at < value.length; ) {
    const [name, end] = parseName(value, at);
    domains.push(name);
    at = end;
  }
  return domains;
}

/** The prefix's length, as many bytes of the network as it has, and the router (RFC 3442). */
function serializeRoute({ destination, router }: DhcpRoute): Uint8Array {
  const [network = '', prefix] = destination.split('/');
  const size = Number(prefix ?? NaN);
  if (!(Number.isInteger(size) && size >= 0 && size <= 32)) throw new Error(`invalid route: ${destination}`);
  return concat([Uint8Array.of(size), serializeIPv4Address(network).subarray(0, Math.ceil(size / 8)), serializeIPv4Address(router)]);
}

function parseRoutes(value: Uint8Array = new Uint8Array()): DhcpRoute[] {
  const routes = [];
  for (let at = 0; at < value.length; ) {
    const size = value[at]!;
    const bytes = Math.ceil(size / 8);
    const end = at + 1 + bytes + 4;
    if (size > 32 || end > value.length) throw new Error('invalid classless routes');
    const network = new Uint8Array(4);
    network.set(value.subarray(at + 1, at + 1 + bytes));
    const mask = generateNetmask(size);
    routes.push({
      destination: `${parseIPv4Address(network.map((byte, i) => byte & mask[i]!))}/${size}`,
      router: parseIPv4Address(value.subarray(end - 4, end)),
    });
    at = end;
  }
  return routes;
}
