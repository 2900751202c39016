/**
 * `node:dns` over a resolver of `netloom/dns`: callbacks and promises, with Node's errors.
 *
 * @module
 */
import { isIP } from 'node:net';
import type { LookupAddress } from 'node:dns';
import type { DnsClient } from '../dns/index.ts';
import { checkFunction, invalidType, lookupError, usageError } from './errors.ts';
import type { SystemError } from './errors.ts';
import { later } from './later.ts';

/** What `lookup` may be told. */
export type LookupOptions = {
  /** 4, 6, or 0 for either. */
  family?: number | 'IPv4' | 'IPv6' | undefined;
  hints?: number | undefined;
  /** Whether all addresses are wanted. */
  all?: boolean | undefined;
  /** Which addresses go first. Default `verbatim`, as the resolver gives them: IPv4 before IPv6. */
  order?: 'ipv4first' | 'ipv6first' | 'verbatim' | undefined;
  verbatim?: boolean | undefined;
};

/** The resolver that a {@link NodeDns} asks. */
export type Resolver = Pick<DnsClient, 'lookupAll' | 'query' | 'reverse'>;

type Failure = SystemError | null;
type Done<T> = (error: Failure, found: T) => void;
type Mx = { priority: number; exchange: string };
type Srv = { priority: number; weight: number; port: number; name: string };
type Soa = { nsname: string; hostmaster: string; serial: number; refresh: number; retry: number; expire: number; minttl: number };
type Ttl = { address: string; ttl: number };
type AddressOptions = { ttl?: boolean };

/** The functions of `node:dns/promises`. */
export type NodeDnsPromises = {
  /** The address that a socket would connect to. */
  lookup(name: string, options: LookupOptions & { all: true }): Promise<LookupAddress[]>;
  /** The address that a socket would connect to. */
  lookup(name: string, options?: LookupOptions | number): Promise<LookupAddress>;
  /** Records of a type, `A` unless told otherwise. */
  resolve(name: string, type?: string): Promise<unknown>;
  /** IPv4 addresses. */
  resolve4(name: string, options: { ttl: true }): Promise<Ttl[]>;
  /** IPv4 addresses. */
  resolve4(name: string, options?: AddressOptions): Promise<string[]>;
  /** IPv6 addresses. */
  resolve6(name: string, options: { ttl: true }): Promise<Ttl[]>;
  /** IPv6 addresses. */
  resolve6(name: string, options?: AddressOptions): Promise<string[]>;
  /** What the name is another name of. */
  resolveCname(name: string): Promise<string[]>;
  /** Who takes mail for the name. */
  resolveMx(name: string): Promise<Mx[]>;
  /** Name servers of the zone. */
  resolveNs(name: string): Promise<string[]>;
  /** Names that the name points at. */
  resolvePtr(name: string): Promise<string[]>;
  /** Where the authority over the zone begins. */
  resolveSoa(name: string): Promise<Soa>;
  /** Where a service is. */
  resolveSrv(name: string): Promise<Srv[]>;
  /** Texts, each as its strings. */
  resolveTxt(name: string): Promise<string[][]>;
  /** Names of an address. */
  reverse(ip: string): Promise<string[]>;
};

/** The module `node:dns`, over a stack. */
export type NodeDns = {
  /** The address that a socket would connect to. */
  lookup(name: string, options: LookupOptions | number, done: (error: Failure, address: string | LookupAddress[], family: number) => void): void;
  /** The address that a socket would connect to. */
  lookup(name: string, done: (error: Failure, address: string, family: number) => void): void;
  /** Records of a type, `A` unless told otherwise. */
  resolve(name: string, type: string, done: Done<unknown>): void;
  /** Records of a type, `A` unless told otherwise. */
  resolve(name: string, done: Done<string[]>): void;
  /** IPv4 addresses. */
  resolve4(name: string, options: AddressOptions, done: Done<string[] | Ttl[]>): void;
  /** IPv4 addresses. */
  resolve4(name: string, done: Done<string[]>): void;
  /** IPv6 addresses. */
  resolve6(name: string, options: AddressOptions, done: Done<string[] | Ttl[]>): void;
  /** IPv6 addresses. */
  resolve6(name: string, done: Done<string[]>): void;
  /** What the name is another name of. */
  resolveCname(name: string, done: Done<string[]>): void;
  /** Who takes mail for the name. */
  resolveMx(name: string, done: Done<Mx[]>): void;
  /** Name servers of the zone. */
  resolveNs(name: string, done: Done<string[]>): void;
  /** Names that the name points at. */
  resolvePtr(name: string, done: Done<string[]>): void;
  /** Where the authority over the zone begins. */
  resolveSoa(name: string, done: Done<Soa>): void;
  /** Where a service is. */
  resolveSrv(name: string, done: Done<Srv[]>): void;
  /** Texts, each as its strings. */
  resolveTxt(name: string, done: Done<string[][]>): void;
  /** Names of an address. */
  reverse(ip: string, done: Done<string[]>): void;
  readonly promises: NodeDnsPromises;
};

