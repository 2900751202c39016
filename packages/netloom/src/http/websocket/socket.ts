import { utf8, viewOf } from '../bytes.ts';
import type { WebSocketConnection } from './connection.ts';

/** `CloseEvent` where the platform has none (Node before 23). */
class OwnCloseEvent extends Event {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;

  constructor(type: string, { code = 0, reason = '', wasClean = false }: CloseEventInit) {
    super(type);
    this.code = code;
    this.reason = reason;
    this.wasClean = wasClean;
  }
}

/** The WebSocket of browsers (WebSockets standard, 3), over any connection. */
export class NetworkWebSocket extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSING = 2;
  readonly CLOSED = 3;
  readonly url: string;
  readonly extensions = '';
  onopen: ((event: Event) => unknown) | null = null;
  onmessage: ((event: MessageEvent) => unknown) | null = null;
  onerror: ((event: Event) => unknown) | null = null;
  onclose: ((event: CloseEvent) => unknown) | null = null;
  #connection: WebSocketConnection | undefined;
  #writer: WritableStreamDefaultWriter<string | ArrayBufferLike | ArrayBufferView> | undefined;
  #state: 0 | 1 | 2 | 3 = 0;
  #binaryType: BinaryType = 'blob';
  #bufferedAmount = 0;
  #sending: Promise<void> = Promise.resolve();
  #opening = new AbortController();

  constructor(url: string, open: (signal: AbortSignal) => Promise<WebSocketConnection>) {
    super();
    this.url = url;
    // As listeners, so that what they throw is reported as any listener's.
    this.addEventListener('open', (event) => this.onopen?.(event));
    this.addEventListener('message', (event) => this.onmessage?.(event as MessageEvent));
    this.addEventListener('error', (event) => this.onerror?.(event));
    this.addEventListener('close', (event) => this.onclose?.(event as CloseEvent));
    void this.#run(open(this.#opening.signal));
  }

  get readyState(): number {
    return this.#state;
  }

  get protocol(): string {
    return this.#connection?.protocol ?? '';
  }

  /** Bytes that `send` took and the connection has not. */
  get bufferedAmount(): number {
    return this.#bufferedAmount;
  }

  get binaryType(): BinaryType {
    return this.#binaryType;
  }

  set binaryType(type: BinaryType) {
    if (type === 'blob' || type === 'arraybuffer') this.#binaryType = type;
  }

  send(data: string | ArrayBufferLike | ArrayBufferView | Blob): void {
    if (this.#state === 0) throw new DOMException('the WebSocket is not open yet', 'InvalidStateError');
    // Copied: the caller may go on writing to its buffer.
    const message = data instanceof Blob ? data : typeof data === 'object' ? viewOf(data).slice() : String(data);
    const size = message instanceof Blob ? message.size : typeof message === 'string' ? utf8(message).length : message.length;
    this.#bufferedAmount += size;
    if (this.#state !== 1) return;
    this.#sending = this.#sending
      .then(async () => {
        await this.#writer!.write(message instanceof Blob ? await message.arrayBuffer() : message);
        this.#bufferedAmount -= size;
      })
      // The end of the connection tells; what was not sent stays in `bufferedAmount`.
      .catch(() => undefined);
  }

  close(code?: number, reason = ''): void {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999))
      throw new DOMException('the code must be 1000 or 3000 to 4999', 'InvalidAccessError');
    if (utf8(reason).length > 123) throw new DOMException('the reason is longer than 123 bytes', 'SyntaxError');
    if (this.#state > 1) return;
    const connecting = this.#state === 0;
    this.#state = 2;
    if (connecting) this.#opening.abort();
    else void this.#sending.then(() => this.#connection!.close({ ...((code !== undefined || reason !== '') && { code: code ?? 1000 }), reason }));
  }

  async #run(opening: Promise<WebSocketConnection>): Promise<void> {
    let connection: WebSocketConnection;
    try {
      connection = await opening;
    } catch (error) {
      return this.#ended({ code: 1006, reason: '', wasClean: false }, error);
    }
    this.#connection = connection;
    this.#writer = connection.writable.getWriter();
    this.#writer.closed.catch(() => undefined);
    // Closed before it was open.
    if (this.#state !== 0) void connection.close();
    else {
      this.#state = 1;
      this.dispatchEvent(new Event('open'));
    }
    let failure: unknown;
    try {
      const reader = connection.readable.getReader();
      for (let step = await reader.read(); !step.done; step = await reader.read()) {
        if (this.#state === 1) this.dispatchEvent(new MessageEvent('message', { data: this.#dataOf(step.value), origin: new URL(this.url).origin }));
      }
    } catch (error) {
      failure = error;
    }
    this.#ended(await connection.closed, failure);
  }

  #dataOf(message: string | Uint8Array): unknown {
    if (typeof message === 'string') return message;
    return this.#binaryType === 'blob'
      ? new Blob([message as Uint8Array<ArrayBuffer>])
      : message.byteLength === message.buffer.byteLength
        ? message.buffer
        : message.slice().buffer;
  }

  #ended(close: CloseEventInit, failure: unknown): void {
    this.#state = 3;
    if (!close.wasClean) {
      const event = new Event('error');
      Object.defineProperty(event, 'error', { value: failure });
      Object.defineProperty(event, 'message', { value: failure instanceof Error ? failure.message : '' });
      this.dispatchEvent(event);
    }
    this.dispatchEvent(new (globalThis.CloseEvent ?? OwnCloseEvent)('close', close));
  }
}
