import { fromLatin1 } from '../bytes.ts';

/** RFC 6455 1.3: what shows that a server knows WebSocket. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** `Sec-WebSocket-Accept` for a key. `crypto.subtle` is not there in pages of plain HTTP, and answers later. */
export function acceptKey(key: string): string {
  return btoa(String.fromCharCode(...sha1(fromLatin1(key + GUID))));
}

/** SHA-1 (RFC 3174), which protects nothing here. */
function sha1(message: Uint8Array): Uint8Array {
  const padded = new Uint8Array(((message.length + 8) & ~63) + 64);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 4, message.length * 8);
  const hash = Uint32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  const words = new Uint32Array(80);
  const rotate = (value: number, by: number) => (value << by) | (value >>> (32 - by));
  for (let block = 0; block < padded.length; block += 64) {
    for (let at = 0; at < 80; at++) {
      words[at] = at < 16 ? view.getUint32(block + at * 4) : rotate(words[at - 3]! ^ words[at - 8]! ^ words[at - 14]! ^ words[at - 16]!, 1);
    }
    let [a, b, c, d, e] = hash as unknown as [number, number, number, number, number];
    for (let at = 0; at < 80; at++) {
      const [mixed, constant] =
        at < 20
          ? [(b & c) | (~b & d), 0x5a827999]
          : at < 40
            ? [b ^ c ^ d, 0x6ed9eba1]
            : at < 60
              ? [(b & c) | (b & d) | (c & d), 0x8f1bbcdc]
              : [b ^ c ^ d, 0xca62c1d6];
      const next = (rotate(a, 5) + mixed + e + constant + words[at]!) | 0;
      [a, b, c, d, e] = [next, a, rotate(b, 30), c, d];
    }
    for (const [at, value] of [a, b, c, d, e].entries()) hash[at]! += value;
  }
  const digest = new DataView(new ArrayBuffer(20));
  for (const [at, value] of hash.entries()) digest.setUint32(at * 4, value);
  return new Uint8Array(digest.buffer);
}
