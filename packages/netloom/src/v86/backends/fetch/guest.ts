/**
 * What one connection of a guest asks of the web.
 *
 * @module
 */
import { ServedConnections } from '../../../http/connections.ts';
import { HttpProtocolError } from '../../../http/errors.ts';
import { hasToken } from '../../../http/head.ts';
import { limitsOf } from '../../../http/limits.ts';
import { upgrade } from '../../../http/upgrade.ts';
import type { ConnectionLike } from '../../../http/types.ts';
import type { CertificateAuthority } from '../../../tls/authority.ts';
import type { FetchHook, WebSocketConstructor } from '../../types.ts';
import { answerOf, textAnswer } from './answer.ts';
import { DOWNLOAD_HOST, downloadOf } from './download.ts';
import { isSecurePage } from './platform.ts';
import { Refusal, targetOf } from './target.ts';
import { uploadOf } from './upload.ts';
import { FetchFailure, forwardedFields, type Upstream } from './upstream.ts';
import { bridgeWebSocket } from './websocket.ts';

/** What a guest's connections have in common. */
export type GuestWeb = {
  readonly upstream: Upstream;
  readonly fetch: FetchHook;
  /** Prefix of the CORS proxy, empty for none. */
  readonly corsProxy: string;
  readonly WebSocket: WebSocketConstructor | undefined;
  /** Milliseconds until a WebSocket that is not open has failed. */
  readonly connectTimeout: number;
  /** Whose certificates guests are shown; without it, there is no HTTPS. */
  readonly authority: (() => PromiseLike<CertificateAuthority>) | undefined;
};

/** A field line as v86 takes it: narrower than RFC 9110, as its users' tests have it. */
const FIELD = /^([\w-]+):([\t ]*[\x21-\x7e][\t\x20-\x7e]*)$/;
/** A guest that was stopped and goes on is not cut off. */
const LIMITS = limitsOf({}, { headersTimeout: 60_000, keepAliveTimeout: 15_000, bodyTimeout: 3_600_000 });

/** Answers what a guest asks on one connection, until that ends. Its `localAddress` is what the guest dialled. */
export function serveGuest(connection: ConnectionLike, web: GuestWeb): ServedConnections {
  const served: ServedConnections = new ServedConnections({
    handler: (request) => answer(request, web, (tunnel) => served.add(tunnel)),
    limits: LIMITS,
    hostless: true,
    field: FIELD,
    explain: ({ line, message }) => (line === undefined ? `${message}\n` : `Invalid header in request: ${line}`),
    // A body that breaks off ends the guest's connection, which is all that is to be told.
    onError: () => undefined,
  });
  served.add(connection);
  return served;
}

async function answer(request: Request, web: GuestWeb, serve: (tunnel: ConnectionLike) => void): Promise<Response> {
  try {
    if (request.method === 'CONNECT') return tunnel(request, web, serve);
    if (web.authority && new URL(request.url).hostname === DOWNLOAD_HOST) return downloadOf(request, await web.authority());
    const target = targetOf(request.url, web.corsProxy, isSecurePage());
    if (asksWebSocket(request)) return await bridgeWebSocket(request, target.direct.replace(/^http/, 'ws'), web.WebSocket, web.connectTimeout);
    const upload = await uploadOf(request);
    const asked = { method: request.method, headers: forwardedFields(request.headers), upload, signal: request.signal };
    return await answerOf(await web.upstream.ask(target, asked, web.fetch), request);
  } catch (error) {
    if (error instanceof HttpProtocolError) throw error;
    if (error instanceof Refusal) return textAnswer(error.status, error.statusText, error.message);
    if (error instanceof FetchFailure) return error.late ? textAnswer(504, 'Gateway Timeout', error.message) : textAnswer(502, 'Fetch Error', error.message);
    return textAnswer(502, 'Fetch Error', new FetchFailure(request.url, error, false).message);
  }
}

function asksWebSocket({ headers }: Request): boolean {
  return hasToken(headers, 'connection', 'upgrade') && hasToken(headers, 'upgrade', 'websocket');
}

/** A tunnel through this end as a proxy: what comes out of it at port 80 is HTTP again, at any other one HTTPS, and for anything else there is no way out. */
function tunnel(request: Request, web: GuestWeb, serve: (tunnel: ConnectionLike) => void): Response {
  const { hostname, port } = new URL(request.url);
  const { authority } = web;
  if (port !== '' && !authority)
    throw new Refusal(502, 'Fetch Error', `Fetch ${hostname}:${port} failed:\n\nonly port 80 can be reached by CONNECT, unless the network has tls`);
  const { response, connection } = upgrade(request);
  const host = hostname.replace(/^\[|\]$/g, '');
  const named = (inner: ConnectionLike): ConnectionLike => ({
    readable: inner.readable,
    writable: inner.writable,
    localAddress: host,
    localPort: Number(port || 80),
    close: () => inner.close(),
    reset: () => inner.reset?.(),
    setOptions: (options) => inner.setOptions?.(options),
  });
  connection
    .then((inner) => (port === '' || !authority ? named(inner) : acceptGuest(named(inner), authority, web.connectTimeout)))
    .then(serve, () => undefined);
  return response;
}

/** Ends the TLS of a guest's connection, which was to the name that the guest said, and else to `localAddress`. */
export async function acceptGuest(connection: ConnectionLike, authority: NonNullable<GuestWeb['authority']>, timeout: number): Promise<ConnectionLike> {
  try {
    const secure = await (await authority()).accept(connection, { host: connection.localAddress ?? '', timeout });
    const { readable, writable, serverName, remoteAddress, remotePort, localPort } = secure;
    return {
      ...{ readable, writable, remoteAddress, remotePort, localPort },
      secure: true,
      localAddress: serverName ?? connection.localAddress,
      close: () => secure.close(),
      reset: () => secure.reset(),
      setOptions: (options) => secure.setOptions?.(options),
    } as ConnectionLike;
  } catch (error) {
    connection.close().catch(() => undefined);
    throw error;
  }
}
