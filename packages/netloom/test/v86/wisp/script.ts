/**
 * WebSockets to a Wisp server that says what a test has it say: packets as the Wisp specification writes them, type, stream, payload.
 */
export const [CONNECT, DATA, CONTINUE, CLOSE, INFO] = [1, 2, 3, 4, 5] as const;

export const u32 = (value: number): number[] => [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];
const text = { encoder: new TextEncoder(), decoder: new TextDecoder() };

export type Packet = { type: number; stream: number; payload: Uint8Array; text: string; kind: number; port: number; host: string };

export type ScriptOptions = {
  /** Whether a subprotocol is answered, as servers of version 2 do. Default: it fails the WebSocket. */
  version2?: boolean;
  /** INFO that greets a client of version 2, without the version. */
  extensions?: number[];
  /** What the first CONTINUE says; `null` says none. Default 128. */
  credit?: number | null;
  /** Whether no WebSocket opens. */
  unreachable?: boolean;
};

/** One WebSocket at the server's end. */
export class Session {
  readonly packets: Packet[] = [];
  readonly subprotocol: string | undefined;
  readonly socket: {
    onmessage: ((event: { data: unknown }) => void) | null;
    onclose: ((event: object) => void) | null;
    readyState: number;
    bufferedAmount: number;
  };
  #taken = 0;
  #waiting: (() => void)[] = [];

  constructor(socket: Session['socket'], subprotocol: string | undefined) {
    this.socket = socket;
    this.subprotocol = subprotocol;
  }

  send(type: number, stream: number, payload: Iterable<number> | string = []): void {
    const body = typeof payload === 'string' ? text.encoder.encode(payload) : Uint8Array.from(payload);
    const message = new Uint8Array(5 + body.length);
    message.set([type, ...u32(stream)]);
    message.set(body, 5);
    this.raw(message.buffer);
  }

  raw(data: unknown): void {
    this.socket.onmessage?.({ data });
  }

  lose(): void {
    this.socket.readyState = 3;
    this.socket.onclose?.({ code: 1006, reason: '' });
  }

  /** The next packet that the client sends. */
  async next(): Promise<Packet> {
    while (this.#taken === this.packets.length) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.packets[this.#taken++]!;
  }

  take(message: Uint8Array): void {
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    const payload = message.slice(5);
    const packet: Packet = { type: view.getUint8(0), stream: view.getUint32(1, true), payload, text: text.decoder.decode(payload), kind: 0, port: 0, host: '' };
    if (packet.type === CONNECT) {
      Object.assign(packet, { kind: view.getUint8(5), port: view.getUint16(6, true), host: text.decoder.decode(payload.subarray(3)) });
    }
    this.packets.push(packet);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** A server, and the `WebSocket` that leads to it. */
export function scriptServer(options: ScriptOptions = {}) {
  const sessions: Session[] = [];
  const tried: { url: string; subprotocol: string | undefined }[] = [];
  let waiting: (() => void)[] = [];
  class ScriptSocket {
    binaryType = 'blob';
    readyState = 0;
    bufferedAmount = 0;
    onopen: (() => void) | null = null;
    onmessage: ((event: { data: unknown }) => void) | null = null;
    onclose: ((event: object) => void) | null = null;
    onerror: (() => void) | null = null;
    #session: Session | undefined;

    constructor(url: string, protocols?: string | string[]) {
      const subprotocol = typeof protocols === 'string' ? protocols : protocols?.[0];
      tried.push({ url, subprotocol });
      setTimeout(() => {
        if (options.unreachable || (subprotocol && !options.version2)) {
          this.readyState = 3;
          this.onerror?.();
          this.onclose?.({ code: 1006, reason: '' });
          return;
        }
        if (!this.onopen) return;
        this.readyState = 1;
        const session = (this.#session = new Session(this, subprotocol));
        sessions.push(session);
        this.onopen();
        const { credit = 128 } = options;
        if (subprotocol) session.send(INFO, 0, [2, 0, ...(options.extensions ?? [])]);
        else if (credit !== null) session.send(CONTINUE, 0, u32(credit));
        for (const wake of waiting) wake();
        waiting = [];
      });
    }

    send(data: Uint8Array): void {
      if (this.readyState !== 1) throw new DOMException('not open', 'InvalidStateError');
      const session = this.#session!;
      session.take(data);
      if (data[0] === INFO && options.credit !== null) session.send(CONTINUE, 0, u32(options.credit ?? 128));
    }

    close(): void {
      this.readyState = 3;
    }
  }
  return {
    WebSocket: ScriptSocket,
    options,
    sessions,
    tried,
    /** The session of a number, once it is there. */
    async session(number = 0): Promise<Session> {
      while (sessions.length <= number) await new Promise<void>((resolve) => waiting.push(resolve));
      return sessions[number]!;
    },
  };
}

/** The metadata of an extension, behind its number and length. */
export const extension = (id: number, metadata: number[] = []): number[] => [id, ...u32(metadata.length), ...metadata];
