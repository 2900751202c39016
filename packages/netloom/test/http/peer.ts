/** A peer that speaks bytes: what HTTP is on the wire. */
import type { StreamConnection } from '../../src/transport/types.ts';

export const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
export const textOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');

export class Peer {
  readonly connection: StreamConnection;
  #reader: ReadableStreamDefaultReader<Uint8Array>;
  #writer: WritableStreamDefaultWriter<Uint8Array>;
  #text = '';

  constructor(connection: StreamConnection) {
    this.connection = connection;
    this.#reader = connection.readable.getReader();
    this.#writer = connection.writable.getWriter();
    this.#writer.closed.catch(() => undefined);
  }

  async send(text: string): Promise<void> {
    await this.#writer.write(bytesOf(text));
  }

  /** What arrives, up to `end` and with it, or all of it. */
  async until(end?: string): Promise<string> {
    for (;;) {
      const at = end === undefined ? -1 : this.#text.indexOf(end);
      if (end !== undefined && at >= 0) {
        const text = this.#text.slice(0, at + end.length);
        this.#text = this.#text.slice(at + end.length);
        return text;
      }
      const { done, value } = await this.#reader.read();
      if (done) {
        const text = this.#text;
        this.#text = '';
        if (end !== undefined) throw new Error(`ended after ${JSON.stringify(text)} without ${JSON.stringify(end)}`);
        return text;
      }
      this.#text += textOf(value);
    }
  }

  async end(): Promise<void> {
    await this.#writer.close();
  }
}
