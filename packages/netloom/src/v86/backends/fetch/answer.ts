import { utf8 } from '../../../http/bytes.ts';
import { present } from '../../../http/messages.ts';
import { endAhead } from './ahead.ts';
import { peek } from './peek.ts';
import { inPage } from './platform.ts';

/** Fields of the connection to the server, and those that do not hold for what `fetch` gives: it has decoded the body. */
const NOT_FORWARDED = ['connection', 'content-encoding', 'content-length', 'keep-alive', 'proxy-connection', 'trailer', 'transfer-encoding', 'upgrade'];
const EMPTY_STATUSES = [204, 205, 304];
/** Bodies of up to this many bytes whose length is doubtful are counted. */
const COUNTED_BYTES = 65_536;

/** An answer with a text. */
export function textAnswer(status: number, statusText: string, text: string): Response {
  const body = utf8(text) as Uint8Array<ArrayBuffer>;
  return new Response(body, { status, statusText, headers: { 'content-type': 'text/plain', 'content-length': String(body.length) } });
}

/**
 * What a guest is answered: `given` with v86's own fields, and with its length where that is known for sure.
 * @param given What `fetch` gave, or a page's hook in its place: an object with as much of a `Response` as v86 looks at.
 */
export async function answerOf(given: Response, { method, headers: asked }: Request): Promise<Response> {
  // Hooks are not typed where v86 is used.
  if (!(given?.status >= 200 && given.status <= 599)) throw new TypeError('the fetch hook gave no response');
  const { status, statusText, url, redirected } = given;
  const headers = new Headers(given.headers);
  const length = headers.get('content-length');
  const encoded = headers.has('content-encoding');
  for (const name of NOT_FORWARDED) headers.delete(name);
  headers.set('x-was-fetch-redirected', String(Boolean(redirected)));
  headers.set('x-fetch-resp-url', url ?? '');
  const bodiless = method === 'HEAD' || EMPTY_STATUSES.includes(status);
  let body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | null = bodiless ? null : bodyOf(given);
  if (length !== null && !encoded) {
    if (bodiless || tellsLength(given, headers, asked, Number(length))) headers.set('content-length', length);
    else if (body && Number(length) <= COUNTED_BYTES) {
      body = await peek(body, COUNTED_BYTES);
      if (body instanceof Uint8Array) headers.set('content-length', String(body.length));
    }
  }
  if (!inPage && body instanceof ReadableStream && length !== null && !encoded) body = endAhead(body, Number(length));
  // A phrase that a response of a hook has may be none.
  const phrase = /^[\t\x20-\x7e]*$/.test(statusText ?? '') ? statusText : '';
  // Shown, not given: a page's `Response` would lose Set-Cookie.
  return present(new Response(body, { status, statusText: phrase }), { headers });
}

/**
 * Whether Content-Length is that of the body: a server on another origin hides from a page that the content was encoded, unless it shows all
 * fields, of which this one is shown to nobody otherwise; a range is never encoded (Fetch standard, HTTP-network-or-cache fetch).
 */
function tellsLength(given: Response, headers: Headers, asked: Headers, length: number): boolean {
  // A hook may have made it of another response, with fields that do not hold for it.
  if (!given.url) return !inPage && length > COUNTED_BYTES;
  return given.type !== 'cors' || headers.has('access-control-allow-origin') || (given.status === 206 && asked.has('range'));
}

type LooseReader = { read(): Promise<{ done?: boolean; value?: Uint8Array }>; cancel?(reason: unknown): Promise<void> };

/** The body as a stream; hooks of v86's users give readers of their own, which may end with their last chunk. */
function bodyOf(given: Response): ReadableStream<Uint8Array> | null {
  const { body } = given;
  if (body === null || body instanceof ReadableStream) return body;
  let reader: LooseReader | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (typeof (body as { getReader?: unknown } | undefined)?.getReader !== 'function') {
          controller.enqueue(new Uint8Array(await given.arrayBuffer()));
          return controller.close();
        }
        reader ??= (body as unknown as { getReader(): LooseReader }).getReader();
        const { done, value } = await reader.read();
        if (value) controller.enqueue(value);
        if (done) controller.close();
      },
      cancel: (reason) => reader?.cancel?.(reason),
    },
    { highWaterMark: 0 },
  );
}
