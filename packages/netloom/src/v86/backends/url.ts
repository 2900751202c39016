/** The schemes of backends, as v86's documentation has them, and ours. */
import { NetworkError } from '../../errors.ts';

export type BackendScheme = 'none' | 'inbrowser' | 'wsproxy' | 'wisp' | 'fetch' | 'netloom';

/** A backend's URL, read. */
export type BackendUrl = {
  readonly scheme: BackendScheme;
  /** WebSocket URLs to try in order, of those schemes that have any. */
  readonly sockets: readonly string[];
  /** Of `fetch://PROXY/QUERY`, the prefix of what is fetched. */
  readonly corsProxy: string;
};

/** Port of the relay where none is said. */
const RELAY_PORT = 8086;

/** Reads a URL. @throws NetworkError `EINVAL` if v86's documentation and ours know no such scheme */
export function parseBackendUrl(url: string): BackendUrl {
  const backend = (scheme: BackendScheme, sockets: string[] = [], corsProxy = ''): BackendUrl => ({ scheme, sockets, corsProxy });
  if (url === '' || url === 'none' || url === 'inbrowser' || url === 'fetch') return backend(url || 'none');
  const [, scheme, rest] = /^([a-z]+):\/\/(.+)$/is.exec(url) ?? [];
  switch (scheme?.toLowerCase()) {
    case 'ws':
    case 'wss':
      return backend('wsproxy', [checked(url, url)]);
    case 'wisp':
      return backend('wisp', [checked(`ws://${rest}`, url)]);
    case 'wisps':
      return backend('wisp', [checked(`wss://${rest}`, url)]);
    case 'fetch':
      return backend('fetch', [], proxyPrefix(rest!, url));
    case 'netloom':
      return backend('netloom', relaySockets(rest!, url));
    default:
      throw new NetworkError('EINVAL', {
        message: `no backend has this URL: ${url} (known are none, inbrowser, ws://, wss://, wisp://, wisps://, fetch, fetch://, netloom://)`,
      });
  }
}

/** The relay, by raw frames: in the clear where browsers let a page, and by TLS. */
function relaySockets(rest: string, whole: string): string[] {
  const secure = checked(`wss://${rest}`, whole);
  const { port, hostname } = new URL(secure);
  const clear = new URL(checked(`ws://${rest}`, whole));
  if (!/^[^/?#]*:\d+/.test(rest)) clear.port = `${RELAY_PORT}`;
  if (isLoopback(hostname)) return [clear.href];
  if (pageIsSecure()) return [secure];
  return port || /:443\b/.test(rest) ? [secure, clear.href] : [clear.href, secure];
}

/** A CORS proxy stands where the page may reach it: by TLS from a page that came so. */
function proxyPrefix(rest: string, whole: string): string {
  const { hostname } = new URL(checked(`https://${rest}`, whole));
  const scheme = isLoopback(hostname) || !pageIsSecure() ? 'http' : 'https';
  return `${scheme}://${rest}`;
}

function isLoopback(hostname: string): boolean {
  return /^(localhost|.*\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}

function pageIsSecure(): boolean {
  return (globalThis as { location?: { protocol: string } }).location?.protocol === 'https:';
}

function checked(url: string, whole: string): string {
  if (!URL.canParse(url) || !new URL(url).hostname) throw new NetworkError('EINVAL', { message: `no host in the backend's URL: ${whole}` });
  return url;
}