/** The codes that Node's resolver has for what a lookup of ours may meet. */
const CODES: Record<string, string> = { ETIMEDOUT: 'ETIMEOUT', EAI_AGAIN: 'ESERVFAIL', ECONNABORTED: 'ECANCELLED' };

/**
 * Makes what `node:dns` exports, over a resolver: `lookup` for sockets, `resolve…` and `reverse` for records, each by callback and as
 * `promises`.
 *
 * Errors are Node's: `getaddrinfo ENOTFOUND guest.test` of `lookup`, `queryA ENOTFOUND guest.test` of the rest, which is `ENODATA`'s too.
 *
 * @param resolver Whom to ask: a `DnsClient`.
 * @example
 * ```ts
 * import { createStack } from 'netloom';
 * import { DnsClient } from 'netloom/dns';
 * import { createNet, createNodeDns } from 'netloom/node';
 *
 * const stack = await createStack();
 * const client = new DnsClient(stack, { hosts: { 'guest.test': '127.0.0.1' } });
 * const dns = createNodeDns(client);
 * console.log(await dns.promises.lookup('guest.test')); // { address: '127.0.0.1', family: 4 }
 *
 * const net = createNet(stack.tcp, { lookup: dns.lookup });
 * net.connect(80, 'guest.test').on('error', async (error) => {
 *   console.log(error.message); // connect ECONNREFUSED 127.0.0.1:80
 *   await client.close();
 *   await stack.close();
 * });
 * ```
 */
