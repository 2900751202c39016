/**
 * The WebSocket to a Wisp server, of which version 2 is asked by a subprotocol. Servers that know only version 1 do not answer it, and browsers
 * then fail the WebSocket: it is opened again without.
 */
import { NetworkError } from '../../../errors.ts';
import type { WebSocketConstructor } from '../../types.ts';
import { release, type Socket } from '../socket.ts';

const SUBPROTOCOL = 'wisp-v2';

/** Who hears of a WebSocket. */
export type SocketListener = {
  onTry(): void;
  onOpen(socket: Socket): void;
  onMessage(bytes: Uint8Array): void;
  /** It could not be opened, or is lost; called once, and nothing after it. */
  onLost(error: NetworkError): void;
};

/** One WebSocket after another, until one opens. */
export class WispDial {
  readonly #Constructor: WebSocketConstructor;
  readonly #url: string;
  readonly #listener: SocketListener;
  #socket: Socket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #over = false;

  /** Opens it within so many milliseconds, of version 2 first if it is to be tried. `plain` is called if a server turns out to know version 1 alone. */
  constructor(Constructor: WebSocketConstructor, url: string, timeout: number, tryVersion2: boolean, listener: SocketListener, plain: () => void) {
    this.#Constructor = Constructor;
    this.#url = url;
    this.#listener = listener;
    this.#timer = setTimeout(() => this.#lose('it does not answer'), timeout);
    const version1 = () => this.#try(undefined, plain, (why) => this.#lose(why));
    if (tryVersion2) this.#try(SUBPROTOCOL, () => {}, version1);
    else version1();
  }

  /** Closes it without a word to the listener. */
  close(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    if (this.#socket) release(this.#socket);
    this.#socket = undefined;
  }

  #try(subprotocol: string | undefined, opened: () => void, failed: (why: string) => void): void {
    if (this.#over) return;
    this.#listener.onTry();
    let socket: Socket;
    try {
      socket = subprotocol ? new this.#Constructor(this.#url, subprotocol) : new this.#Constructor(this.#url);
    } catch (error) {
      // Insecure from a secure page, or blocked by a policy: another try ends alike, but later perhaps not.
      queueMicrotask(() => this.#lose(String(error)));
      return;
    }
    this.#socket = socket;
    // Of `ws`, buffers are views of what it read, and all else copies.
    socket.binaryType = socket.pause ? 'nodebuffer' : 'arraybuffer';
    let wasOpen = false;
    socket.onopen = () => {
      wasOpen = true;
      clearTimeout(this.#timer);
      opened();
      this.#listener.onOpen(socket);
    };
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) this.#listener.onMessage(new Uint8Array(data));
      else if (data instanceof Uint8Array) this.#listener.onMessage(data);
    };
    const lost = (why: string) => {
      if (this.#over || this.#socket !== socket) return;
      release(socket);
      if (wasOpen) this.#lose(why);
      else failed(why);
    };
    socket.onclose = ({ code, reason } = {}) => lost(reason || `closed with code ${code}`);
    socket.onerror = () => lost('it cannot be reached');
  }

  #lose(why: string): void {
    if (this.#over) return;
    this.close();
    this.#listener.onLost(new NetworkError('ECONNRESET', { message: `the Wisp server ${this.#url}: ${why}` }));
  }
}
