import { concat, fromLatin1 } from './bytes.ts';
import type { Channel } from './channel.ts';
import type { Framing } from './framing.ts';

/** What is sent as a body. */
export type Content = Uint8Array | ReadableStream<Uint8Array> | null;

/** What the sender's own stream failed with; everything else that a send fails with is the connection's. */
export class ContentError {
  readonly reason: unknown;

  constructor(reason: unknown) {
    this.reason = reason;
  }
}

/** Bytes that are gathered into one write, and from which on a piece is not kept back for more. */
const GATHER_BYTES = 65536;
const LARGE_BYTES = 16384;
/** Turns of the microtask queue that a stream has for its next chunk before what is there is written. */
const SOON_TURNS = 32;
const CRLF = fromLatin1('\r\n');

type Field = readonly [string, string];

/** What a line of a head must not have: not every platform's `Headers`, `Request` and `Response` keep it out, and a line break would be one more field. */
const NOT_IN_LINE = /[^\t\x20-\x7e\x80-\xff]/;

/** The bytes of a start line and its fields. */
export function encodeHead(startLine: string, fields: Iterable<Field>): Uint8Array {
  if (NOT_IN_LINE.test(startLine)) throw new TypeError('invalid character in a start line');
  return fromLatin1(`${startLine}\r\n${encodeFields(fields)}`);
}

function encodeFields(fields: Iterable<Field>): string {
  let text = '';
  for (const [name, value] of fields) {
    if (NOT_IN_LINE.test(value)) throw new TypeError(`invalid character in the field ${name}`);
    text += `${name}: ${value}\r\n`;
  }
  return `${text}\r\n`;
}

/** Whether a promise settles without anything from outside. */
async function settlesSoon(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  promise.then(settle, settle);
  for (let turn = 0; turn < SOON_TURNS && !settled; turn++) await undefined;
  return settled;
}

/** Gathers small pieces into few writes. */
class Gatherer {
  readonly #channel: Channel;
  #parts: Uint8Array[];
  #size = 0;

  constructor(channel: Channel, first: Uint8Array) {
    this.#channel = channel;
    this.#parts = [first];
  }

  async push(bytes: Uint8Array): Promise<void> {
    // By itself, what is gathered would be a packet of its own, which costs a peer more than the copy.
    if (bytes.length >= LARGE_BYTES && this.#parts.length === 0) return this.#channel.sink.write(bytes);
    this.#parts.push(bytes);
    this.#size += bytes.length;
    if (this.#size >= GATHER_BYTES || bytes.length >= LARGE_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    const parts = this.#parts;
    if (parts.length === 0) return;
    this.#parts = [];
    this.#size = 0;
    await this.#channel.sink.write(parts.length === 1 ? parts[0]! : concat(parts));
  }
}

function checkLength(framing: Framing, sent: number, ended: boolean): void {
  if (typeof framing !== 'object') return;
  if (sent > framing.length || (ended && sent < framing.length))
    throw new ContentError(new TypeError(`body has ${sent} bytes, Content-Length says ${framing.length}`));
}

/** Sends a head with its body. The head does not wait for a body that takes its time. */
export async function sendMessage(channel: Channel, head: Uint8Array, content: Content, framing: Framing, trailers?: () => Promise<Headers>): Promise<void> {
  const out = new Gatherer(channel, head);
  if (content === null) return out.flush();
  if (content instanceof Uint8Array) {
    await out.push(content);
    return out.flush();
  }
  const reader = content.getReader();
  const stop = (error: unknown) => void reader.cancel(error).catch(() => undefined);
  channel.onBreak.add(stop);
  try {
    for (let sent = 0; ; ) {
      const next = reader.read();
      if (!(await settlesSoon(next))) await out.flush();
      const { done, value } = await next.catch((error: unknown) => {
        throw new ContentError(error);
      });
      if (channel.error !== undefined) throw channel.error;
      if (done) {
        checkLength(framing, sent, true);
        break;
      }
      if (!(value instanceof Uint8Array)) throw new ContentError(new TypeError('a chunk of a body is not a Uint8Array'));
      if (value.length === 0) continue;
      sent += value.length;
      checkLength(framing, sent, false);
      if (framing === 'chunked') await out.push(fromLatin1(`${value.length.toString(16)}\r\n`));
      await out.push(value);
      if (framing === 'chunked') await out.push(CRLF);
    }
    if (framing === 'chunked') await out.push(fromLatin1(`0\r\n${encodeFields((await trailers?.()) ?? [])}`));
    await out.flush();
  } catch (error) {
    stop(error instanceof ContentError ? error.reason : error);
    throw error;
  } finally {
    channel.onBreak.delete(stop);
    reader.releaseLock();
  }
}
