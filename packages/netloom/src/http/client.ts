import { NetworkError } from '../errors.ts';
import type { StreamTransport } from '../transport/types.ts';
import { bodyStream } from './body.ts';
import type { Channel } from './channel.ts';
import { decodeContent } from './coding.ts';
import { HttpProtocolError } from './errors.ts';
import { exchange, exchangeUpgrade, type Answer } from './exchange.ts';
import { hasToken, persists, TOKEN } from './head.ts';
import { limitsOf, type Limits } from './limits.ts';
import { present } from './messages.ts';
import type { Outgoing } from './outgoing.ts';
import { Pool, type Lease } from './pool.ts';
import { keepTrailers } from './trailers.ts';
import type { CreateHttpOptions, RequestUpgradeOptions, UpgradedConnection } from './types.ts';

/** Methods that a request may be sent again with. */
const IDEMPOTENT = ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'];
const MAX_REPEATS = 2;
/** Bytes of a body that are read before it is asked for, so that a small one frees its connection even if nobody reads it. */
const AHEAD_BYTES = 16384;
/** Milliseconds that a server's `Keep-Alive: timeout` is not used up, for the time that a request is on its way. */
const KEEP_ALIVE_MARGIN_MS = 1000;

/** Breaks connections off whose response was dropped unread. */
const abandoned = new FinalizationRegistry<(error: unknown) => unknown>((fail) => fail(new Error('nobody reads the response')));

/** What HTTP asks servers: requests, each on a connection of the pool. */
export class HttpClient {
  readonly pool: Pool;
  readonly limits: Limits;

  constructor(transport: Pick<StreamTransport, 'connect'>, options: CreateHttpOptions) {
    const { maxConnectionsPerHost = 64 } = options;
    if (!(Number.isInteger(maxConnectionsPerHost) && maxConnectionsPerHost > 0))
      throw new NetworkError('EINVAL', { message: 'maxConnectionsPerHost is not a whole number above 0' });
    this.limits = limitsOf(options, {});
    this.pool = new Pool(transport, options.tls, maxConnectionsPerHost);
  }

  /**
   * One request and its response; redirects are the caller's. It is sent again where a kept connection turned out to be
   * closed and it may be repeated (RFC 9110 9.2.2).
   */
  async request(out: Outgoing, redirected: boolean): Promise<Response> {
    const repeatable = IDEMPOTENT.includes(out.method) && (out.body?.replayable ?? true);
    for (let attempt = 0; ; attempt++) {
      const lease = await this.pool.lease(out.url, out.signal, attempt > 0);
      const before = lease.channel.source.received;
      try {
        return await this.#attempt(out, redirected, lease);
      } catch (error) {
        const unanswered = lease.reused && lease.channel.source.received === before && !(error instanceof NetworkError && error.code === 'ETIMEDOUT');
        if (!unanswered || !repeatable || attempt === MAX_REPEATS || out.signal?.aborted) throw error;
      }
    }
  }

