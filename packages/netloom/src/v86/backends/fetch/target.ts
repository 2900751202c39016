/** Where a guest's request goes: v86's ways of naming a server, the rules of the page it runs in, and the CORS proxy. */

/** The places to ask, of which the direct one comes first. */
export type Target = {
  /** As the guest named it. */
  readonly href: string;
  readonly direct: string;
  /** The same by the CORS proxy, if there is one and it can help. */
  readonly proxied: string | undefined;
};

/** A request that is answered with a text of its own. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly statusText: string;

  constructor(status: number, statusText: string, message: string) {
    super(message);
    this.status = status;
    this.statusText = statusText;
  }
}

/** Hosts that a secure page may reach without TLS (Secure Contexts 3.1). */
const LOOPBACK = /^(?:localhost|.+\.localhost|127(?:\.\d+){3}|\[::1\])$/;
/** v86's name for a port of the page's own machine. */
const EXTERNAL = /^(\d+)\.external$/;

/** A prefix that is a host alone. */
const HOST_ALONE = /^[a-z]+:\/\/[^/?#]+$/i;

/** `prefix` before a URL: encoded where the prefix is a query, as of `?url=`, and else as it is, as cors-anywhere takes it. */
export function proxiedUrl(prefix: string, url: string): string {
  if (prefix.includes('?')) return prefix + encodeURIComponent(url);
  return `${prefix}${HOST_ALONE.test(prefix) ? '/' : ''}${url}`;
}

/**
 * Where to ask for `href`.
 * @param corsProxy Prefix of the CORS proxy, empty for none.
 * @param securePage Whether the page has `https:`, from which a browser asks no other host without TLS.
 * @throws Refusal for a port of this machine that does not exist
 */
export function targetOf(href: string, corsProxy: string, securePage: boolean): Target {
  const url = new URL(href);
  const external = EXTERNAL.exec(url.hostname);
  if (external) {
    const port = Number(external[1]);
    if (port < 1 || port > 65535) throw new Refusal(400, 'Bad Request', `Unknown port for localhost: ${href}`);
    url.protocol = 'http:';
    url.hostname = 'localhost';
    url.port = String(port);
    return { href, direct: url.href, proxied: undefined };
  }
  if (securePage && !LOOPBACK.test(url.hostname)) url.protocol = 'https:';
  return { href, direct: url.href, proxied: corsProxy === '' ? undefined : proxiedUrl(corsProxy, href) };
}
