import { utf8, viewOf } from './bytes.ts';
import { hasToken, TOKEN } from './head.ts';
import type { Content } from './send.ts';
import { trailersToSend } from './trailers.ts';

/** A body that is to be sent, once or more often. */
export type Body = {
  /** Bytes, if known before. */
  length: number | undefined;
  /** Whether it can be opened again. */
  replayable: boolean;
  open(): Content;
  trailers?: (() => Promise<Headers>) | undefined;
};

/** What `fetch` was asked for. */
export type Outgoing = {
  method: string;
  url: URL;
  headers: Headers;
  body: Body | null;
  redirect: RequestRedirect;
  signal: AbortSignal | null;
};

function known(bytes: Uint8Array): Body {
  return { length: bytes.length, replayable: true, open: () => bytes };
}

function blobBody(blob: Blob): Body {
  return { length: blob.size, replayable: true, open: () => blob.stream() as ReadableStream<Uint8Array> };
}

function streamBody(stream: ReadableStream<Uint8Array>): Body {
  return { length: undefined, replayable: false, open: () => stream, trailers: trailersToSend(stream) };
}

/** A body with its content type, as fetch extracts them (Fetch standard, "extract a body"). */
async function extract(body: BodyInit): Promise<{ body: Body; type: string | null }> {
  if (body instanceof ReadableStream) return { body: streamBody(body as ReadableStream<Uint8Array>), type: null };
  if (body instanceof Blob) return { body: blobBody(body), type: body.type || null };
  if (body instanceof FormData) {
    const form = new Response(body);
    const type = form.headers.get('content-type');
    const blob = await form.blob();
    // Bun tells the boundary in the blob alone.
    return { body: blobBody(blob), type: type ?? blob.type };
  }
  if (body instanceof URLSearchParams) return { body: known(utf8(body.toString())), type: 'application/x-www-form-urlencoded;charset=UTF-8' };
  // Copied: the caller may go on writing to its buffer.
  if (ArrayBuffer.isView(body) || body instanceof ArrayBuffer) return { body: known(viewOf(body).slice()), type: null };
  return { body: known(utf8(String(body))), type: 'text/plain;charset=UTF-8' };
}

/** The arguments of `fetch` as one request. `Request` judges them, but its headers and body are not relied on: browsers leave out fields such as Cookie, some bodies cannot be read. */
export async function prepare(input: RequestInfo | URL, init: RequestInit = {}): Promise<Outgoing> {
  const given = init.body ?? undefined;
  const from = input instanceof Request ? input : undefined;
  const request = new Request(input, { ...init, body: given === undefined ? undefined : '', signal: null } as RequestInit);
  // Not every platform's `Request` sees to it.
  if (given !== undefined && (request.method === 'GET' || request.method === 'HEAD')) throw new TypeError('Request with GET/HEAD method cannot have body.');
  if (!TOKEN.test(init.method ?? request.method)) throw new TypeError('invalid method');
  const headers = new Headers(init.headers ?? from?.headers);
  let body: Body | null = null;
  if (given !== undefined) {
    const extracted = await extract(given);
    body = extracted.body;
    if (extracted.type !== null && !headers.has('content-type')) headers.set('content-type', extracted.type);
  } else if (request.body) {
    body = streamBody(request.body);
  } else if (request.body === undefined) {
    // A browser that does not show the body of a request still reads it.
    const bytes = new Uint8Array(await request.arrayBuffer());
    if (bytes.length > 0) body = known(bytes);
  }
  const length = headers.get('content-length');
  if (body?.length === undefined && body !== null && length !== null && /^\d+$/.test(length)) body.length = Number(length);
  const signal = init.signal === undefined ? (from?.signal ?? null) : init.signal;
  return { method: request.method, url: new URL(request.url), headers, body, redirect: request.redirect, signal };
}

/** Fields of the connection, which are not the caller's to set. */
const OURS = ['connection', 'content-length', 'host', 'keep-alive', 'te', 'transfer-encoding', 'upgrade'];

/** The fields of a request as they are sent. */
export function requestFields({ method, url, headers, body }: Pick<Outgoing, 'method' | 'url' | 'headers' | 'body'>): [string, string][] {
  const fields: [string, string][] = [['host', headers.get('host') ?? url.host]];
  for (const [name, value] of headers) if (!OURS.includes(name)) fields.push([name, value]);
  const byDefault = (name: string, value: string) => {
    if (!headers.has(name)) fields.push([name, value]);
  };
  if (hasToken(headers, 'connection', 'close')) fields.push(['connection', 'close']);
  byDefault('accept', '*/*');
  // A part of coded content cannot be decoded.
  byDefault('accept-encoding', headers.has('range') ? 'identity' : 'gzip, deflate');
  byDefault('user-agent', 'netloom');
  if (body !== null) fields.push(body.length === undefined ? ['transfer-encoding', 'chunked'] : ['content-length', String(body.length)]);
  else if (method === 'POST' || method === 'PUT' || method === 'PATCH') fields.push(['content-length', '0']);
  return fields;
}
