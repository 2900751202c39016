import { HttpProtocolError } from './errors.ts';
import type { RequestHead, ResponseHead } from './head.ts';

/** How a body's end is told (RFC 9112 6): by its length, by its last chunk, or by the end of the connection. */
export type Framing = { readonly length: number } | 'chunked' | 'close';

const NONE: Framing = { length: 0 };

/** RFC 9112 6.3; a message that two readers could cut in two ways is refused, never repaired. */
function declared(head: { minor: number; headers: Headers }): Framing | undefined {
  const coding = head.headers.get('transfer-encoding');
  const length = head.headers.get('content-length');
  if (coding !== null) {
    if (length !== null) throw new HttpProtocolError('both Transfer-Encoding and Content-Length');
    if (head.minor === 0) throw new HttpProtocolError('Transfer-Encoding in HTTP/1.0');
    const codings = coding
      .toLowerCase()
      .split(',')
      .map((part) => part.trim());
    // The last coding must be chunked, and it alone, or nobody knows where the body ends.
    if (codings.indexOf('chunked') !== codings.length - 1) throw new HttpProtocolError('invalid Transfer-Encoding');
    if (codings.length > 1) throw new HttpProtocolError('unsupported transfer coding', 501);
    return 'chunked';
  }
  if (length === null) return undefined;
  const value = Number(length);
  // Two fields are joined by a comma, so that even two equal lengths are refused.
  if (!/^\d+$/.test(length) || !Number.isSafeInteger(value)) throw new HttpProtocolError('invalid Content-Length');
  return { length: value };
}

export function requestFraming(head: RequestHead): Framing {
  return declared(head) ?? NONE;
}

export function responseFraming(method: string, head: ResponseHead): Framing {
  const framing = declared(head);
  if (method === 'HEAD' || head.status < 200 || head.status === 204 || head.status === 304) return NONE;
  return framing ?? 'close';
}
