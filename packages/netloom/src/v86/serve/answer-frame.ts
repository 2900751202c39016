import type { FrameAnswer, FrameDemand, FrameRequest } from './messages.ts';

/** Asks the guest's server. */
export type Ask = (url: string, init: RequestInit) => Promise<Response>;

/** Fields of a page's request that are about the page's own way to it. */
const NOT_ASKED = ['accept-encoding', 'host', 'origin', 'referer', 'upgrade-insecure-requests'];
const EMPTY_STATUSES = [204, 205, 304];

/** Answers one request of a frame on its port. Never rejects: what goes wrong is a 502 there, or the end of the body. */
export async function answerFrame({ method, path, fields, body }: FrameRequest, port: MessagePort, base: URL, ask: Ask): Promise<void> {
  const abort = new AbortController();
  const say = (answer: FrameAnswer, transfer: Transferable[] = []) => port.postMessage(answer, transfer);
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  port.onmessage = ({ data }: MessageEvent<FrameDemand | null>) => {
    if (data?.type === 'pull' && reader) void next(reader, say);
    else if (data?.type === 'cancel') abort.abort();
  };
  try {
    const headers = new Headers(fields.filter(([name]) => !NOT_ASKED.includes(name) && !name.startsWith('sec-fetch-')));
    headers.set('accept-encoding', 'identity');
    // What the browser follows is a redirect of its own, so that the frame's address is right.
    const response = await ask(base.origin + path, { method, headers, redirect: 'manual', signal: abort.signal, ...(body && { body }) });
    const empty = method === 'HEAD' || EMPTY_STATUSES.includes(response.status) || response.body === null;
    reader = response.body?.getReader();
    abort.signal.addEventListener('abort', () => void reader?.cancel().catch(() => undefined));
    say({ type: 'head', status: response.status, statusText: response.statusText, fields: [...fieldsOf(response.headers, base)], empty });
  } catch (error) {
    say({
      type: 'error',
      reason: error instanceof Error ? [error.message, (error.cause as Error | undefined)?.message].filter(Boolean).join(': ') : String(error),
    });
  }
}

async function next(reader: ReadableStreamDefaultReader<Uint8Array>, say: (answer: FrameAnswer, transfer?: Transferable[]) => void): Promise<void> {
  try {
    const { done, value } = await reader.read();
    if (done) return say({ type: 'end' });
    const whole = value.byteLength === value.buffer.byteLength ? value : value.slice();
    say({ type: 'chunk', bytes: whole }, [whole.buffer as ArrayBuffer]);
  } catch (error) {
    say({ type: 'error', reason: String(error) });
  }
}

/** The fields as they hold in the frame: content is decoded, and the server's own address is the frame's. */
function* fieldsOf(headers: Headers, base: URL): Generator<[string, string]> {
  const encoded = headers.has('content-encoding');
  for (const [name, value] of headers) {
    if (name === 'content-encoding' || (encoded && name === 'content-length') || name === 'transfer-encoding' || name === 'connection') continue;
    if (name !== 'location' || !URL.canParse(value, base)) yield [name, value];
    else {
      const to = new URL(value, base);
      yield [name, to.host === base.host && /^https?:$/.test(to.protocol) && /^https?:/i.test(value) ? to.pathname + to.search + to.hash : value];
    }
  }
}
