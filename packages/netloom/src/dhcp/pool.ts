/**
 * Addresses of one network: which are free, whose the others are, and for how long.
 */
import { ipv4ToNumber, numberToIPv4 } from '../wire/address.ts';
import { broadcastOf, networkOf } from './packet.ts';

/** An address that a client has. */
export type DhcpLease = {
  ip: string;
  mac: string;
  /** Milliseconds since 1970, as of `Date.now()`. */
  expiresAt: number;
  /** The client's identifier, if it gives one: hexadecimal digits with colons. */
  clientId?: string;
  /** The name that the client gives itself. */
  hostname?: string;
};

/** An address that one client has always. */
export type DhcpReservation = {
  ip: string;
  /** By MAC address... */
  mac?: string;
  /** ...or by identifier: hexadecimal digits with colons. */
  clientId?: string;
};

/** Whom a message is from: the identifier counts where there is one, else the MAC address (RFC 2131 4.2). */
export type Client = { mac: string; clientId: string | undefined };

const OFFER_MS = 60_000;

/** The leases of a server, over all its networks. */
export class Leases {
  /** By the clients' MAC addresses, and identifiers where one MAC address has several. */
  readonly map = new Map<string, DhcpLease>();
  readonly #offers = new Map<string, DhcpLease>();
  readonly #declined = new Map<string, number>();
  readonly #reservations: readonly DhcpReservation[];

  constructor(reservations: readonly DhcpReservation[]) {
    this.#reservations = reservations.map(({ ip, mac, clientId }) => ({ ip, mac: mac?.toLowerCase(), clientId: clientId?.toLowerCase() }));
  }

  /** The lease of a client, expired or not. */
  of(client: Client): DhcpLease | undefined {
    const direct = this.map.get(client.mac);
    if (direct && isOf(direct, client)) return direct;
    for (const lease of this.map.values()) if (isOf(lease, client)) return lease;
    return undefined;
  }

  /** The address reserved for a client on this network. */
  reservedFor(client: Client, pool: Pool): string | undefined {
    return this.#reservations.find((reservation) => isOf(reservation, client) && pool.isOnNetwork(reservation.ip))?.ip;
  }

  /** Whether a client may have an address. */
  isFree(ip: string, client: Client, pool: Pool): boolean {
    const reserved = this.reservedFor(client, pool);
    return (reserved === undefined ? pool.has(ip) : ip === reserved) && !this.#taken(client).has(ip);
  }

