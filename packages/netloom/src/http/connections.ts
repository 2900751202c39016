/**
 * Connections of a server's clients: requests one after the other on each, bounded in time, closed together.
 *
 * @module
 */
import { NetworkError } from '../errors.ts';
import { concat, fromLatin1 } from './bytes.ts';
import { Channel } from './channel.ts';
import { HttpProtocolError } from './errors.ts';
import { readRequestHead, type RequestHead } from './head.ts';
import type { Limits } from './limits.ts';
import { encodeHead } from './send.ts';
import { serveRequest, type ServerContext } from './serve-request.ts';
import { statusLine } from './status.ts';
import { IdleTimer } from './timer.ts';
import type { ConnectionLike, HttpRequestHandler } from './types.ts';

/** What serves connections, whoever accepts them. */
export type ServerSettings = {
  handler: HttpRequestHandler;
  limits: Limits;
  date?: boolean | undefined;
  onError?: ((error: unknown) => void) | undefined;
  /** Connections served at once. */
  maxConnections?: number | undefined;
  /** Whether clients of HTTP/1.1 may leave Host out, which RFC 9112 3.2 forbids: then the address that they dialled is meant. */
  hostless?: boolean | undefined;
  /** The field lines that are taken, where other than RFC 9110's; each has a name and a value. */
  field?: RegExp | undefined;
  /** The text, of ISO 8859-1, with which a message that breaks the rules is answered. */
  explain?: ((error: HttpProtocolError) => string) | undefined;
};

/** Serves connections of others. */
export class ServedConnections implements ServerContext {
  readonly handler: HttpRequestHandler;
  readonly limits: Limits;
  readonly date: boolean;
  readonly hostless: boolean;
  closing = false;
  readonly #onError: (error: unknown) => void;
  readonly #maxConnections: number;
  readonly #field: RegExp | undefined;
  readonly #explain: (error: HttpProtocolError) => string;
  readonly #served = new Map<Channel, Promise<void>>();
  /** Connections between two requests. */
  readonly #idle = new Set<Channel>();
  #roomMade: (() => void) | undefined;

  constructor({ handler, limits, date = false, onError, maxConnections = 10_000, hostless = false, field, explain }: ServerSettings) {
    if (!(Number.isInteger(maxConnections) && maxConnections > 0))
      throw new NetworkError('EINVAL', { message: 'maxConnections is not a whole number above 0' });
    this.handler = handler;
    this.limits = limits;
    this.date = date;
    this.hostless = hostless;
    this.#onError = onError ?? ((error) => console.error(error));
    this.#maxConnections = maxConnections;
    this.#field = field;
    this.#explain = explain ?? (() => '');
  }

  onError(error: unknown): void {
    try {
      this.#onError(error);
    } catch {
      // Who fails at hearing of a failure must not end the connection's other requests.
    }
  }

  /** Serves one more; whoever accepts them asks `room` before. */
  add(connection: ConnectionLike): void {
    const channel = new Channel(connection);
    this.#served.set(channel, this.#serve(channel));
  }

  /** Resolves when one more may be served, or the server is closing; one asks at a time. */
  async room(): Promise<void> {
    if (this.#served.size >= this.#maxConnections && !this.closing) await new Promise<void>((resolve) => (this.#roomMade = resolve));
  }

  /** Ends idle connections, and lets requests under way finish. */
  shut(): void {
    this.closing = true;
    this.#roomMade?.();
    for (const channel of this.#idle) channel.close();
  }

  /** Breaks off all that is under way. */
  break(reason: unknown): void {
    for (const channel of this.#served.keys()) channel.break(reason);
  }

  /** Resolves when no connection is left. */
  async ended(): Promise<void> {
    while (this.#served.size > 0) await Promise.all(this.#served.values());
  }

  async #serve(channel: Channel): Promise<void> {
    try {
      // A new connection is given the time of a head; browsers open some ahead of their requests.
      let patience = this.limits.headersTimeout;
      while (await this.#next(channel, patience)) patience = this.limits.keepAliveTimeout;
      await channel.finish();
    } catch (error) {
      channel.break(channel.error ?? error);
    } finally {
      this.#served.delete(channel);
      this.#roomMade?.();
    }
  }

  /** Serves the next request of a connection; false if it was the last. */
  async #next(channel: Channel, patience: number): Promise<boolean> {
    channel.limitIdle(0);
    if (this.closing) return false;
    this.#idle.add(channel);
    const comes = await channel.waitIdle(patience);
    this.#idle.delete(channel);
    if (!comes) return false;
    try {
      const head = await this.#readHead(channel);
      channel.limitIdle(this.limits.bodyTimeout);
      return await serveRequest(channel, head, this);
    } catch (error) {
      if (!(error instanceof HttpProtocolError)) throw error;
      await this.#refuse(channel, error);
      return false;
    }
  }

  async #refuse(channel: Channel, error: HttpProtocolError): Promise<void> {
    const text = this.#explain(error);
    const fields: [string, string][] = [
      ['connection', 'close'],
      ['content-length', String(text.length)],
    ];
    if (text !== '') fields.push(['content-type', 'text/plain']);
    await channel.sink.write(concat([encodeHead(statusLine(error.status, ''), fields), fromLatin1(text)]));
  }

  async #readHead(channel: Channel): Promise<RequestHead> {
    const late = new IdleTimer(() => channel.source.fail(new HttpProtocolError('request head not complete in time', 408)));
    late.start(this.limits.headersTimeout);
    try {
      return await readRequestHead(channel.source, this.limits, this.#field);
    } finally {
      late.stop();
    }
  }
}
