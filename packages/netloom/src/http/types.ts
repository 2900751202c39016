import type { WebSocketConnection } from './websocket/connection.ts';
import type { WebSocketOptions } from './websocket/handshake.ts';
import type { StreamConnection, StreamListenOptions, StreamTransport } from '../transport/types.ts';

/** What HTTP needs of a connection: its two streams and `close`. All that a `StreamConnection` has beside them is used where it exists. */
export type ConnectionLike = Pick<StreamConnection, 'readable' | 'writable' | 'close'> &
  Partial<StreamConnection> & {
    /** Whether TLS carries it: then the URLs of requests on it are `https:`. */
    readonly secure?: boolean;
  };

/** As the platform's `fetch`. */
export type HttpFetch = typeof globalThis.fetch;

/** Bounds on what a peer may send, and on how long it may take. Times are milliseconds, 0 for no limit. */
export type HttpLimits = {
  /** Bytes of a start line with all header fields, and of all trailers. Default 16,384. */
  maxHeaderSize?: number;
  /** Header fields of one message, and trailers. Default 128. */
  maxHeaders?: number;
  /** Until the head of a message is there: of a response since the request was sent (default 300,000), of a request since its first byte, and to that byte on a new connection (default 60,000). */
  headersTimeout?: number;
  /** That a body may stand still, in either direction. Default 300,000. */
  bodyTimeout?: number;
  /** That a connection is kept between two requests. Default 4,000 in a client, 5,000 in a server. */
  keepAliveTimeout?: number;
};

/** Makes a secure connection of a plain one. */
export type TlsWrapper = (connection: StreamConnection, options: { host: string; port: number; signal?: AbortSignal }) => Promise<ConnectionLike>;

/** What a client and servers are made with. */
export type CreateHttpOptions = HttpLimits & {
  /** Connections to one host and port that are open at once; more requests wait. Default 64. */
  maxConnectionsPerHost?: number;
  /** Speaks TLS on a connection, for `https:` and `wss:` URLs. Without it they are refused with `unsupported protocol: https:`. */
  tls?: TlsWrapper;
  /** Not used: the parser is built in. Taken so that options of `@tcpip/http` pass. */
  parser?: unknown;
};

/** Where a server listens, and its bounds. */
export type ServeOptions = HttpLimits &
  StreamListenOptions & {
    /** Connections that may wait to be accepted. Default 1,024. */
    backlog?: number;
    /** Closes the server, and breaks off what is under way. */
    signal?: AbortSignal;
    /** Connections served at once; more wait in the listener's backlog. Default 10,000. */
    maxConnections?: number;
    /** Whether responses have a `Date` (RFC 9110 6.6.1). Default false, as `@tcpip/http` has it: the same requests give the same bytes. */
    date?: boolean;
    /** Is told what a handler or its response's body threw. Default `console.error`. */
    onError?: (error: unknown) => void;
  };

/** Answers a request. What it throws becomes a `500 Internal Server Error`. */
export type HttpRequestHandler = (request: Request) => Response | Promise<Response>;

/** The same with the handler among them. */
export type ServeHandlerOptions = Partial<ServeOptions> & { handler: HttpRequestHandler };

/** A server that runs. */
export interface HttpServer extends AsyncDisposable {
  /** The address listened on. */
  readonly address: string;
  readonly port: number;
  /**
   * Stops listening at once, closes idle connections, and resolves when the requests under way are answered.
   * @param options.signal Breaks off what is still under way.
   */
  close(options?: { signal?: AbortSignal }): Promise<void>;
}

/** What was agreed by a protocol switch or a tunnel. */
export type UpgradedConnection = {
  /** The answer, with status 101, or 2xx for a tunnel. */
  response: Response;
  /** The connection, beginning with the first byte after the answer. */
  connection: StreamConnection;
};

/** What to switch to, and how it is asked for. */
export type RequestUpgradeOptions = {
  /** The protocol asked for, such as `websocket`; the value of `Upgrade`. */
  protocol?: string;
  /** Asks the server for a tunnel to this `host:port` instead (CONNECT, RFC 9110 9.3.6). */
  tunnel?: string;
  headers?: HeadersInit;
  /** Breaks off until the connection is there; after that it has no effect. */
  signal?: AbortSignal;
};

/** The part of `createHttp`'s result that `@tcpip/http` has. */
export type CreateHttp = (transport: HttpTransport, options?: CreateHttpOptions) => Promise<HttpApi>;

/** `stack.tcp`, any `StreamTransport`, or a stack. */
export type HttpTransport =
  | StreamTransport
  | { connectTcp: StreamTransport['connect']; listenTcp: NonNullable<StreamTransport['listen']> }
  | { tcp: StreamTransport };

