/**
 * A guest's HTTP server, for the page that the guest runs in.
 *
 * @module
 */
import { HttpClient } from '../../http/client.ts';
import { createFetch } from '../../http/fetch.ts';
import type { WebSocketConnection } from '../../http/websocket/connection.ts';
import { openWebSocket, webSocketClass, type WebSocketOptions } from '../../http/websocket/handshake.ts';
import type { StreamConnection } from '../../transport/types.ts';
import { exposeTo, type ExposedServer, type ExposeOptions } from './expose.ts';

export type { ExposedServer, ExposeOptions } from './expose.ts';

/** Opens a connection to a port of the guest. */
export type GuestDial = (port: number, options: { signal?: AbortSignal }) => Promise<StreamConnection>;

/** A guest's HTTP server. Whatever host a URL names, it is this server that is asked; the host is its `Host`. */
export interface GuestServer extends Disposable {
  /** The guest's port. */
  readonly port: number;
  /**
   * As the platform's `fetch`, without the rules of pages: no CORS, cookies or cache. A path alone is for `localhost` at this port.
   * Connections are kept. Rejects as `HttpApi.fetch` does.
   * @example
   * ```ts
   * import type { V86Network } from 'netloom/v86';
   *
   * async function title(network: V86Network) {
   *   using server = network.serve(8080);
   *   const response = await server.fetch('/');
   *   return /<title>(.*?)</.exec(await response.text())?.[1];
   * }
   *
   * // await title(attachNetwork(emulator, 'fetch'));
   * console.log(title.name); // title
   * ```
   */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /** The browser's `WebSocket`, to this server. */
  readonly WebSocket: typeof globalThis.WebSocket;
  /** A WebSocket as streams, to this server. */
  openWebSocket(url: string | URL, options?: WebSocketOptions & { signal?: AbortSignal }): Promise<WebSocketConnection>;
  /**
   * Shows the server at a URL of another origin, which an iframe can open. What the guest serves is then no part of this page, and
   * cannot read or change it: that is why it takes an origin of its own. See `docs/serve.md` for the three files that go there.
   *
   * @param bridge URL of `bridge.html` there. `*` in its host becomes a name of this call's own, so that each guest has its origin.
   * @throws NetworkError `EINVAL` if it is this page's origin, `ETIMEDOUT` if there is no bridge, `ECONNREFUSED` if its page refuses this one
   * or has no service workers; the signal's reason
   * @example
   * ```ts
   * import type { V86Network } from 'netloom/v86';
   *
   * async function show(network: V86Network, frame: HTMLIFrameElement) {
   *   const { url, closed } = await network.serve(8080).expose('https://*.guests.example.com/bridge.html');
   *   frame.src = url;
   *   await closed;
   *   frame.remove();
   * }
   *
   * // await show(attachNetwork(emulator, 'fetch'), document.querySelector('iframe'));
   * console.log(show.name); // show
   * ```
   */
  expose(bridge: string | URL, options?: ExposeOptions): Promise<ExposedServer>;
  /** Closes kept connections, and takes back what was exposed. */
  close(): void;
}

/** The server at a port of a guest. Nothing is opened before the first request. */
export function createGuestServer(dial: GuestDial, port: number): GuestServer {
  return new DialledServer(dial, port);
}

class DialledServer implements GuestServer {
  readonly port: number;
  readonly WebSocket: typeof globalThis.WebSocket;
  readonly #base: URL;
  readonly #client: HttpClient;
  readonly #fetch: typeof globalThis.fetch;
  readonly #exposed = new Set<ExposedServer>();

  constructor(dial: GuestDial, port: number) {
    this.port = port;
    this.#base = new URL(`http://localhost:${port}/`);
    this.#client = new HttpClient({ connect: ({ signal }) => dial(port, { ...(signal && { signal }) }) }, {});
    this.#fetch = createFetch(this.#client);
    const Class = webSocketClass(this.#client);
    const base = this.#base;
    this.WebSocket = class WebSocket extends Class {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(new URL(url, base), protocols);
      }
    };
  }

  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    if (input instanceof Request) return this.#fetch(input, init);
    return URL.canParse(input, this.#base) ? this.#fetch(new URL(input, this.#base), init) : Promise.reject(new TypeError(`invalid URL: ${input}`));
  }

  async openWebSocket(url: string | URL, options?: WebSocketOptions & { signal?: AbortSignal }): Promise<WebSocketConnection> {
    return openWebSocket(this.#client, new URL(url, this.#base), options);
  }

  async expose(bridge: string | URL, options: ExposeOptions = {}): Promise<ExposedServer> {
    const exposed = await exposeTo(bridge, this.#base, (url, init) => this.fetch(url, init), options);
    this.#exposed.add(exposed);
    return exposed;
  }

  close(): void {
    this.#client.pool.close();
    for (const exposed of this.#exposed) exposed.close();
    this.#exposed.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
