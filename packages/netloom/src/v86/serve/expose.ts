/**
 * A guest's server at a URL: the page keeps the network, and answers what the service worker of another origin asks it through a hidden frame.
 *
 * @module
 */
import { interruptible } from '../../http/adopted.ts';
import { NetworkError } from '../../errors.ts';
import { answerFrame, type Ask } from './answer-frame.ts';
import type { FromBridge, Hello } from './messages.ts';

/** How a server is exposed. */
export type ExposeOptions = {
  /** Milliseconds until the bridge has failed. Default 10,000. */
  timeout?: number;
  /** Gives up until it is there; after that it has no effect. */
  signal?: AbortSignal;
};

/** A server that is exposed. */
export interface ExposedServer extends Disposable {
  /** Of its root, for an iframe; frames with `sandbox` need `allow-same-origin`, or no service worker sees them. */
  readonly url: string;
  /** Resolves when it is no longer: closed, or because another page of this browser has taken the origin. */
  readonly closed: Promise<void>;
  /** Takes it back; frames that are open stay, and get no more answers. */
  close(): void;
}

const TIMEOUT_MS = 10_000;

/** Exposes what `ask` answers. `base` is the server's own root, as it knows it. */
export async function exposeTo(bridge: string | URL, base: URL, ask: Ask, options: ExposeOptions): Promise<ExposedServer> {
  const url = new URL(String(bridge).replace('*', uniqueLabel), globalThis.location?.href);
  const { document, location } = globalThis;
  if (!document) throw new NetworkError('EINVAL', { message: 'only a page with a document can expose a server' });
  if (url.origin === location.origin)
    throw new NetworkError('EINVAL', { message: 'the bridge must be on another origin: what guests serve must not run on this one' });
  const frame = document.createElement('iframe');
  frame.hidden = true;
  frame.src = url.href;
  const { timeout = TIMEOUT_MS, signal } = options;
  const given = new AbortController();
  const give = () => given.abort();
  try {
    const until = AbortSignal.timeout(timeout);
    const port = await interruptible(interruptible(connected(frame, url.origin, given.signal), until, give), signal, give).catch((error) => {
      throw until.aborted && !signal?.aborted ? new NetworkError('ETIMEDOUT', { syscall: 'connect', message: `no bridge answers at ${url.href}` }) : error;
    });
    return new Exposed(frame, port, new URL('/', url).href, base, ask);
  } catch (error) {
    frame.remove();
    throw error;
  }
}

function uniqueLabel(): string {
  return `g${Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

/** Loads the bridge and gives it the port of a guest; resolves with the other end when requests can come. */
function connected(frame: HTMLIFrameElement, origin: string, signal: AbortSignal): Promise<MessagePort> {
  return new Promise((resolve, reject) => {
    const heard = ({ source, origin: from, data }: MessageEvent<Hello>) => {
      if (source !== frame.contentWindow || from !== origin || data?.netloom !== 'bridge') return;
      removeEventListener('message', heard);
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data: answer }: MessageEvent<FromBridge>) => {
        if (answer?.type === 'ready') resolve(port1);
        else if (answer?.type === 'refused')
          reject(new NetworkError('ECONNREFUSED', { syscall: 'connect', message: `the bridge at ${origin} refused: ${answer.reason}` }));
      };
      frame.contentWindow?.postMessage({ netloom: 'guest' } satisfies Hello, origin, [port2]);
    };
    addEventListener('message', heard, { signal });
    document.body.append(frame);
  });
}

class Exposed implements ExposedServer {
  readonly url: string;
  readonly closed: Promise<void>;
  readonly #frame: HTMLIFrameElement;
  readonly #port: MessagePort;
  #end!: () => void;

  constructor(frame: HTMLIFrameElement, port: MessagePort, url: string, base: URL, ask: Ask) {
    this.#frame = frame;
    this.#port = port;
    this.url = url;
    this.closed = new Promise((resolve) => (this.#end = resolve));
    // What the guest serves is of the bridge's origin, and may speak in its place: nothing that is said is relied on.
    port.onmessage = ({ data, ports }: MessageEvent<FromBridge | null>) => {
      if (data?.type === 'gone') this.close();
      else if (data?.type === 'request' && ports[0]) void answerFrame(data, ports[0], base, ask);
    };
  }

  close(): void {
    this.#frame.remove();
    this.#port.close();
    this.#end();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