  /** An address for a client: the one reserved for it, its last one, the one it wants, or the first that nobody has. */
  choose(client: Client, wanted: string | undefined, pool: Pool): string | undefined {
    const taken = this.#taken(client);
    const reserved = this.reservedFor(client, pool);
    if (reserved !== undefined) return taken.has(reserved) ? undefined : reserved;
    for (const ip of [this.of(client)?.ip, this.#offers.get(keyOf(client))?.ip, wanted]) if (ip !== undefined && pool.has(ip) && !taken.has(ip)) return ip;
    // Whoever comes back finds its old address, as long as there are others to give.
    const remembered = new Map([...this.map.values()].map(({ ip, expiresAt }) => [ip, expiresAt]));
    let oldest: string | undefined;
    for (const ip of pool.addresses()) {
      if (taken.has(ip)) continue;
      if (!remembered.has(ip)) return ip;
      if (oldest === undefined || remembered.get(ip)! < remembered.get(oldest)!) oldest = ip;
    }
    return oldest;
  }

  /** Keeps an address for a client until it has had time to answer. */
  offer(client: Client, ip: string): void {
    this.#offers.set(keyOf(client), { ip, ...client, expiresAt: Date.now() + OFFER_MS });
  }

  /** Ends what a client was offered. */
  withdraw(client: Client): void {
    this.#offers.delete(keyOf(client));
  }

  /** Gives a client an address; true if it had it before. */
  bind(client: Client, ip: string, expiresAt: number, hostname: string | undefined): { lease: DhcpLease; isRenewal: boolean } {
    this.withdraw(client);
    const before = this.of(client);
    const isRenewal = before?.ip === ip && before.expiresAt > Date.now();
    for (const [key, lease] of this.map) if (lease === before || lease.ip === ip) this.map.delete(key);
    const lease: DhcpLease = { ip, mac: client.mac, expiresAt };
    if (client.clientId !== undefined) lease.clientId = client.clientId;
    if (hostname) lease.hostname = hostname;
    this.map.set(this.map.has(client.mac) ? `${client.mac}/${client.clientId}` : client.mac, lease);
    return { lease, isRenewal };
  }

  /** Ends the lease of a client on this address, or on any. */
  release(client: Client, ip: string | undefined): DhcpLease | undefined {
    for (const [key, lease] of this.map) {
      if (!isOf(lease, client) || (ip !== undefined && lease.ip !== ip)) continue;
      this.map.delete(key);
      return lease;
    }
    return undefined;
  }

  /** Leaves an address alone, as someone else uses it. */
  decline(client: Client, ip: string, until: number): boolean {
    const isTheirs = this.of(client)?.ip === ip || this.#offers.get(keyOf(client))?.ip === ip;
    if (!isTheirs) return false;
    this.release(client, ip);
    this.withdraw(client);
    this.#declined.set(ip, until);
    return true;
  }

  /** Addresses that others have, were offered, or have reserved, and those in use by nobody knows whom. */
  #taken(client: Client): Set<string> {
    const now = Date.now();
    const taken = new Set<string>();
    for (const lease of this.map.values()) if (lease.expiresAt > now && !isOf(lease, client)) taken.add(lease.ip);
    for (const [key, offer] of this.#offers) {
      if (offer.expiresAt <= now) this.#offers.delete(key);
      else if (key !== keyOf(client)) taken.add(offer.ip);
    }
    for (const [ip, until] of this.#declined) {
      if (until <= now) this.#declined.delete(ip);
      else taken.add(ip);
    }
    for (const reservation of this.#reservations) if (!isOf(reservation, client)) taken.add(reservation.ip);
    return taken;
  }
}

/** The addresses that a network's clients are given. */
export class Pool {
  readonly netmask: string;
  readonly #first: number;
  readonly #last: number;
  readonly #excluded: ReadonlySet<string>;

  /** Throws if the range is none. */
  constructor({ start, end }: { start: string; end: string }, netmask: string, used: readonly string[]) {
    this.netmask = netmask;
    this.#first = ipv4ToNumber(start);
    this.#last = ipv4ToNumber(end);
    if (this.#first > this.#last || networkOf(start, netmask) !== networkOf(end, netmask)) throw new Error(`invalid lease range: ${start} to ${end}`);
    const isPointToPoint = ipv4ToNumber(netmask) >= 0xfffffffe;
    this.#excluded = new Set([...used, ...(isPointToPoint ? [] : [networkOf(start, netmask), broadcastOf(start, netmask)])]);
  }

  has(ip: string): boolean {
    const number = ipv4ToNumber(ip);
    return number >= this.#first && number <= this.#last && !this.#excluded.has(ip);
  }

  isOnNetwork(ip: string): boolean {
    return networkOf(ip, this.netmask) === networkOf(numberToIPv4(this.#first), this.netmask);
  }

  *addresses(): IterableIterator<string> {
    for (let number = this.#first; number <= this.#last; number++) {
      const ip = numberToIPv4(number);
      if (!this.#excluded.has(ip)) yield ip;
    }
  }
}

function isOf({ mac, clientId }: { mac?: string; clientId?: string }, client: Client): boolean {
  if (clientId !== undefined && client.clientId !== undefined) return clientId === client.clientId;
  return mac === client.mac;
}

function keyOf({ mac, clientId }: Client): string {
  return clientId ?? mac;
}
