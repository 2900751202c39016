/**
 * WebSockets of guests, bridged to the page's: message by message, as the page's own speaks to the server.
 *
 * @module
 */
import { IdleTimer } from '../../../http/timer.ts';
import { viewOf } from '../../../http/bytes.ts';
import { upgradeWebSocket } from '../../../http/websocket/handshake.ts';
import type { WebSocketConnection } from '../../../http/websocket/connection.ts';
import type { WebSocketConstructor } from '../../types.ts';
import { Refusal } from './target.ts';

/** Bytes that wait in the page's WebSocket before the guest must wait, and how often that is looked at, in milliseconds: there is no event for it. */
const MAX_BUFFERED_BYTES = 1 << 20;
const LOOK_MS = 10;
/** Bytes that may wait for the guest: a page's WebSocket cannot be told to wait. */
const MAX_WAITING_BYTES = 16 << 20;

type Message = string | ArrayBuffer | ArrayBufferView;

/** Opens the page's WebSocket, and then answers the guest. Rejects with a `Refusal` if the server does not take it. */
export async function bridgeWebSocket(request: Request, url: string, WebSocket: WebSocketConstructor | undefined, limit: number): Promise<Response> {
  if (!WebSocket) throw new Refusal(501, 'Not Implemented', 'There is no WebSocket here: give attachNetwork one');
  const outer = new Outer(url, protocolsOf(request), WebSocket);
  try {
    const protocol = await outer.opened(request.signal, limit);
    const { response, connection } = upgradeWebSocket(request, protocol === '' ? {} : { protocol });
    connection.then(
      (guest) => join(guest, outer),
      () => outer.close(),
    );
    return response;
  } catch (error) {
    outer.close();
    throw error;
  }
}

function protocolsOf(request: Request): string[] {
  return (request.headers.get('sec-websocket-protocol') ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** The page's end. */
class Outer {
  readonly #url: string;
  // biome-ignore lint/suspicious/noExplicitAny: the types of `ws` and of the DOM are at odds.
  readonly #socket: any;
  readonly #opened: Promise<string>;
  #waiting: Message[] = [];
  #waitingBytes = 0;
  #wake: (() => void) | undefined;
  #end: { code: number; reason: string } | undefined;

  constructor(url: string, protocols: string[], WebSocket: WebSocketConstructor) {
    this.#url = url;
    this.#socket = new WebSocket(url, protocols);
    this.#socket.binaryType = 'arraybuffer';
    this.#opened = new Promise((resolve, reject) => {
      const refused = () => reject(new Refusal(502, 'Fetch Error', `Fetch ${url} failed:\n\nthe WebSocket was not opened`));
      this.#socket.onopen = () => resolve(this.#socket.protocol ?? '');
      this.#socket.onerror = refused;
      this.#socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
        refused();
        this.#finish(code, reason);
      };
    });
    this.#opened.catch(() => undefined);
    this.#socket.onmessage = ({ data }: { data: Message }) => this.#receive(data);
  }

  /** The subprotocol, once the server has taken the WebSocket. */
  async opened(signal: AbortSignal, limit: number): Promise<string> {
    const timer = new IdleTimer(() => this.close());
    const stop = () => this.close();
    signal.addEventListener('abort', stop);
    timer.start(limit);
    try {
      return await this.#opened;
    } finally {
      timer.stop();
      signal.removeEventListener('abort', stop);
    }
  }

  /** Sends, and resolves when there is room for more. */
  async send(message: string | Uint8Array): Promise<void> {
    this.#socket.send(message);
    while (this.#socket.bufferedAmount > MAX_BUFFERED_BYTES && this.#end === undefined) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }

  /** The next message of the server, or how it ended. */
  async next(): Promise<Message | { code: number; reason: string }> {
    for (;;) {
      const message = this.#waiting.shift();
      if (message !== undefined) {
        this.#waitingBytes -= sizeOf(message);
        return message;
      }
      if (this.#end) return this.#end;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  close(code?: number, reason?: string): void {
    try {
      this.#socket.close(code, reason);
    } catch {
      // Pages may not say every code that a guest may.
      this.#socket.close();
    }
  }

  #receive(message: Message): void {
    this.#waitingBytes += sizeOf(message);
    if (this.#waitingBytes > MAX_WAITING_BYTES) {
      this.#waiting = [];
      this.#finish(1006, `the guest was too slow for ${this.#url}`);
      return this.close();
    }
    this.#waiting.push(message);
    this.#wake?.();
  }

  #finish(code: number, reason: string): void {
    this.#end ??= { code, reason };
    this.#wake?.();
  }
}

function sizeOf(message: Message): number {
  return typeof message === 'string' ? message.length * 2 : message.byteLength;
}

function join(guest: WebSocketConnection, outer: Outer): void {
  void toServer(guest, outer);
  void toGuest(guest, outer);
}

async function toServer(guest: WebSocketConnection, outer: Outer): Promise<void> {
  const reader = guest.readable.getReader();
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) await outer.send(step.value);
  } catch {
    // How it ended is told below.
  }
  const { code, reason } = await guest.closed;
  outer.close(code === 1005 || code === 1006 ? undefined : code, reason);
}

async function toGuest(guest: WebSocketConnection, outer: Outer): Promise<void> {
  const writer = guest.writable.getWriter();
  writer.closed.catch(() => undefined);
  try {
    for (;;) {
      const next = await outer.next();
      if (typeof next === 'string') await writer.write(next);
      else if (!('code' in next)) await writer.write(viewOf(next as ArrayBuffer));
      else if (next.code === 1006) return await writer.abort();
      else return void (await guest.close(next.code === 1005 ? {} : next));
    }
  } catch {
    outer.close();
  }
}