  /** Asks a server to switch protocols, or a proxy for a tunnel, on a connection of its own. */
  async upgrade(url: URL, options: RequestUpgradeOptions): Promise<UpgradedConnection> {
    const { protocol, tunnel, headers, signal = null } = options;
    if ((protocol === undefined) === (tunnel === undefined)) throw new TypeError('an upgrade names either a protocol or a tunnel');
    const channel = await this.pool.connect(url, signal);
    const abort = () => channel.break(signal?.reason);
    signal?.addEventListener('abort', abort);
    try {
      signal?.throwIfAborted();
      const request = upgradeRequest(url, protocol, tunnel, new Headers(headers));
      const head = await exchangeUpgrade(channel, request, this.limits);
      const response = present(new Response(null, { statusText: head.statusText }), { status: head.status, headers: head.headers, url: url.href });
      const agreed =
        tunnel === undefined
          ? head.status === 101 && hasToken(head.headers, 'connection', 'upgrade') && head.headers.has('upgrade')
          : head.status >= 200 && head.status < 300;
      if (!agreed) throw new HttpProtocolError(`the server did not switch protocols: ${head.status} ${head.statusText}`, head.status);
      return { response, connection: channel.detach() };
    } catch (error) {
      const reason = channel.error ?? error;
      channel.break(reason);
      throw reason;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  async #attempt(out: Outgoing, redirected: boolean, lease: Lease): Promise<Response> {
    const { channel } = lease;
    const { signal } = out;
    const abort = () => channel.break(signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort);
    const fail = (error: unknown) => {
      const reason = channel.error ?? error;
      signal?.removeEventListener('abort', abort);
      channel.break(reason);
      lease.drop();
      return reason;
    };
    try {
      const answer = await exchange(channel, out, this.limits, (reusable, head) => {
        signal?.removeEventListener('abort', abort);
        abandoned.unregister(channel);
        if (reusable) lease.keep(this.#keepAlive(head.headers));
        else lease.drop();
      });
      return await respond(out, redirected, answer, channel, fail);
    } catch (error) {
      throw fail(error);
    }
  }

  /** How long a connection is kept, of which the server may know better (RFC 2068 19.7.1.1, still in use). */
  #keepAlive(headers: Headers): number {
    const seconds = /(?:^|[,;\s])timeout=(\d{1,6})/i.exec(headers.get('keep-alive') ?? '')?.[1];
    const { keepAliveTimeout } = this.limits;
    if (seconds === undefined) return keepAliveTimeout;
    return Math.min(keepAliveTimeout, Math.max(1, Number(seconds) * 1000 - KEEP_ALIVE_MARGIN_MS));
  }
}

async function respond(out: Outgoing, redirected: boolean, { head, body }: Answer, channel: Channel, fail: (error: unknown) => unknown): Promise<Response> {
  const { status, statusText, headers } = head;
  let content: BodyInit | null = null;
  if (status === 205) {
    if (!(await body.drain(AHEAD_BYTES))) fail(undefined);
  } else if (out.method !== 'HEAD' && status !== 204 && status !== 304) {
    content = body.done ? new Uint8Array(0) : streamOf(out, { head, body }, channel, fail);
  }
  const url = new URL(out.url);
  url.hash = '';
  const response = present(new Response(content, { status, statusText, headers }), { headers, url: url.href, redirected });
  keepTrailers(response, body.trailers);
  return response;
}

function streamOf(out: Outgoing, { head, body }: Answer, channel: Channel, fail: (error: unknown) => unknown): ReadableStream<Uint8Array> {
  const { signal } = out;
  const onFail = (error: unknown) => {
    abandoned.unregister(channel);
    const reason = fail(error);
    return signal?.aborted ? reason : new TypeError('terminated', { cause: reason });
  };
  const stream = bodyStream(body, persists(head) ? AHEAD_BYTES : 0, onFail);
  // What the stream holds is watched, not the stream: browsers drop and renew the object that stands for one in use.
  abandoned.register(onFail, fail, channel);
  return decodeContent(stream, head.headers);
}

function upgradeRequest(
  url: URL,
  protocol: string | undefined,
  tunnel: string | undefined,
  headers: Headers,
): { method: string; target: string; fields: [string, string][] } {
  const fields: [string, string][] = [['host', tunnel ?? headers.get('host') ?? url.host]];
  for (const [name, value] of headers) if (!['connection', 'content-length', 'host', 'transfer-encoding', 'upgrade'].includes(name)) fields.push([name, value]);
  if (tunnel !== undefined) {
    if (!/^[\x21-\x7e]+:\d+$/.test(tunnel)) throw new TypeError('a tunnel is named host:port');
    return { method: 'CONNECT', target: tunnel, fields };
  }
  if (!TOKEN.test((protocol ?? '').replace('/', ''))) throw new TypeError('invalid protocol');
  fields.push(['connection', 'Upgrade'], ['upgrade', protocol ?? '']);
  return { method: 'GET', target: `${url.pathname}${url.search}`, fields };
}
