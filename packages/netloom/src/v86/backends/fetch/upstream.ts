/**
 * The way to a server: directly, and by the CORS proxy where the browser's rules are against it. What worked for an origin is remembered.
 *
 * @module
 */
import { interruptible } from '../../../http/adopted.ts';
import type { FetchHook } from '../../types.ts';
import { inPage } from './platform.ts';
import type { Target } from './target.ts';
import type { Upload } from './upload.ts';

/** What is asked for. */
export type Asked = { method: string; headers: Headers; upload: Upload | undefined; signal: AbortSignal };

/** No way led to an answer. */
export class FetchFailure extends Error {
  override readonly name = 'FetchFailure';
  readonly late: boolean;

  constructor(url: string, cause: unknown, late: boolean) {
    super(`Fetch ${url} failed:\n\n${describe(cause)}`, { cause });
    this.late = late;
  }
}

/** Milliseconds that a server has to begin its answer, and that it has where nobody knows whether it can be reached directly. */
const ANSWER_MS = 300_000;
const UNKNOWN_MS = 10_000;
/** Origins that are remembered, and for how long in milliseconds. */
const MAX_ORIGINS = 256;
const REMEMBERED_MS = 300_000;
/** Methods that may be tried twice (RFC 9110 9.2.1): a server that a page may not read from has nevertheless done what it was asked. */
const SAFE = ['GET', 'HEAD', 'OPTIONS'];

type Way = 'direct' | 'proxied';

/** Servers of the web as the guests of one network reach them. */
export class Upstream {
  readonly #ways = new Map<string, { way: Way; until: number }>();

  /** Asks for `target` by the first way that works. */
  async ask(target: Target, asked: Asked, fetch: FetchHook): Promise<Response> {
    const { direct, proxied } = target;
    if (proxied === undefined) return this.#send(direct, asked, fetch, ANSWER_MS);
    const known = this.#known(direct);
    if (!SAFE.includes(asked.method)) {
      const way = known ?? (await this.#explore(direct, asked.signal, fetch));
      return this.#send(way === 'direct' ? direct : proxied, asked, fetch, ANSWER_MS);
    }
    const order: Way[] = known === 'proxied' ? ['proxied', 'direct'] : ['direct', 'proxied'];
    for (const way of order) {
      const last = way === order[1];
      try {
        const response = await this.#send(target[way]!, asked, fetch, last || known === way ? ANSWER_MS : UNKNOWN_MS);
        this.#remember(direct, way);
        return response;
      } catch (error) {
        if (last || asked.signal.aborted) throw error;
      }
    }
    throw new TypeError('unreachable');
  }

  /** Finds out whether a server can be asked directly, by what changes nothing there. */
  async #explore(url: string, signal: AbortSignal, fetch: FetchHook): Promise<Way> {
    let way: Way = 'direct';
    try {
      const response = await this.#send(url, { method: 'HEAD', headers: new Headers(), upload: undefined, signal }, fetch, UNKNOWN_MS);
      await discard(response);
    } catch {
      way = 'proxied';
    }
    if (!signal.aborted) this.#remember(url, way);
    return way;
  }

  async #send(url: string, { method, headers, upload, signal }: Asked, fetch: FetchHook, limit: number): Promise<Response> {
    const sent = new Headers(headers);
    if (upload?.length !== undefined) sent.set('content-length', String(upload.length));
    const abort = new AbortController();
    let late = false;
    const stop = () => abort.abort(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    const timer = setTimeout(() => {
      late = true;
      abort.abort(new DOMException(`no answer within ${limit / 1000} s`, 'TimeoutError'));
    }, limit);
    try {
      const init: Parameters<FetchHook>[1] = {
        method,
        headers: sent,
        ...(upload && { body: upload.body as BodyInit }),
        ...(upload?.body instanceof ReadableStream && { duplex: 'half' }),
        signal: abort.signal,
        // A guest is not the page's user, and servers need not know the page.
        credentials: 'omit',
        referrerPolicy: 'no-referrer',
      };
      // A hook may throw at once, and may know nothing of signals.
      const work = (async () => fetch(url, init))();
      return await interruptible(work, abort.signal, () => void work.then(discard).catch(() => undefined));
    } catch (error) {
      throw new FetchFailure(url, error, late);
    } finally {
      clearTimeout(timer);
    }
  }

  #known(url: string): Way | undefined {
    const { origin } = new URL(url);
    const entry = this.#ways.get(origin);
    if (entry === undefined || Date.now() < entry.until) return entry?.way;
    this.#ways.delete(origin);
    return undefined;
  }

  #remember(url: string, way: Way): void {
    const { origin } = new URL(url);
    this.#ways.delete(origin);
    this.#ways.set(origin, { way, until: Date.now() + REMEMBERED_MS });
    if (this.#ways.size > MAX_ORIGINS) this.#ways.delete(this.#ways.keys().next().value!);
  }
}

async function discard(response: Response): Promise<void> {
  await response.body?.cancel?.();
}

/** Fields of one connection (RFC 9110 7.6.1), and those that whoever sends a message sets anew. */
const OF_THE_CONNECTION = [
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** The fields of a guest's request that a server is told. */
export function forwardedFields(headers: Headers): Headers {
  const named = (headers.get('connection') ?? '').split(',').map((name) => name.trim().toLowerCase());
  const sent = new Headers();
  for (const [name, value] of headers) if (!OF_THE_CONNECTION.includes(name) && !named.includes(name)) sent.append(name, value);
  // What was decoded here has lost its length, and the way to the guest costs nothing.
  sent.set('accept-encoding', 'identity');
  // A page's own is sent in its place; one set by a script would need the server's permission.
  if (inPage) sent.delete('user-agent');
  return sent;
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const text = `${error.name}: ${error.message}`;
  return error.cause === undefined ? text : `${text}\n${describe(error.cause)}`;
}
