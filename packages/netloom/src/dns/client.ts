/**
 * A stub resolver (RFC 1034 5.3.1): several servers, tried again when they are silent, a cache, search domains and a hosts table.
 */
import { NetworkError } from '../errors.ts';
import type { DatagramTransport, StreamTransport } from '../transport/types.ts';
import { type Answer, DnsCache } from './cache.ts';
import { type DnsTransports, exchange } from './exchange.ts';
import { canonicalIP, familyOf, ipToPtrName, sameName, serializeName } from './names.ts';
import type { DnsMessage, DnsRecord, DnsType, NameServer } from './types.ts';
import { shared } from './waiting.ts';

/** What a resolver is told. */
export type DnsClientOptions = {
  /** The one server to ask. Default `127.0.0.1`, port 53. */
  nameServer?: NameServer;
  /** The servers to ask, in this order; goes before `nameServer`. */
  nameServers?: NameServer[];
  /** Carries questions whose answer did not fit into a datagram. Default: the stack's, if a stack was given. */
  tcp?: StreamTransport;
  /** Milliseconds that a server has for its answer, 1 or more; each round over the servers doubles them. Default 1,000. */
  timeout?: number;
  /** Rounds over the servers, 1 or more. Default 3. */
  attempts?: number;
  /** Domains tried behind a name of fewer dots than `ndots`. */
  search?: string[];
  /** Dots from which on a name is tried as it is first, 0 or more. Default 1. */
  ndots?: number;
  /** Addresses of names, asked before any server, also for `reverse`. */
  hosts?: Record<string, string | string[]>;
  /** Answers kept until their TTL ends, 0 or more. Default 256. */
  cacheSize?: number;
};

/** An address of a name. */
export type DnsAddress = { address: string; family: 4 | 6 };
/** What every lookup takes. */
export type DnsLookupOptions = {
  /** Gives this lookup up. */
  signal?: AbortSignal;
};

const MAX_ALIASES = 8;
// Larger answers are rare and would make the cache's size in bytes hard to tell.
const MAX_CACHED_RECORDS = 64;

/**
 * Asks name servers.
 *
 * @example
 * ```ts
 * import { createStack } from 'netloom';
 * import { DnsClient, DnsServer } from 'netloom/dns';
 *
 * const stack = await createStack();
 * const server = new DnsServer(stack, { request: async ({ type }) => (type === 'A' ? { type, ip: '10.0.0.7', ttl: 60 } : []) });
 * await server.listen();
 *
 * const client = new DnsClient(stack, { nameServer: { ip: '127.0.0.1' }, search: ['example.com'] });
 * console.log(await client.lookup('printer')); // 10.0.0.7
 *
 * await client.close();
 * await server.close();
 * await stack.close();
 * ```
 */
export class DnsClient implements AsyncDisposable {
  /** The servers to ask, in this order. */
  nameServers: NameServer[];
  /** Domains tried behind short names. */
  search: string[];
  readonly #transports: DnsTransports;
  readonly #options: Required<Pick<DnsClientOptions, 'timeout' | 'attempts' | 'ndots'>>;
  readonly #hosts = new Map<string, string[]>();
  readonly #cache: DnsCache;
  readonly #pending = shared<DnsRecord[]>();
  #closed: NetworkError | undefined;

  constructor(transport: DatagramTransport | DnsTransports, options: DnsClientOptions = {}) {
    this.#transports = transportsOf(transport, options.tcp);
    this.nameServers = options.nameServers ?? [options.nameServer ?? { ip: '127.0.0.1' }];
    this.search = options.search ?? [];
    this.#options = { timeout: options.timeout ?? 1000, attempts: options.attempts ?? 3, ndots: options.ndots ?? 1 };
    this.#cache = new DnsCache(options.cacheSize ?? 256);
    for (const [name, ips] of Object.entries(options.hosts ?? {})) this.#hosts.set(plain(name), [ips].flat().map(canonicalIP));
  }

