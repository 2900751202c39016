/**
 * The opening handshake (RFC 6455 4).
 *
 * @module
 */
import type { HttpClient } from '../client.ts';
import { HttpProtocolError } from '../errors.ts';
import { hasToken, TOKEN } from '../head.ts';
import { upgrade } from '../upgrade.ts';
import { acceptKey } from './accept.ts';
import { WebSocketConnection } from './connection.ts';
import { NetworkWebSocket } from './socket.ts';

/** What a client asks for. */
export type WebSocketOptions = {
  /** Subprotocols asked for, the preferred first. */
  protocols?: string | string[];
  /** More fields of the request. */
  headers?: HeadersInit;
  /** Bytes of the longest message taken; a longer one closes with code 1009. Default 67,108,864. */
  maxMessageSize?: number;
};

/** The HTTP URL of a WebSocket's. */
export function webSocketUrl(given: string | URL): URL {
  let url: URL | undefined;
  try {
    url = new URL(given, globalThis.location?.href);
  } catch {
    // Told below, with the other ways in which it may be wrong.
  }
  const scheme = url && /^(?:ws|http)(s?):$/.exec(url.protocol);
  if (!url || !scheme || url.hash !== '') throw new DOMException(`invalid WebSocket URL: ${given}`, 'SyntaxError');
  return new URL(`http${scheme[1]}${url.href.slice(url.protocol.length - 1)}`);
}

/** The subprotocols as a list, each of them once. */
export function protocolList(protocols: string | string[] = []): string[] {
  const list = typeof protocols === 'string' ? [protocols] : [...protocols];
  if (new Set(list.map((name) => name.toLowerCase())).size !== list.length || !list.every((name) => TOKEN.test(name)))
    throw new DOMException('invalid or repeated subprotocol', 'SyntaxError');
  return list;
}

/** Opens a WebSocket. */
export async function openWebSocket(
  client: HttpClient,
  given: string | URL,
  options: WebSocketOptions & { signal?: AbortSignal } = {},
): Promise<WebSocketConnection> {
  const url = webSocketUrl(given);
  const protocols = protocolList(options.protocols);
  const key = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));
  const headers = new Headers(options.headers);
  headers.set('sec-websocket-version', '13');
  headers.set('sec-websocket-key', key);
  if (protocols.length > 0) headers.set('sec-websocket-protocol', protocols.join(', '));
  const { response, connection } = await client.upgrade(url, { protocol: 'websocket', headers, ...(options.signal && { signal: options.signal }) });
  const { headers: answer } = response;
  const protocol = answer.get('sec-websocket-protocol') ?? '';
  const wrong =
    answer.get('upgrade')?.toLowerCase() !== 'websocket' || answer.get('sec-websocket-accept') !== acceptKey(key)
      ? 'the server did not accept the WebSocket'
      : protocol !== '' && !protocols.includes(protocol)
        ? `the server chose a subprotocol that was not asked for: ${protocol}`
        : answer.has('sec-websocket-extensions')
          ? 'the server chose an extension that was not asked for'
          : undefined;
  if (wrong !== undefined) {
    connection.reset();
    throw new HttpProtocolError(wrong, response.status);
  }
  return new WebSocketConnection(connection, { client: true, protocol, maxMessageSize: options.maxMessageSize });
}

/** What a server answers. */
export type WebSocketUpgradeOptions = {
  /** The subprotocol chosen, one of those that the client asked for in `Sec-WebSocket-Protocol`. Default none. */
  protocol?: string;
  /** More fields of the answer. */
  headers?: HeadersInit;
  /** Bytes of the longest message taken; a longer one closes with code 1009. Default 67,108,864. */
  maxMessageSize?: number;
};

/** What a handler gets for a client that opens a WebSocket. */
export type WebSocketUpgrade = {
  /** To be returned by the handler. */
  response: Response;
  /** The WebSocket with the browser's API. Use either this or `connection`. */
  readonly socket: WebSocket;
  /** The WebSocket as streams, once the answer is sent; rejects if it was not. Need not be observed. */
  connection: Promise<WebSocketConnection>;
};

/**
 * Takes the connection of a request over that a handler of `serve` was given, as a WebSocket.
 * @param request The handler's request, not a copy of it.
 * @throws HttpProtocolError if the client does not ask for a WebSocket of version 13. Where the handler lets it pass, the client is told
 * with 400 or 426.
 * @example
 * ```ts
 * import { createStack } from 'netloom';
 * import { createHttp, upgradeWebSocket } from 'netloom/http';
 *
 * const stack = await createStack();
 * const { serve, WebSocket } = await createHttp(stack.tcp);
 * await serve((request) => {
 *   const { response, socket } = upgradeWebSocket(request);
 *   socket.onmessage = ({ data }) => socket.send(`you said ${data}`);
 *   return response;
 * });
 * const socket = new WebSocket('ws://127.0.0.1/');
 * socket.onopen = () => socket.send('hello');
 * const answer = await new Promise((resolve) => (socket.onmessage = ({ data }) => resolve(data)));
 * console.log(answer);
 * socket.close();
 * ```
 */
export function upgradeWebSocket(request: Request, options: WebSocketUpgradeOptions = {}): WebSocketUpgrade {
  const { headers, method } = request;
  const key = headers.get('sec-websocket-key') ?? '';
  if (method !== 'GET' || !hasToken(headers, 'upgrade', 'websocket') || !/^[A-Za-z0-9+/]{21}[AQgw]==$/.test(key))
    throw new HttpProtocolError('the request asks for no WebSocket');
  if (headers.get('sec-websocket-version') !== '13') throw new HttpProtocolError('the WebSocket has another version than 13', 426);
  const { protocol = '' } = options;
  if (protocol !== '' && !(headers.get('sec-websocket-protocol') ?? '').split(',').some((name) => name.trim() === protocol))
    throw new TypeError(`the client did not ask for the subprotocol ${protocol}`);
  const answer = new Headers(options.headers);
  answer.set('sec-websocket-accept', acceptKey(key));
  if (protocol !== '') answer.set('sec-websocket-protocol', protocol);
  const { response, connection } = upgrade(request, { protocol: 'websocket', headers: answer });
  const opened = connection.then((stream) => new WebSocketConnection(stream, { client: false, protocol, maxMessageSize: options.maxMessageSize }));
  opened.catch(() => undefined);
  let socket: WebSocket | undefined;
  return {
    response,
    connection: opened,
    get socket() {
      return (socket ??= new NetworkWebSocket(request.url.replace(/^http/, 'ws'), () => opened) as unknown as WebSocket);
    },
  };
}

/** The class `WebSocket` over `client`. Instead of subprotocols, `WebSocketOptions` may be given. */
export function webSocketClass(client: HttpClient): typeof globalThis.WebSocket {
  class WebSocket extends NetworkWebSocket {
    constructor(url: string | URL, options?: string | string[] | WebSocketOptions) {
      const given = typeof options === 'string' || Array.isArray(options) ? { protocols: options } : (options ?? {});
      const target = webSocketUrl(url);
      protocolList(given.protocols);
      super(target.href.replace(/^http/, 'ws'), (signal) => openWebSocket(client, target, { ...given, signal }));
    }
  }
  return WebSocket as unknown as typeof globalThis.WebSocket;
}
