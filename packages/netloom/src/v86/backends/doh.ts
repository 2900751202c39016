/** DNS over HTTPS (RFC 8484), asked by the page's `fetch`. */
import { concat } from '../../http/bytes.ts';
import { interruptible } from '../../http/adopted.ts';

/** How a query is asked. */
export type DohOptions = {
  /** Default: the global `fetch`. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** Milliseconds until there is no answer. Default 5,000. */
  timeout?: number;
  /** Gives up. */
  signal?: AbortSignal;
};

const MEDIA_TYPE = 'application/dns-message';
const TIMEOUT_MS = 5000;
const HEADER_BYTES = 12;
const MAX_BYTES = 65_535;

/**
 * Asks the resolver at `url`. Resolves with its answer, under the id of the query, or with `undefined` if there is none: an asker is then
 * told SERVFAIL. Never rejects.
 * @param message The query (RFC 1035 4.1).
 */
export async function queryDoh(url: string, message: Uint8Array, options: DohOptions = {}): Promise<Uint8Array | undefined> {
  const { fetch = globalThis.fetch, timeout = TIMEOUT_MS, signal } = options;
  if (message.length < HEADER_BYTES || signal?.aborted) return undefined;
  const abort = new AbortController();
  const stop = () => abort.abort();
  signal?.addEventListener('abort', stop);
  const timer = setTimeout(stop, timeout);
  try {
    const query = message.slice();
    // The same question has the same bytes, so that caches find it (RFC 8484 4.1).
    query.fill(0, 0, 2);
    const answer = await interruptible(ask(fetch, url, query, abort.signal), abort.signal, () => undefined);
    answer?.set(message.subarray(0, 2));
    return answer;
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

async function ask(fetch: NonNullable<DohOptions['fetch']>, url: string, query: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { accept: MEDIA_TYPE, 'content-type': MEDIA_TYPE },
    body: query,
    signal,
    credentials: 'omit',
    referrerPolicy: 'no-referrer',
  });
  const type = response.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase();
  if (response.status !== 200 || type !== MEDIA_TYPE || !response.body) {
    await response.body?.cancel();
    return undefined;
  }
  const answer = await read(response.body);
  const isAnswer = answer !== undefined && answer.length >= HEADER_BYTES && (answer[2]! & 0x80) !== 0;
  return isAnswer ? answer : undefined;
}

async function read(body: ReadableStream<Uint8Array>): Promise<Uint8Array | undefined> {
  const reader = body.getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return concat(parts);
    length += value.length;
    if (length > MAX_BYTES) {
      await reader.cancel();
      return undefined;
    }
    parts.push(value);
  }
}
