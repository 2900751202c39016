import { concat } from '../../../http/bytes.ts';
import { inPage } from './platform.ts';
import { Refusal } from './target.ts';

/** Bodies up to this many bytes are sent as one. */
const SMALL_BYTES = 256 * 1024;
/** Bytes that become one part of a `Blob`, which browsers hold outside of the page's memory. */
const PART_BYTES = 1 << 20;
/** Bytes of a body that a page, which cannot stream it, gathers before it is sent. */
const MAX_GATHERED_BYTES = 256 << 20;

/** A request's body as `fetch` takes it. */
export type Upload = {
  body: Uint8Array<ArrayBuffer> | Blob | ReadableStream<Uint8Array>;
  /** Bytes of a stream, where they were told. */
  length?: number;
};

/** The body of a guest's request: bytes if there are few, and else a stream; in pages, whose `fetch` streams over HTTP/2 alone, a `Blob`. */
export async function uploadOf(request: Request): Promise<Upload | undefined> {
  const { body } = request;
  if (body === null) return undefined;
  const told = request.headers.get('content-length');
  const length = told === null ? undefined : Number(told);
  if (!inPage && (length === undefined || length > SMALL_BYTES)) return { body, ...(length !== undefined && { length }) };
  if (length !== undefined && length > MAX_GATHERED_BYTES) throw tooLarge();
  return gather(body);
}

function tooLarge(): Refusal {
  return new Refusal(413, 'Content Too Large', `A page cannot send more than ${MAX_GATHERED_BYTES} bytes in one request`);
}

async function gather(body: ReadableStream<Uint8Array>): Promise<Upload> {
  const reader = body.getReader();
  const parts: Blob[] = [];
  let chunks: Uint8Array[] = [];
  let held = 0;
  for (let total = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    total += value.length;
    if (total > MAX_GATHERED_BYTES) {
      await reader.cancel();
      throw tooLarge();
    }
    chunks.push(value);
    held += value.length;
    if (held >= PART_BYTES) {
      parts.push(new Blob(chunks as BlobPart[]));
      chunks = [];
      held = 0;
    }
  }
  const rest = concat(chunks) as Uint8Array<ArrayBuffer>;
  return { body: parts.length === 0 ? rest : new Blob([...parts, rest]) };
}
