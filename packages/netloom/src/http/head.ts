/**
 * Start lines and header fields (RFC 9112 2 to 5), strictly: what two readers could understand in two ways is refused.
 *
 * @module
 */
import { HttpProtocolError } from './errors.ts';
import type { ByteSource } from './source.ts';

/** Bounds of a message's head, and of its trailers. */
export type HeadLimits = {
  /** Bytes of the start line and all fields. Default 16,384. */
  maxHeaderSize: number;
  /** Fields. Default 128. */
  maxHeaders: number;
};

export type RequestHead = { method: string; target: string; minor: number; headers: Headers };
export type ResponseHead = { status: number; statusText: string; minor: number; headers: Headers };

/** A token (RFC 9110 5.6.2). */
export const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)$/;
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP\/(\d)\.(\d)$/;
const STATUS_LINE = /^HTTP\/1\.(\d) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
/** RFC 9112 2.2 asks servers to bear an empty line before a request. */
const MAX_EMPTY_LINES = 4;

/** Reads lines until `limit` bytes are used up. */
class LineBudget {
  readonly #source: ByteSource;
  #left: number;

  constructor(source: ByteSource, limit: number) {
    this.#source = source;
    this.#left = limit;
  }

  async line(): Promise<string> {
    const line = this.#source.bufferedLine(this.#left, 431) ?? (await this.#source.line(this.#left, 431));
    this.#left -= line.length + 2;
    return line;
  }
}

async function readFields(lines: LineBudget, limits: HeadLimits, form = FIELD): Promise<Headers> {
  const headers = new Headers();
  for (let count = 0; ; count++) {
    const line = await lines.line();
    if (line === '') return headers;
    if (count === limits.maxHeaders) throw new HttpProtocolError('too many header fields', 431);
    const field = form.exec(line);
    // A field that begins with white space would be folded (RFC 9112 5.2), a space before the colon an attack (5.1).
    if (field === null) throw new HttpProtocolError('invalid header field', 400, line);
    headers.append(field[1]!, field[2]!);
  }
}

/** Trailers; fields that would change how a message is read are left out (RFC 9110 6.5.1). */
export async function readTrailers(source: ByteSource, limits: HeadLimits): Promise<Headers> {
  const trailers = await readFields(new LineBudget(source, limits.maxHeaderSize), limits);
  for (const name of ['content-length', 'transfer-encoding', 'host', 'trailer', 'authorization', 'set-cookie']) trailers.delete(name);
  return trailers;
}

/** RFC 9112 3. `field` is what a field line must be, where that is not RFC 9110's. */
export async function readRequestHead(source: ByteSource, limits: HeadLimits, field?: RegExp): Promise<RequestHead> {
  const lines = new LineBudget(source, limits.maxHeaderSize);
  let line = await lines.line();
  for (let empty = 0; line === '' && empty < MAX_EMPTY_LINES; empty++) line = await lines.line();
  const parts = REQUEST_LINE.exec(line);
  if (parts === null) throw new HttpProtocolError('invalid request line');
  if (parts[3] !== '1') throw new HttpProtocolError(`unsupported version: HTTP/${parts[3]}.${parts[4]}`, 505);
  return { method: parts[1]!, target: parts[2]!, minor: Math.min(Number(parts[4]), 1), headers: await readFields(lines, limits, field) };
}

/** RFC 9112 4. */
export async function readResponseHead(source: ByteSource, limits: HeadLimits): Promise<ResponseHead> {
  const lines = new LineBudget(source, limits.maxHeaderSize);
  const parts = STATUS_LINE.exec(await lines.line());
  if (parts === null) throw new HttpProtocolError('invalid status line');
  return { minor: Math.min(Number(parts[1]), 1), status: Number(parts[2]), statusText: parts[3] ?? '', headers: await readFields(lines, limits) };
}

/** Whether the list in field `name` has `token`, whatever its case. */
export function hasToken(headers: Headers, name: string, token: string): boolean {
  const value = headers.get(name);
  return (
    value !== null &&
    value
      .toLowerCase()
      .split(',')
      .some((part) => part.trim() === token)
  );
}

/** Whether the sender lets the connection persist (RFC 9112 9.3). */
export function persists(head: { minor: number; headers: Headers }): boolean {
  if (hasToken(head.headers, 'connection', 'close')) return false;
  return head.minor === 1 || hasToken(head.headers, 'connection', 'keep-alive');
}
