import { HttpProtocolError } from './errors.ts';
import type { RequestHead } from './head.ts';

/** An authority without credentials: a registered name, an IPv4 address or a bracketed IPv6 address, with an optional port (RFC 9110 4.2.3). */
const AUTHORITY = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]+)(?::\d{0,5})?$/;

/**
 * The URL that a request is for (RFC 9112 3.2 and 3.3). `OPTIONS *` becomes the path `/*`, CONNECT the URL of its authority.
 * @param fallback The authority for a client of HTTP/1.0 that names none.
 * @param hostless Whether a client of HTTP/1.1 may do so, too.
 * @param secure Whether the request came by TLS.
 */
export function requestUrl({ method, target, minor, headers }: RequestHead, fallback: string, hostless: boolean, secure: boolean): string {
  const host = headers.get('host');
  // Two Host fields are joined by a comma, which no authority has.
  if (host === null ? minor > 0 && !hostless : host !== '' && !AUTHORITY.test(host)) throw new HttpProtocolError('missing or invalid Host');
  try {
    if (target.includes('#')) throw new TypeError('fragment');
    if (method === 'CONNECT') {
      if (!AUTHORITY.test(target) || !/:\d+$/.test(target)) throw new TypeError('authority');
      return new URL(`http://${target}`).href;
    }
    const authority = host || fallback;
    const scheme = secure ? 'https' : 'http';
    if (target.startsWith('/')) return new URL(`${scheme}://${authority}${target}`).href;
    if (target === '*' && method === 'OPTIONS') return new URL(`${scheme}://${authority}/*`).href;
    // The absolute form goes before Host.
    const url = new URL(target);
    if (!/^https?:\/\/[^/]/i.test(target) || url.username !== '' || url.password !== '') throw new TypeError('absolute form');
    headers.set('host', url.host);
    return url.href;
  } catch {
    throw new HttpProtocolError('invalid request target');
  }
}
