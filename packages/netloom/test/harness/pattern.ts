/** Bytes whose place in a stream can be told: position `n` holds `(n * 31 + (n >> 8) * 7) & 255`. */

/** Fills `buffer` with what the stream has from `offset`. */
export function fillPattern(buffer: Uint8Array, offset = 0): Uint8Array {
  for (let index = 0; index < buffer.length; index += 1) {
    const at = offset + index;
    buffer[index] = at * 31 + Math.floor(at / 256) * 7;
  }
  return buffer;
}

/** The stream's first `length` bytes from `offset`. */
export function pattern(length: number, offset = 0): Uint8Array {
  return fillPattern(new Uint8Array(length), offset);
}