/** HTTP over a transport: a client that keeps its connections, and servers. */
export interface HttpApi extends AsyncDisposable {
  /**
   * As the platform's `fetch`, without what belongs to a page: no CORS, cache or cookies. Relative URLs work in pages alone.
   * Connections are kept and used again. `redirect: 'manual'` gives the redirect itself. Content in gzip or deflate is decoded.
   *
   * Rejects with the signal's reason when aborted, and else with a `TypeError` whose `cause` is a `NetworkError`
   * (`ECONNREFUSED`, `ECONNRESET`, `ETIMEDOUT`, `EHOSTUNREACH`, `ENOTFOUND` ...) or an `HttpProtocolError`.
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   * import { createHttp } from 'netloom/http';
   *
   * const stack = await createStack();
   * const { fetch } = await createHttp(stack.tcp);
   * try {
   *   await fetch('http://127.0.0.1:8080/', { method: 'POST', body: 'hello', signal: AbortSignal.timeout(5000) });
   * } catch (error) {
   *   console.log(error.cause.code); // ECONNREFUSED: nobody listens there
   * }
   * ```
   */
  fetch: HttpFetch;
  /**
   * Listens, on port 80 of all addresses unless told otherwise, and answers each request with what the handler gives. The
   * requests of one connection are answered in order; `request.signal` aborts when the client resets the connection.
   *
   * Rejects with `EADDRINUSE`, `EADDRNOTAVAIL` or `EINVAL`, and with a `TypeError` without a handler or for a transport that cannot listen.
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   * import { createHttp } from 'netloom/http';
   *
   * const stack = await createStack();
   * const { fetch, serve } = await createHttp(stack.tcp);
   * const server = await serve({ port: 0, keepAliveTimeout: 1000 }, async (request) => {
   *   if (request.method !== 'POST') return new Response(null, { status: 405, headers: { allow: 'POST' } });
   *   return Response.json({ received: (await request.text()).length });
   * });
   * const response = await fetch(`http://127.0.0.1:${server.port}/`, { method: 'POST', body: 'hello' });
   * console.log(await response.json());
   * await server.close();
   * ```
   */
  serve(handler: HttpRequestHandler): Promise<HttpServer>;
  /** The same, listening elsewhere or with other bounds. */
  serve(options: ServeOptions, handler: HttpRequestHandler): Promise<HttpServer>;
  /** The same, with the handler among the options. */
  serve(options: ServeHandlerOptions): Promise<HttpServer>;
  /**
   * Asks a server to switch protocols (RFC 9110 7.8), or a proxy for a tunnel (CONNECT), and gives the connection.
   * Rejects as a connect does, and with an `HttpProtocolError` whose `status` is the server's if it answers otherwise.
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   * import { createHttp } from 'netloom/http';
   *
   * const stack = await createStack();
   * const { requestUpgrade, serve } = await createHttp(stack.tcp);
   * await serve(() => new Response(null, { status: 403 }));
   * try {
   *   await requestUpgrade('http://127.0.0.1/', { tunnel: 'example.com:25' });
   * } catch (error) {
   *   console.log(error.status); // 403
   * }
   * ```
   */
  requestUpgrade(url: string | URL, options: RequestUpgradeOptions): Promise<UpgradedConnection>;
  /**
   * The browser's `WebSocket` over this transport. Instead of subprotocols it takes `WebSocketOptions`, too, with headers.
   * `send` queues without bound as the browser's does: watch `bufferedAmount`, or use `openWebSocket`.
   */
  WebSocket: typeof globalThis.WebSocket;
  /**
   * Opens a WebSocket as streams with backpressure. Rejects as a connect does, with an `HttpProtocolError` if the server does not
   * switch protocols, and with a `DOMException` named `SyntaxError` for an invalid URL or subprotocol.
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   * import { createHttp, upgradeWebSocket } from 'netloom/http';
   *
   * const stack = await createStack();
   * const { openWebSocket, serve } = await createHttp(stack.tcp);
   * await serve((request) => {
   *   const { response, connection } = upgradeWebSocket(request);
   *   connection.then(({ readable, writable }) => readable.pipeTo(writable));
   *   return response;
   * });
   * const socket = await openWebSocket('ws://127.0.0.1/');
   * await socket.writable.getWriter().write('hello');
   * console.log((await socket.readable.getReader().read()).value);
   * console.log(await socket.close({ code: 1000 }));
   * ```
   */
  openWebSocket(url: string | URL, options?: WebSocketOptions & { signal?: AbortSignal }): Promise<WebSocketConnection>;
  /** Closes connections that are kept for later requests. Requests under way are not touched, later ones open new connections. */
  close(): Promise<void>;
}