  /**
   * An address of `name`: an IPv4 one if it has any. An address is its own.
   *
   * Rejects with `ENOTFOUND` if the name has none, `ETIMEDOUT` if no server answered, `EAI_AGAIN` if none answered usefully.
   */
  async lookup(name: string, { signal }: DnsLookupOptions = {}): Promise<string> {
    const known = this.#local(name);
    if (known) return first(known).address;
    return this.#searching(name, signal, async (candidate) => {
      const records = await this.#ask(candidate, 'A', signal);
      return addressesOf(records.length > 0 ? records : await this.#ask(candidate, 'AAAA', signal))[0]?.address;
    });
  }

  /** Every address of `name`, IPv4 first. Rejects as `lookup` does. */
  async lookupAll(name: string, { signal }: DnsLookupOptions = {}): Promise<DnsAddress[]> {
    const known = this.#local(name);
    if (known) return known;
    return this.#searching(name, signal, async (candidate) => {
      const types = ['A', 'AAAA'] as const;
      const answers = await Promise.allSettled(types.map((type) => this.#ask(candidate, type, signal)));
      const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? addressesOf(answer.value) : []));
      const failed = answers.find((answer) => answer.status === 'rejected');
      if (found.length === 0 && failed) throw failed.reason;
      return found.length > 0 ? found : undefined;
    });
  }

  /** The name of an address. Rejects as `lookup` does. */
  async reverse(ip: string, { signal }: DnsLookupOptions = {}): Promise<string> {
    for (const [name, ips] of this.#hosts) if (ips.includes(canonicalIP(ip))) return name;
    const [record] = await this.query(ipToPtrName(ip), 'PTR', { signal });
    return (record as { ptr: string }).ptr;
  }

  /**
   * The records of this type that `name` has, aliases followed; of `ANY`, all. Search domains and the hosts table are not asked.
   *
   * Rejects as `lookup` does, with `ENOTFOUND` also if the name has no such record.
   */
  async query<T extends DnsType>(
    name: string,
    type: T,
    { signal }: DnsLookupOptions = {},
  ): Promise<Extract<DnsRecord, { type: T extends 'ANY' ? DnsType : T }>[]> {
    const records = await this.#ask(plain(name), type, signal);
    if (records.length === 0) throw notFound(name);
    return records as never;
  }

  /** Forgets every answer. */
  clearCache(): void {
    this.#cache.clear();
  }

  /** Gives up what is pending, which rejects with `ECONNABORTED`, as every later lookup does. */
  async close(): Promise<void> {
    this.#closed ??= new NetworkError('ECONNABORTED', { syscall: 'lookup', message: 'dns client closed' });
    await this.#pending.close(this.#closed);
  }

  /** As `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What needs no server: addresses, the hosts table, and the names of this machine (RFC 6761 6.3). */
  #local(name: string): DnsAddress[] | undefined {
    const literal = name.replace(/^\[(.*)\]$/, '$1');
    if (familyOf(literal)) return [addressOf(literal)];
    const host = plain(name);
    const ips = this.#hosts.get(host) ?? (/(^|\.)localhost$/.test(host) ? ['127.0.0.1', '::1'] : undefined);
    return ips?.map(addressOf);
  }

  /** The first of the names that `name` may mean (resolv.conf(5)) for which `find` finds something. */
  async #searching<T>(name: string, signal: AbortSignal | undefined, find: (candidate: string) => Promise<T | undefined>): Promise<T> {
    const host = plain(name);
    const searched = name.endsWith('.') ? [] : this.search.map((domain) => `${host}.${plain(domain)}`);
    const asIs = host.split('.').length > this.#options.ndots;
    for (const candidate of asIs ? [host, ...searched] : [...searched, host]) {
      signal?.throwIfAborted();
      const found = await find(candidate);
      if (found !== undefined) return found;
    }
    throw notFound(name);
  }

  /** The records of one name, or none if the server says that there are none. */
  async #ask(name: string, type: DnsType, signal: AbortSignal | undefined): Promise<DnsRecord[]> {
    if (this.#closed) throw this.#closed;
    signal?.throwIfAborted();
    try {
      if (serializeName(name).length === 1) return [];
    } catch {
      return [];
    }
    const key = `${type} ${name}`;
    return (
      this.#cache.get(key) ??
      this.#pending.join(key, signal, async (both) => {
        const answer = await this.#follow(name, type, both);
        if (answer.records.length <= MAX_CACHED_RECORDS) this.#cache.set(key, answer);
        return answer.records;
      })
    );
  }

  /** Asks for `name`, and for what it is an alias of until that is answered too. */
  async #follow(name: string, type: DnsType, signal: AbortSignal): Promise<Answer> {
    let owner = name;
    let ttl = Infinity;
    let aliases = 0;
    for (;;) {
      const { answers = [], authorities = [] } = await this.#askServers(owner, type, signal);
      const asked = owner;
      for (;;) {
        const own = answers.filter((record) => sameName(record.name, owner));
        const records = type === 'ANY' ? own : own.filter((record) => record.type === type);
        if (records.length > 0) return { records, ttl: Math.min(ttl, ...records.map(secondsOf)) };
        const alias = own.find((record) => record.type === 'CNAME');
        if (!alias) break;
        if (++aliases > MAX_ALIASES) return { records: [], ttl: 0 };
        ttl = Math.min(ttl, secondsOf(alias));
        owner = alias.cname;
      }
      if (owner !== asked) continue;
      const soa = authorities.find((record) => record.type === 'SOA');
      return { records: [], ttl: soa ? Math.min(ttl, secondsOf(soa), soa.minimum) : 0 };
    }
  }

  /** The first useful answer of any server. */
  async #askServers(name: string, type: DnsType, signal: AbortSignal): Promise<DnsMessage> {
    let failure: NetworkError | undefined;
    for (let round = 0; round < this.#options.attempts; round++) {
      for (const server of this.nameServers) {
        const limit = new AbortController();
        const end = (): void => limit.abort(signal.reason);
        const timer = setTimeout(() => limit.abort(new NetworkError('ETIMEDOUT', about(name))), this.#options.timeout * 2 ** round);
        signal.addEventListener('abort', end);
        try {
          const answer = await exchange(this.#transports, server, { name, type, class: 'IN' }, limit.signal);
          const { rcode, isTruncated, answerCount } = answer.header;
          if (rcode === 'NXDOMAIN' || (rcode === 'NOERROR' && (answerCount > 0 || !isTruncated))) return answer;
          failure = new NetworkError('EAI_AGAIN', about(name));
        } catch (error) {
          signal.throwIfAborted();
          failure = limit.signal.aborted ? (failure ?? limit.signal.reason) : new NetworkError('EAI_AGAIN', { ...about(name), cause: error });
        } finally {
          clearTimeout(timer);
          signal.removeEventListener('abort', end);
        }
      }
    }
    throw failure ?? new NetworkError('EAI_AGAIN', about(name));
  }
}

