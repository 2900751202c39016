/**
 * HTTP/1.1 client and server (RFC 9110, 9112) and WebSocket (RFC 6455) over streams: over a stack's TCP, or anything that
 * opens connections.
 *
 * @module
 */
import type { StreamTransport } from '../transport/types.ts';
import { HttpClient } from './client.ts';
import { createFetch } from './fetch.ts';
import { limitsOf } from './limits.ts';
import { serveHttp } from './serve.ts';
import { openWebSocket, webSocketClass } from './websocket/handshake.ts';
import type { CreateHttpOptions, HttpApi, HttpRequestHandler, HttpTransport, ServeHandlerOptions, ServeOptions } from './types.ts';

export { HttpProtocolError } from './errors.ts';
export { trailersOf, withTrailers } from './trailers.ts';
export { upgrade, type ServerUpgrade, type UpgradeOptions } from './upgrade.ts';
export { WebSocketConnection, type WebSocketClose } from './websocket/connection.ts';
export { WebSocketError } from './websocket/frames.ts';
export { upgradeWebSocket, type WebSocketOptions, type WebSocketUpgrade, type WebSocketUpgradeOptions } from './websocket/handshake.ts';
export type {
  ConnectionLike,
  CreateHttp,
  CreateHttpOptions,
  HttpApi,
  HttpFetch,
  HttpLimits,
  HttpRequestHandler,
  HttpServer,
  HttpTransport,
  RequestUpgradeOptions,
  ServeHandlerOptions,
  ServeOptions,
  TlsWrapper,
  UpgradedConnection,
} from './types.ts';

/** A stack of tcpip.js 0.3 has flat methods, which win: a copy of a stack with another `connectTcp` means it. */
function transportOf(given: HttpTransport): StreamTransport {
  if ('connectTcp' in given) return { connect: (o) => given.connectTcp(o), listen: (o) => given.listenTcp(o) };
  if ('connect' in given) return given;
  return given.tcp;
}

/**
 * HTTP over `transport`: `stack.tcp`, any `StreamTransport`, or a stack.
 * @example
 * ```ts
 * import { createStack } from 'netloom';
 * import { createHttp } from 'netloom/http';
 *
 * const stack = await createStack();
 * const { fetch, serve } = await createHttp(stack.tcp);
 * await using server = await serve({ port: 8080 }, (request) => new Response(`hello from ${new URL(request.url).pathname}`));
 * const response = await fetch('http://127.0.0.1:8080/here');
 * console.log(await response.text());
 * ```
 */
export async function createHttp(transport: HttpTransport, options: CreateHttpOptions = {}): Promise<HttpApi> {
  const streams = transportOf(transport);
  const client = new HttpClient(streams, options);
  const serve = async (first: HttpRequestHandler | ServeOptions | ServeHandlerOptions, second?: HttpRequestHandler) => {
    const given: Partial<ServeHandlerOptions> = typeof first === 'function' ? { handler: first } : first;
    const handler = given.handler ?? second;
    if (typeof handler !== 'function') throw new TypeError('serve options require a handler');
    const { handler: _, ...rest } = given;
    return serveHttp(
      streams,
      { port: 80, ...rest },
      handler,
      limitsOf(rest, { ...limitsOf(options, {}), headersTimeout: options.headersTimeout ?? 60_000, keepAliveTimeout: options.keepAliveTimeout ?? 5000 }),
    );
  };
  return {
    fetch: createFetch(client),
    serve,
    requestUpgrade: (url, o) => client.upgrade(new URL(url), o),
    WebSocket: webSocketClass(client),
    openWebSocket: (url, o) => openWebSocket(client, url, o),
    close: async () => client.pool.close(),
    [Symbol.asyncDispose]: async () => client.pool.close(),
  };
}
