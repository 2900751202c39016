/**
 * What sockets and servers of one `createNet` share, and how they find the address of a name.
 *
 * @module
 */
import { isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import type { StreamTransport } from '../../transport/index.ts';
import { lookupError } from '../errors.ts';

export type Network = {
  readonly tcp: StreamTransport;
  readonly lookup: LookupFunction | undefined;
};

/** An address that a name has. */
export type Found = { address: string; family: 4 | 6 };

/** The address of `host`; `undefined` leaves the name to the transport. Calls nothing back later than its promise. */
export async function resolve(
  host: string,
  lookup: LookupFunction | undefined,
  { family = 0, hints = 0 }: { family?: number | undefined; hints?: number | undefined },
): Promise<Found | undefined> {
  const version = isIP(host);
  if (version !== 0) return { address: host, family: version as 4 | 6 };
  if (lookup) return ask(host, lookup, family, hints);
  // RFC 6761 6.3: never asks a server.
  if (host === 'localhost') return family === 6 ? { address: '::1', family: 6 } : { address: '127.0.0.1', family: 4 };
  return undefined;
}

function ask(host: string, lookup: LookupFunction, family: number, hints: number): Promise<Found> {
  return new Promise((done, failed) => {
    lookup(host, { family, hints, all: false }, (error, found, version) => {
      if (error) return failed(error);
      // Functions that only ever answer lists are as common as those that heed `all`.
      const address = Array.isArray(found) ? found[0]?.address : found;
      if (typeof address !== 'string' || isIP(address) === 0) return failed(lookupError('ENOTFOUND', host));
      done({ address, family: (Array.isArray(found) ? found[0]?.family : version) === 6 || isIP(address) === 6 ? 6 : 4 });
    });
  });
}
