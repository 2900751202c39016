import { NetworkError } from '../../errors.ts';
import type { StreamConnection } from '../../transport/types.ts';
import { concat, EMPTY, utf8, viewOf } from '../bytes.ts';
import { Channel } from '../channel.ts';
import { IdleTimer } from '../timer.ts';
import { BINARY, CLOSE, CONTINUATION, encodeFrame, PING, PONG, readFrame, TEXT, WebSocketError } from './frames.ts';

/** Milliseconds that the peer has to answer a Close. */
const CLOSE_MS = 5000;

/** How a WebSocket ended. */
export type WebSocketClose = {
  /** RFC 6455 7.4: 1000 for a normal end, 1005 if none was given, 1006 if the connection broke off. */
  code: number;
  reason: string;
  /** Whether both sides said so. */
  wasClean: boolean;
};

type Message = string | Uint8Array;

/**
 * A WebSocket as a pair of streams of whole messages, text as strings and binary as bytes, with backpressure both ways:
 * what is not read stays with the peer, also its pings. Messages are not compressed.
 */
export class WebSocketConnection implements AsyncDisposable {
  /** Messages of the peer; ends when it closes, errors when the connection breaks off. Cancelling closes. */
  readonly readable: ReadableStream<Message>;
  /** Messages to the peer. A write resolves when the connection has taken it. Closing closes with code 1000. */
  readonly writable: WritableStream<string | ArrayBufferLike | ArrayBufferView>;
  /** The subprotocol agreed on, or the empty string. */
  readonly protocol: string;
  /** Resolves, in every case, when it is over. */
  readonly closed: Promise<WebSocketClose>;
  readonly #channel: Channel;
  readonly #client: boolean;
  readonly #limit: number;
  readonly #pings: (() => void)[] = [];
  #end!: (close: WebSocketClose) => void;
  #sentClose = false;
  #peerClose: { code: number; reason: string } | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(connection: StreamConnection, o: { client: boolean; protocol: string; maxMessageSize?: number | undefined }) {
    this.#channel = new Channel(connection);
    this.#client = o.client;
    this.#limit = o.maxMessageSize ?? 64 << 20;
    this.protocol = o.protocol;
    this.closed = new Promise((resolve) => (this.#end = resolve));
    this.readable = new ReadableStream<Message>(
      {
        pull: async (controller) => {
          const message = await this.#next();
          if (message === undefined) controller.close();
          else controller.enqueue(message);
        },
        cancel: () => void this.close(),
      },
      { highWaterMark: 0 },
    );
    this.writable = new WritableStream({
      write: (message) => this.#write(typeof message === 'string' ? TEXT : BINARY, typeof message === 'string' ? utf8(message) : viewOf(message)),
      close: async () => void (await this.close({ code: 1000 })),
      abort: () => this.#break(new NetworkError('ECONNABORTED', { syscall: 'write' })),
    });
  }

  /**
   * Asks the peer for a sign of life, which `readable` must be read for.
   * @param payload At most 125 bytes.
   * @returns Resolves when the pong is there, rejects with `ECONNRESET` if the connection ends before.
   */
  async ping(payload: Uint8Array = EMPTY): Promise<void> {
    if (payload.length > 125) throw new NetworkError('EMSGSIZE', { syscall: 'write', message: 'a ping holds at most 125 bytes' });
    const pong = new Promise<void>((resolve) => this.#pings.push(resolve));
    await this.#write(PING, payload);
    const ended = this.closed.then(() => {
      throw new NetworkError('ECONNRESET', { syscall: 'read' });
    });
    await Promise.race([pong, ended]);
  }

  /**
   * Says the end, and waits for the peer's answer for at most 5 s; messages that still come are dropped.
   * @param options.code 1000, or 3000 to 4999, and for a server every code that is sent (RFC 6455 7.4). Without one, none is sent.
   * @param options.reason At most 123 bytes of UTF-8.
   */
  async close(options: { code?: number; reason?: string } = {}): Promise<WebSocketClose> {
    const payload = closePayload(options.code, options.reason, !this.#client);
    if (!this.#sentClose) {
      const late = new IdleTimer(() => this.#break(new NetworkError('ETIMEDOUT', { syscall: 'read' })));
      late.start(CLOSE_MS, true);
      try {
        await this.#sendClose(payload);
        while ((await this.#next()) !== undefined);
      } catch {
        // `closed` tells.
      } finally {
        late.stop();
      }
    }
    return this.closed;
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The next message; calls take turns. */
  #next(): Promise<Message | undefined> {
    const message = this.#turn.then(() => this.#receive());
    this.#turn = message.catch(() => undefined);
    return message;
  }

  async #receive(): Promise<Message | undefined> {
    if (this.#peerClose) return undefined;
    try {
      const message = await this.#readMessage();
      if (message !== undefined) return message;
      const { code, reason } = this.#peerClose!;
      await this.#sendClose(closePayload(code === 1005 ? undefined : code, reason, true));
      this.#end({ code, reason, wasClean: true });
      // Ends the connection from this side; who comes first does not matter to what was read (RFC 6455 7.1.1).
      void this.#channel.finish().catch((error: unknown) => this.#channel.break(error));
      return undefined;
    } catch (error) {
      if (error instanceof WebSocketError) {
        await this.#sendClose(closePayload(error.code, error.message, true)).catch(() => undefined);
        this.#end({ code: error.code, reason: error.message, wasClean: false });
        void this.#channel.finish().catch((reason: unknown) => this.#channel.break(reason));
      }
      this.#break(error);
      throw this.#channel.error ?? error;
    }
  }

  /** A whole message; `undefined` for the peer's Close. */
  async #readMessage(): Promise<Message | undefined> {
    const parts: Uint8Array[] = [];
    let length = 0;
    let type = CONTINUATION;
    for (;;) {
      const { final, opcode, payload } = await readFrame(this.#channel.source, !this.#client, this.#limit - length);
      if (opcode === PING) {
        if (!this.#sentClose) await this.#write(PONG, payload);
      } else if (opcode === PONG) {
        this.#pings.shift()?.();
      } else if (opcode === CLOSE) {
        this.#peerClose = readClose(payload);
        return undefined;
      } else {
        if ((opcode === CONTINUATION) === (type === CONTINUATION)) throw new WebSocketError(1002, 'message fragmented out of order');
        if (opcode !== CONTINUATION) type = opcode;
        if (payload.length > 0) parts.push(payload);
        length += payload.length;
        if (final) {
          const whole = parts.length === 1 ? parts[0]! : concat(parts);
          return type === TEXT ? decodeText(whole) : whole;
        }
      }
    }
  }

  async #write(opcode: number, payload: Uint8Array): Promise<void> {
    if (this.#sentClose) throw new NetworkError('EPIPE', { syscall: 'write', message: 'the WebSocket is closed' });
    await this.#channel.sink.write(encodeFrame(opcode, payload, this.#client));
  }

  async #sendClose(payload: Uint8Array): Promise<void> {
    if (this.#sentClose) return;
    this.#sentClose = true;
    await this.#channel.sink.write(encodeFrame(CLOSE, payload, this.#client));
  }

  #break(error: unknown): void {
    this.#end({ code: 1006, reason: '', wasClean: false });
    if (!(error instanceof WebSocketError)) this.#channel.break(error);
  }
}

/** Whether a Close may have this code (RFC 6455 7.4). */
function isSent(code: number): boolean {
  return (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code <= 4999);
}

/** The payload of a Close (RFC 6455 5.5.1). `ours` lets codes through that a client's application may not choose. */
function closePayload(code: number | undefined, reason = '', ours = false): Uint8Array {
  if (code === undefined) return EMPTY;
  if (!isSent(code) || (!ours && code !== 1000 && code < 3000)) throw new DOMException('the code must be 1000 or 3000 to 4999', 'InvalidAccessError');
  const text = utf8(reason);
  if (text.length > 123) throw new DOMException('the reason is longer than 123 bytes', 'SyntaxError');
  return concat([Uint8Array.of(code >> 8, code & 255), text]);
}

function readClose(payload: Uint8Array): { code: number; reason: string } {
  if (payload.length === 0) return { code: 1005, reason: '' };
  const code = payload[0]! * 256 + (payload[1] ?? 0);
  if (payload.length === 1 || !isSent(code)) throw new WebSocketError(1002, 'invalid close code');
  return { code, reason: decodeText(payload.subarray(2)) };
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new WebSocketError(1007, 'text is not UTF-8');
  }
}
