/**
 * Frames (RFC 6455 5.2).
 *
 * @module
 */
import { concat } from '../bytes.ts';
import type { ByteSource } from '../source.ts';

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

export type Frame = { final: boolean; opcode: number; payload: Uint8Array };

/** What a peer did wrong, with the code of the Close that tells it (RFC 6455 7.4.1). */
export class WebSocketError extends Error {
  override readonly name = 'WebSocketError';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Reads a frame of at most `limit` bytes of payload. `masked` says whether the peer is a client, whose frames are. */
export async function readFrame(source: ByteSource, masked: boolean, limit: number): Promise<Frame> {
  const [first, second] = (await source.exactly(2)) as unknown as [number, number];
  const opcode = first & 15;
  const final = first >= 128;
  if ((first & 0x70) !== 0) throw new WebSocketError(1002, 'reserved bit without extension');
  if (opcode > PONG || (opcode > BINARY && opcode < CLOSE)) throw new WebSocketError(1002, 'unknown opcode');
  if (second >= 128 !== masked) throw new WebSocketError(1002, masked ? 'unmasked frame of a client' : 'masked frame of a server');
  let length = second & 127;
  if (opcode >= CLOSE && (!final || length > 125)) throw new WebSocketError(1002, 'control frame is fragmented or too long');
  if (length > 125) {
    const wide = length === 127;
    const view = new DataView((await source.exactly(wide ? 8 : 2)).buffer);
    length = wide ? view.getUint32(0) * 2 ** 32 + view.getUint32(4) : view.getUint16(0);
    if (length < (wide ? 65536 : 126)) throw new WebSocketError(1002, 'length not in its shortest form');
  }
  if (length > limit) throw new WebSocketError(1009, 'message too big');
  const mask = masked ? await source.exactly(4) : undefined;
  const parts: Uint8Array[] = [];
  for (let left = length; left > 0; ) {
    const part = await source.take(left);
    if (part === undefined) throw source.truncated();
    parts.push(part);
    left -= part.length;
  }
  const payload = concat(parts);
  if (mask) applyMask(payload, mask);
  return { final, opcode, payload };
}

/** The bytes of one frame that is a whole message; a client's is masked (RFC 6455 5.3). */
export function encodeFrame(opcode: number, payload: Uint8Array, masked: boolean): Uint8Array {
  const { length } = payload;
  const extended = length > 65535 ? 8 : length > 125 ? 2 : 0;
  const frame = new Uint8Array(2 + extended + (masked ? 4 : 0) + length);
  const view = new DataView(frame.buffer);
  frame[0] = 0x80 | opcode;
  frame[1] = (masked ? 0x80 : 0) | (extended === 8 ? 127 : extended === 2 ? 126 : length);
  if (extended === 2) view.setUint16(2, length);
  if (extended === 8) view.setBigUint64(2, BigInt(length));
  frame.set(payload, frame.length - length);
  if (masked) {
    const mask = crypto.getRandomValues(frame.subarray(2 + extended, 6 + extended));
    applyMask(frame.subarray(frame.length - length), mask);
  }
  return frame;
}

function applyMask(bytes: Uint8Array, mask: Uint8Array): void {
  const [a, b, c, d] = mask as unknown as [number, number, number, number];
  const whole = bytes.length & ~3;
  for (let at = 0; at < whole; at += 4) {
    bytes[at]! ^= a;
    bytes[at + 1]! ^= b;
    bytes[at + 2]! ^= c;
    bytes[at + 3]! ^= d;
  }
  for (let at = whole; at < bytes.length; at++) bytes[at]! ^= mask[at & 3]!;
}
