import type { StreamConnection } from '../transport/types.ts';
import { hasToken, type RequestHead } from './head.ts';
import { present } from './messages.ts';

/** A switch that a handler has prepared; the server carries it out when the handler returns its response. */
export type Switch = {
  resolve(connection: StreamConnection): void;
  reject(error: unknown): void;
};

/** Requests that may be upgraded, and the responses that do it. */
const upgradable = new WeakSet<Request>();
const switches = new WeakMap<Response, Switch>();

/** Notes that a server can hand the connection of `request` over. */
export function allowUpgrade(request: Request): void {
  upgradable.add(request);
}

/** The switch that a response stands for. */
export function switchOf(response: Response): Switch | undefined {
  return switches.get(response);
}

/** What a server switches to. */
export type UpgradeOptions = {
  /** What to switch to. Default: the first that the client's `Upgrade` names. Not for CONNECT. */
  protocol?: string;
  /** More fields of the answer. */
  headers?: HeadersInit;
};

/** What a handler gets for a request to switch protocols. */
export type ServerUpgrade = {
  /** To be returned by the handler: `101 Switching Protocols`, or `200 OK` for CONNECT. */
  response: Response;
  /** The connection, once the answer is sent; rejects if it was not. Need not be observed. */
  connection: Promise<StreamConnection>;
};

/**
 * Takes the connection of a request over that a handler of `serve` was given, when the client asks to switch protocols
 * (RFC 9110 7.8) or for a tunnel (CONNECT, 9.3.6).
 * @param request The handler's request, not a copy of it.
 * @returns The response to return, and the connection that follows.
 * @throws TypeError if the client did not ask for it, or sends a body.
 * @example
 * ```ts
 * import { createStack } from 'netloom';
 * import { createHttp, upgrade } from 'netloom/http';
 *
 * const stack = await createStack();
 * const { requestUpgrade, serve } = await createHttp(stack.tcp);
 * await serve((request) => {
 *   const { response, connection } = upgrade(request, { protocol: 'echo' });
 *   connection.then(({ readable, writable }) => readable.pipeTo(writable));
 *   return response;
 * });
 * const { connection } = await requestUpgrade('http://127.0.0.1/', { protocol: 'echo' });
 * await connection.write(new TextEncoder().encode('hello'));
 * const buffer = new Uint8Array(16);
 * const length = await connection.readInto(buffer);
 * console.log(new TextDecoder().decode(buffer.subarray(0, length)));
 * ```
 */
export function upgrade(request: Request, options: UpgradeOptions = {}): ServerUpgrade {
  if (!upgradable.delete(request)) throw new TypeError('the request asks for no upgrade, or was answered');
  const headers = new Headers(options.headers);
  const tunnel = request.method === 'CONNECT';
  if (!tunnel) headers.set('upgrade', options.protocol ?? request.headers.get('upgrade')!.split(',')[0]!.trim());
  const response = present(new Response(null), { status: tunnel ? 200 : 101, headers });
  const connection = new Promise<StreamConnection>((resolve, reject) => switches.set(response, { resolve, reject }));
  connection.catch(() => undefined);
  return { response, connection };
}

/** Whether a request asks to leave HTTP; HTTP/1.0 knows no Upgrade (RFC 9110 7.8). */
export function asksUpgrade({ method, minor, headers }: RequestHead): boolean {
  return method === 'CONNECT' || (minor > 0 && hasToken(headers, 'connection', 'upgrade') && headers.has('upgrade'));
}
