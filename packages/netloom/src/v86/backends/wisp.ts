/**
 * A Wisp server as a way out: TCP and UDP streams over one WebSocket, of version 1 and 2. The protocol is the module's; here are the WebSocket, when
 * it is opened again, and how much waits in it.
 */
import { NetworkError } from '../../errors.ts';
import type { PageLan } from '../../lan/lan.ts';
import type { Flow, Query } from '../../lan/types.ts';
import { MAX_MESSAGE_BYTES, WispClient, type WispServer } from '../../lan/wisp.ts';
import { Backoff } from './backoff.ts';
import { isOpen, type Socket } from './socket.ts';
import type { EgressBackend, EgressContext, OpenEgress } from './types.ts';
import { parseBackendUrl } from './url.ts';
import { signChallenge } from './wisp/sign.ts';
import { WispDial } from './wisp/socket.ts';

/** What may wait in the WebSocket: enough for a fast line, and little for others to wait behind. */
const MAX_BUFFERED_BYTES = 2 << 20;
/** WebSockets of browsers do not tell when there is room again. */
const ROOM_CHECK_MS = 4;
/** Bytes of servers that may wait for guests, and from which on nothing is read where the WebSocket can be paused. */
const BACKLOG_BYTES = 128 << 20;
const PAUSE_BYTES = 16 << 20;
/** A next try that is further away than this is no reason to keep guests waiting. */
const PATIENCE_MS = 3_000;
const RESOLVERS = ['1.1.1.1', '8.8.8.8'];

/** Opens the WebSocket at once, and again whenever it is lost. */
export const openWisp: OpenEgress = (context) => new Wisp(context);

export class Wisp implements EgressBackend {
  readonly #context: EgressContext;
  readonly #url: string;
  readonly #client: WispClient;
  readonly #backoff: Backoff;
  #dial: WispDial | undefined;
  #socket: Socket | undefined;
  /** Whether the server knows version 1 alone. */
  #plain = false;
  #isUp = false;
  #paused = false;
  /** When the next try is, while one waits. */
  #retryAt = 0;
  #roomTimer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(context: EgressContext) {
    this.#context = context;
    const { credentials, timeouts } = context;
    this.#url = parseBackendUrl(context.url).sockets[0]!;
    this.#backoff = new Backoff(timeouts);
    const settings = {
      password: credentials && 'password' in credentials ? credentials : undefined,
      hasKey: credentials !== undefined && 'privateKey' in credentials,
      resolvers: RESOLVERS,
      dialTimeout: timeouts.connect,
      backlogBytes: BACKLOG_BYTES,
      pauseBytes: PAUSE_BYTES,
    };
    this.#client = new WispClient(context.lan as PageLan, settings, () => this.#flush());
    this.#open();
  }

  /** What the server told of itself, if it speaks version 2. */
  get server(): WispServer | undefined {
    return this.#client.server();
  }

  serves(_flow: Flow): boolean {
    return true;
  }

  open(flow: Flow): void {
    if (this.#closed || (this.#retryAt && this.#retryAt - performance.now() > PATIENCE_MS)) flow.refuse('unreachable');
    else flow.relay(this.#client);
  }

  query(query: Query): void {
    if (this.#closed) this.#context.lan.answer(query.id, undefined);
    else this.#client.query(query.id);
  }

  close(): void {
    this.#closed = true;
    this.#backoff.cancel();
    clearTimeout(this.#roomTimer);
    this.#dial?.close();
    this.#socket = undefined;
    this.#client.remove();
  }

  #open(): void {
    if (this.#closed) return;
    this.#retryAt = 0;
    const { WebSocket = globalThis.WebSocket, timeouts } = this.#context;
    if (!WebSocket) {
      queueMicrotask(() => this.#lost(new NetworkError('EINVAL', { message: 'there is no WebSocket here: pass one as the option WebSocket' })));
      return;
    }
    const listener = {
      onTry: () => this.#client.dial(),
      onOpen: (socket: Socket) => {
        this.#socket = socket;
        this.#client.up();
      },
      onMessage: (bytes: Uint8Array) => this.#receive(bytes),
      onLost: (error: NetworkError) => this.#lost(error),
    };
    this.#dial = new WispDial(WebSocket, this.#url, 2 * timeouts.start, !this.#plain, listener, () => (this.#plain = true));
  }

  #receive(bytes: Uint8Array): void {
    if (bytes.length > MAX_MESSAGE_BYTES) return this.#giveUp('it sends messages that are too long');
    const { state, reason, pause } = this.#client.message(bytes);
    if (pause && !this.#paused) this.#pause(true);
    if (this.#isUp && state === 'ready') return;
    if (state === 'refused') return this.#giveUp(reason);
    if (state === 'signing') void this.#sign();
    if (state !== 'ready') return;
    this.#isUp = true;
    this.#backoff.reset();
    this.#context.report('up');
  }

  async #sign(): Promise<void> {
    const [challenge, { credentials }, socket] = [this.#client.challenge(), this.#context, this.#socket];
    if (!challenge || !credentials || !('privateKey' in credentials)) return;
    const none = new Uint8Array(0);
    let answer = { keyHash: none as Uint8Array, signature: none as Uint8Array };
    try {
      answer = await signChallenge(challenge, credentials);
    } catch {
      // The server says whether it takes us without.
    }
    if (!this.#closed && this.#socket === socket) this.#client.sign(answer.keyHash, answer.signature);
  }

  /** Sends what there is, as far as the WebSocket has room. */
  #flush(): void {
    const socket = this.#socket;
    if (!isOpen(socket)) return;
    const { state, reason, pause } = this.#client.status();
    if (state === 'refused') return this.#giveUp(reason);
    if (this.#paused && !pause) this.#pause(false);
    while (socket.bufferedAmount < MAX_BUFFERED_BYTES) {
      const message = this.#client.poll();
      if (!message) return;
      if (socket.bufferedAmount + message.length < MAX_BUFFERED_BYTES) socket.send(message);
      else socket.send(message, this.#written);
    }
    this.#roomTimer ??= setTimeout(this.#written, ROOM_CHECK_MS);
  }

  readonly #written = (): void => {
    clearTimeout(this.#roomTimer);
    this.#roomTimer = undefined;
    if (!this.#closed) this.#flush();
  };

  /** Where it can be, the WebSocket is not read while guests do not take what came. */
  #pause(pause: boolean): void {
    this.#paused = pause;
    if (pause) this.#socket?.pause?.();
    else this.#socket?.resume?.();
  }

  #giveUp(why: string): void {
    this.#dial?.close();
    this.#lost(new NetworkError('ECONNREFUSED', { message: `the Wisp server ${this.#url} refuses: ${why}` }));
  }

  #lost(error: NetworkError): void {
    if (this.#closed) return;
    this.#dial = undefined;
    this.#socket = undefined;
    this.#isUp = false;
    this.#paused = false;
    this.#client.down();
    const delay = this.#backoff.wait(() => this.#open());
    this.#retryAt = performance.now() + delay;
    this.#context.report('down', error);
  }
}