export function createNodeDns(resolver: Resolver): NodeDns {
  const records = async <T extends Parameters<Resolver['query']>[1]>(name: string, type: T) => {
    if (typeof name !== 'string') throw invalidType('name', 'of type string', name);
    try {
      return await resolver.query(name, type);
    } catch (error) {
      throw queryError(error, `query${type[0]}${type.slice(1).toLowerCase()}`, name);
    }
  };
  const addresses = (type: 'A' | 'AAAA') => async (name: string, options?: AddressOptions) => {
    const found = (await records(name, type)) as { ip: string; ttl: number }[];
    return found.map(({ ip, ttl }) => (options?.ttl ? { address: ip, ttl } : ip)) as never;
  };
  const resolvers: Record<string, (name: string, options?: never) => Promise<unknown>> = {
    A: addresses('A'),
    AAAA: addresses('AAAA'),
    CNAME: async (name) => (await records(name, 'CNAME')).map(({ cname }) => cname),
    MX: async (name) => (await records(name, 'MX')).map(({ preference, exchange }) => ({ priority: preference, exchange })),
    NS: async (name) => (await records(name, 'NS')).map(({ ns }) => ns),
    PTR: async (name) => (await records(name, 'PTR')).map(({ ptr }) => ptr),
    SOA: async (name) => {
      const [{ mname, rname, serial, refresh, retry, expire, minimum }] = (await records(name, 'SOA')) as [
        Extract<Awaited<ReturnType<typeof records<'SOA'>>>[number], { type: 'SOA' }>,
      ];
      return { nsname: mname, hostmaster: rname, serial, refresh, retry, expire, minttl: minimum };
    },
    SRV: async (name) => (await records(name, 'SRV')).map(({ priority, weight, port, target }) => ({ priority, weight, port, name: target })),
    TXT: async (name) => (await records(name, 'TXT')).map(({ value }) => [value]),
  };
  const lookup = async (name: string, options: LookupOptions | number = {}): Promise<LookupAddress[]> => {
    const { family: wanted = 0, order = 'verbatim' } = typeof options === 'number' ? { family: options } : options;
    const family = wanted === 'IPv4' ? 4 : wanted === 'IPv6' ? 6 : wanted;
    if (typeof name !== 'string') throw invalidType('hostname', 'of type string', name);
    if (family !== 0 && family !== 4 && family !== 6)
      throw usageError('ERR_INVALID_ARG_VALUE', `The argument 'family' must be one of: 0, 4, 6. Received ${family}`);
    let found: LookupAddress[];
    try {
      found = (await resolver.lookupAll(name)).filter((one) => family === 0 || one.family === family);
    } catch (error) {
      throw lookupFailed(error, name);
    }
    if (found.length === 0) throw lookupFailed({ code: 'ENOTFOUND' }, name);
    if (order !== 'verbatim') found.sort((a, b) => (order === 'ipv4first' ? a.family - b.family : b.family - a.family));
    return found;
  };
  const reverse = async (ip: string): Promise<string[]> => {
    if (typeof ip !== 'string') throw invalidType('name', 'of type string', ip);
    if (isIP(ip) === 0) throw queryError({ code: 'EINVAL' }, 'getHostByAddr', ip);
    try {
      return [await resolver.reverse(ip)];
    } catch (error) {
      throw queryError(error, 'getHostByAddr', ip);
    }
  };
  const resolve = (name: string, type = 'A') => {
    const one = Object.hasOwn(resolvers, type) ? resolvers[type] : undefined;
    if (!one) throw usageError('ERR_INVALID_ARG_VALUE', `The argument 'rrtype' is invalid. Received '${type}'`);
    return one(name);
  };

  const promises = {
    lookup: async (name: string, options?: LookupOptions | number) => {
      const found = await lookup(name, options);
      return typeof options === 'object' && options.all ? found : found[0];
    },
    resolve: async (name: string, type?: string) => resolve(name, type),
    resolve4: resolvers['A'],
    resolve6: resolvers['AAAA'],
    resolveCname: resolvers['CNAME'],
    resolveMx: resolvers['MX'],
    resolveNs: resolvers['NS'],
    resolvePtr: resolvers['PTR'],
    resolveSoa: resolvers['SOA'],
    resolveSrv: resolvers['SRV'],
    resolveTxt: resolvers['TXT'],
    reverse,
  } as NodeDnsPromises;
  const { lookup: _, ...others } = promises;
  const called = Object.fromEntries(Object.entries(others).map(([name, ask]) => [name, byCallback(ask as never)]));
  const dns = {
    ...called,
    lookup: (name: string, ...values: unknown[]) => {
      const done = values.pop() as (error: unknown, address?: unknown, family?: number) => void;
      checkCallback(done);
      const options = values[0] as LookupOptions | number | undefined;
      const found = ([first, ...rest]: LookupAddress[]) => {
        if (typeof options === 'object' && options.all) done(null, [first, ...rest]);
        else done(null, first!.address, first!.family);
      };
      later(lookup(name, options), found, done);
    },
    promises,
  };
  return dns as NodeDns;
}

function byCallback(ask: (...values: unknown[]) => Promise<unknown>) {
  return (...values: unknown[]) => {
    const done = values.pop() as (error: unknown, found?: unknown) => void;
    checkCallback(done);
    later(ask(...values), (found) => done(null, found), done);
  };
}

function checkCallback(done: unknown): void {
  if (done === undefined) throw invalidType('callback', 'of type function', done);
  checkFunction(done, 'callback');
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown }).code ?? 'ESERVFAIL');
}

function lookupFailed(error: unknown, name: string): Error {
  // `getaddrinfo` knows but these two.
  return lookupError(codeOf(error) === 'ENOTFOUND' ? 'ENOTFOUND' : 'EAI_AGAIN', name, error);
}

function queryError(error: unknown, syscall: string, name: string): Error {
  if (error instanceof TypeError) return error;
  const code = CODES[codeOf(error)] ?? codeOf(error);
  const failure = new Error(`${syscall} ${code} ${name}`, { cause: error }) as SystemError;
  failure.code = code;
  failure.syscall = syscall;
  failure.hostname = name;
  return failure;
}
