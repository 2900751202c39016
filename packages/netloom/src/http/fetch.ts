import type { HttpClient } from './client.ts';
import { prepare, type Outgoing } from './outgoing.ts';
import type { HttpFetch } from './types.ts';
import { unsupportedProtocol } from './errors.ts';

const MAX_REDIRECTS = 20;
const REDIRECTS = [301, 302, 303, 307, 308];
/** Bytes of a redirect's body that are read so that its connection serves the next request. */
const MAX_REDIRECT_BODY = 65536;
/** Fields that describe a body, which go with it (Fetch standard, "request-body-header name"). */
const BODY_FIELDS = ['content-encoding', 'content-language', 'content-location', 'content-type', 'content-length', 'expect'];
/** Fields meant for one origin alone. */
const ORIGIN_FIELDS = ['authorization', 'proxy-authorization', 'cookie', 'host'];

/** A `fetch` over `client`. */
export function createFetch(client: HttpClient): HttpFetch {
  return async (input, init) => {
    const out = await prepare(input as RequestInfo | URL, init);
    try {
      return await follow(client, out);
    } catch (error) {
      if (out.signal?.aborted) throw out.signal.reason;
      throw error instanceof TypeError ? error : new TypeError('fetch failed', { cause: error });
    }
  };
}

async function follow(client: HttpClient, out: Outgoing): Promise<Response> {
  for (let redirects = 0; ; redirects++) {
    out.signal?.throwIfAborted();
    if (out.url.protocol !== 'http:' && out.url.protocol !== 'https:') throw unsupportedProtocol(out.url.protocol);
    const response = await client.request(out, redirects > 0);
    const location = REDIRECTS.includes(response.status) && out.redirect !== 'manual' ? response.headers.get('location') : null;
    if (location === null) return response;
    await discard(response);
    if (out.redirect === 'error') throw new TypeError('unexpected redirect');
    if (redirects === MAX_REDIRECTS) throw new TypeError('redirect count exceeded');
    redirect(out, response.status, location);
  }
}

/** Turns a request into the one that a redirect asks for (Fetch standard, "HTTP-redirect fetch"). */
function redirect(out: Outgoing, status: number, location: string): void {
  const from = out.url;
  const to = new URL(location, from);
  if (to.username !== '' || to.password !== '') throw new TypeError('redirect to a URL with credentials');
  if (to.hash === '') to.hash = from.hash;
  const replaced = status === 303 ? out.method !== 'GET' && out.method !== 'HEAD' : status < 303 && out.method === 'POST';
  if (status !== 303 && !replaced && out.body !== null && !out.body.replayable) throw new TypeError('redirect of a request whose body is a stream');
  if (replaced) {
    out.method = 'GET';
    out.body = null;
    for (const name of BODY_FIELDS) out.headers.delete(name);
  }
  if (to.origin !== from.origin) for (const name of ORIGIN_FIELDS) out.headers.delete(name);
  out.url = to;
}

async function discard(response: Response): Promise<void> {
  const reader = response.body?.getReader();
  if (!reader) return;
  for (let dropped = 0; dropped <= MAX_REDIRECT_BODY; ) {
    const { done, value } = await reader.read();
    if (done) return;
    dropped += value.length;
  }
  await reader.cancel();
}