/** The transports of a stack, or those given. */
export function transportsOf(transport: DatagramTransport | DnsTransports, tcp?: StreamTransport): DnsTransports {
  return 'udp' in transport ? { udp: transport.udp, tcp: tcp ?? transport.tcp } : { udp: transport, tcp };
}

/** A name as it is compared: in lower case, without a final dot, in ASCII (RFC 5891). */
function plain(name: string): string {
  let ascii = name;
  if (/[^\0-\x7f]/.test(name)) {
    try {
      ascii = new URL(`http://${name}`).hostname;
    } catch {
      // No host name, but its bytes may be a name.
    }
  }
  return ascii.replace(/\.$/, '').toLowerCase();
}

function addressOf(ip: string): DnsAddress {
  return { address: canonicalIP(ip), family: ip.includes(':') ? 6 : 4 };
}

function addressesOf(records: DnsRecord[]): DnsAddress[] {
  return records.flatMap((record) => (record.type === 'A' || record.type === 'AAAA' ? [addressOf(record.ip)] : []));
}

/** The IPv4 address where there is one. */
function first(addresses: DnsAddress[]): DnsAddress {
  return addresses.find(({ family }) => family === 4) ?? addresses[0]!;
}

/** A TTL with its top bit set counts as 0 (RFC 2181 8). */
function secondsOf({ ttl }: DnsRecord): number {
  return ttl > 0x7fffffff ? 0 : ttl;
}

function about(name: string): { syscall: string; address: string } {
  return { syscall: 'lookup', address: name };
}

function notFound(name: string): NetworkError {
  return new NetworkError('ENOTFOUND', about(name));
}
