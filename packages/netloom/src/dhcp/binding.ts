/**
 * What a client has been given, and how it comes onto an interface and off again.
 */
import { ipv4ToNumber, netmaskSize } from '../wire/address.ts';
import { DhcpOptions, INFINITE_SECONDS } from './constants.ts';
import { type DhcpReplyPacket } from './mailbox.ts';
import { ipOf, numberOf } from './packet.ts';
import { type DhcpSettings, settingsOf } from './settings.ts';

/** What a client has: an address, what it was told with it, and until when. Times are as of `Date.now()`. */
export type DhcpBinding = Omit<DhcpSettings, 'router' | 'options'> & {
  ip: string;
  /** As `192.168.1.100/24`. */
  cidr: string;
  /** Default gateways, the preferred one first. */
  routers: string[];
  serverIdentifier: string;
  renewsAt: number;
  rebindsAt: number;
  /** `Infinity` if it never does. */
  expiresAt: number;
  /** Every option by its code. */
  options: ReadonlyMap<number, Uint8Array>;
};

/** What the client needs of an interface; those of a stack have it. */
export type DhcpInterface = {
  readonly name: string;
  readonly mac: string;
  /** Gives it an address, as `10.0.0.2/24`. What rejects makes the client decline the address. */
  addAddress(address: string): Promise<void>;
  /** Takes it away. */
  removeAddress(address: string): Promise<void>;
};

type Route = { destination: string; via?: string | { readonly name: string }; interface?: { readonly name: string } };

/** What the client needs of a table of routes; a stack's has it. */
export type DhcpRoutes = {
  /** Adds a route by a gateway, or to what an interface reaches directly. */
  add(route: Route): void;
  /** Removes it. */
  remove(route: Route): unknown;
};

/** Who is told of name servers; a `DnsClient` may be. */
export type DhcpResolver = { nameServers: { ip: string; port?: number }[]; search: string[] };

/** What a reply gives; `undefined` if it lacks what a lease must have. `sentAt` is when it was asked for (RFC 2131 4.4.1). */
export function bindingOf(reply: DhcpReplyPacket, sentAt: number): DhcpBinding | undefined {
  const { yiaddr: ip, options } = reply;
  const lease = numberOf(options.get(DhcpOptions.LEASE_TIME));
  const serverIdentifier = ipOf(options.get(DhcpOptions.SERVER_IDENTIFIER));
  const first = ipv4ToNumber(ip) >>> 24;
  if (lease === undefined || lease === 0 || serverIdentifier === undefined || first === 0 || first === 127 || first >= 224) return undefined;
  const { router: routers, netmask: given, ...settings } = settingsOf(options);
  // A server that tells no mask means that of the address's class (RFC 950 2.1).
  const netmask = given || (first < 128 ? '255.0.0.0' : first < 192 ? '255.255.0.0' : '255.255.255.0');
  // None, or 0, or out of order: the defaults (RFC 2131 4.4.5).
  const t2 = numberOf(options.get(DhcpOptions.REBINDING_TIME)) || Infinity;
  const rebinding = t2 < lease ? t2 : lease * 0.875;
  const t1 = numberOf(options.get(DhcpOptions.RENEWAL_TIME)) || Infinity;
  const renewal = t1 < rebinding ? t1 : Math.min(lease * 0.5, rebinding);
  const at = (seconds: number): number => (lease === INFINITE_SECONDS ? Infinity : sentAt + seconds * 1000);
  return {
    ...settings,
    netmask,
    ip,
    cidr: `${ip}/${netmaskSize(netmask)}`,
    routers,
    serverIdentifier,
    renewsAt: at(renewal),
    rebindsAt: at(rebinding),
    expiresAt: at(lease),
    options,
  };
}

/** Gives an interface its address, the table its routes and the resolver its servers. The result takes them back. */
export async function apply(
  binding: DhcpBinding,
  to: DhcpInterface,
  routes: DhcpRoutes | undefined,
  resolver: DhcpResolver | undefined,
): Promise<() => Promise<void>> {
  await to.addAddress(binding.cidr);
  const added: Route[] = [];
  const add = (route: Route): void => {
    try {
      routes?.add(route);
      added.push(route);
    } catch {
      // One route that cannot be must not keep the rest away.
    }
  };
  const told = binding.routes ?? [];
  const wanted = told.length > 0 ? told : binding.routers.slice(0, 1).map((router) => ({ destination: '0.0.0.0/0', router }));
  for (const { destination, router } of wanted) {
    if (router === '0.0.0.0') add({ destination, via: to });
    else {
      if (!isOnNetwork(router, binding)) add({ destination: `${router}/32`, via: to });
      add({ destination, via: router, interface: to });
    }
  }
  const before = resolver && { nameServers: resolver.nameServers, search: resolver.search };
  const { dnsServers = [], searchDomains = [], domainName } = binding;
  if (resolver && dnsServers.length > 0) {
    resolver.nameServers = dnsServers.map((ip) => ({ ip }));
    resolver.search = searchDomains.length > 0 ? searchDomains : domainName ? [domainName] : [];
  }
  return async () => {
    for (const route of added.reverse()) routes?.remove(route);
    if (resolver && before) Object.assign(resolver, before);
    await to.removeAddress(binding.cidr);
  };
}

/** Whether a binding tells the same as another, its times apart. */
export function isSame(a: DhcpBinding, b: DhcpBinding): boolean {
  const told = ({ cidr, routers, routes, dnsServers, searchDomains, domainName, mtu }: DhcpBinding): string =>
    JSON.stringify([cidr, routers, routes, dnsServers, searchDomains, domainName, mtu]);
  return told(a) === told(b);
}

function isOnNetwork(ip: string, { ip: own, netmask }: DhcpBinding): boolean {
  const mask = ipv4ToNumber(netmask);
  return ((ipv4ToNumber(ip) ^ ipv4ToNumber(own)) & mask) === 0;
}
