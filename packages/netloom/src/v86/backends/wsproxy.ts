/**
 * Raw Ethernet frames over a WebSocket, one per binary message and without a handshake: what websockproxy, wsnic and the other relays of v86's
 * `wsproxy` speak, and the program `netloom`.
 */
import { NetworkError } from '../../errors.ts';
import { Backoff } from './backoff.ts';
import { isOpen, release, type Socket } from './socket.ts';
import type { OpenUplink, UplinkBackend, UplinkContext } from './types.ts';
import { parseBackendUrl } from './url.ts';

/** The longest frame: 65,535 bytes of packet and an Ethernet header. */
const MAX_FRAME_BYTES = 65_549;
const MIN_FRAME_BYTES = 14;
/** What may wait in the socket: what comes on top is dropped, as a slow line does. */
const MAX_BUFFERED_BYTES = 4 << 20;
/** Frames that wait for the socket to open, and for how long one is worth sending: a guest has long sent another by then. */
const WAITING_FRAMES = 64;
const WAITING_MS = 2_000;

/** Opens the WebSocket at once, and again whenever it is lost. */
export const openWsproxy: OpenUplink = (context) => new Wsproxy(context);

class Wsproxy implements UplinkBackend {
  readonly #context: UplinkContext;
  readonly #urls: readonly string[];
  readonly #backoff: Backoff;
  #socket: Socket | undefined;
  #waiting: { frame: Uint8Array; at: number }[] = [];
  /** Which of the URLs is tried, or works. */
  #url = 0;
  #closed = false;

  constructor(context: UplinkContext) {
    this.#context = context;
    this.#urls = parseBackendUrl(context.url).sockets;
    this.#backoff = new Backoff(context.timeouts);
    this.#connect();
  }

  send(frame: Uint8Array): void {
    const socket = this.#socket;
    if (this.#closed) return;
    if (!isOpen(socket)) {
      if (this.#waiting.length === WAITING_FRAMES) this.#waiting.shift();
      this.#waiting.push({ frame: frame.slice(), at: performance.now() });
    } else if (socket.bufferedAmount <= MAX_BUFFERED_BYTES) {
      // npm's `ws` keeps what it is given until it is written.
      socket.send(frame.slice());
    }
  }

  close(): void {
    this.#closed = true;
    this.#backoff.cancel();
    this.#waiting = [];
    this.#drop();
  }

  #connect(): void {
    const { WebSocket } = this.#context;
    if (!WebSocket) return this.#context.report('down', new NetworkError('EINVAL', { message: 'there is no WebSocket here: pass one as an option' }));
    const url = this.#urls[this.#url]!;
    try {
      this.#listen(new WebSocket(url) as Socket, url);
    } catch (error) {
      // A page by TLS may open none in the clear.
      this.#lost(error as Error, false);
    }
  }

  #listen(socket: Socket, url: string): void {
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    const limit = setTimeout(() => lost('no answer in time'), this.#context.timeouts.connect);
    let opened = false;
    const lost = (why: string) => {
      clearTimeout(limit);
      if (this.#socket !== socket) return;
      this.#lost(new NetworkError(opened ? 'ECONNRESET' : 'ECONNREFUSED', { syscall: 'connect', message: `${url}: ${why}` }), opened);
    };
    socket.onopen = () => {
      clearTimeout(limit);
      if (this.#socket !== socket) return;
      opened = true;
      this.#flush(socket);
      this.#context.report('up');
    };
    socket.onmessage = ({ data }) => {
      if (this.#socket !== socket || !(data instanceof ArrayBuffer)) return;
      if (data.byteLength < MIN_FRAME_BYTES || data.byteLength > MAX_FRAME_BYTES) return;
      // Not before: a relay that takes whoever comes and drops them at once is to be asked ever more rarely.
      this.#backoff.reset();
      this.#context.receive(new Uint8Array(data));
    };
    socket.onclose = ({ code, reason }) => lost(`the WebSocket closed${code ? ` with ${code}` : ''}${reason ? `: ${reason}` : ''}`);
    // `close` follows; without a listener, npm's `ws` throws.
    socket.onerror = () => {};
  }

  #flush(socket: Socket): void {
    const oldest = performance.now() - WAITING_MS;
    for (const { frame, at } of this.#waiting) if (at >= oldest) socket.send(frame);
    this.#waiting = [];
  }

  #lost(error: Error, opened: boolean): void {
    this.#drop();
    if (this.#closed) return;
    if (!opened) this.#url = (this.#url + 1) % this.#urls.length;
    // The other way to the same relay is tried at once.
    if (!opened && this.#url !== 0) return this.#connect();
    this.#context.report('down', error);
    this.#backoff.wait(() => this.#connect());
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket) release(socket);
  }
}
