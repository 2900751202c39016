/**
 * One request on a server's connection: read, handled, answered.
 *
 * @module
 */
import { BodyReader, bodyStream } from './body.ts';
import { fromLatin1 } from './bytes.ts';
import type { Channel } from './channel.ts';
import { HttpProtocolError } from './errors.ts';
import { requestFraming, type Framing } from './framing.ts';
import { hasToken, persists, type RequestHead } from './head.ts';
import type { Limits } from './limits.ts';
import { receivedRequest } from './messages.ts';
import { ContentError, encodeHead, sendMessage } from './send.ts';
import { statusLine } from './status.ts';
import { requestUrl } from './target.ts';
import { keepTrailers, trailersToSend } from './trailers.ts';
import type { HttpRequestHandler } from './types.ts';
import { allowUpgrade, asksUpgrade, switchOf } from './upgrade.ts';

/** Bytes of an unread request body that are dropped to keep its connection. */
const MAX_UNREAD = 65536;
/** Milliseconds after which a client that has ended its side is asked whether it is still there. */
const ENDED_KEEP_ALIVE_MS = 15_000;
/** Fields of the connection, which are not the handler's to set. */
const OURS = ['connection', 'content-length', 'keep-alive', 'transfer-encoding'];

/** What a server's requests have in common. */
export type ServerContext = {
  readonly handler: HttpRequestHandler;
  readonly limits: Limits;
  readonly date: boolean;
  readonly closing: boolean;
  readonly hostless: boolean;
  onError(error: unknown): void;
};

/** Serves one request; resolves with whether another may follow. The channel is closed if it was handed over. */
export async function serveRequest(channel: Channel, head: RequestHead, server: ServerContext): Promise<boolean> {
  const framing = requestFraming(head);
  const { localAddress, localPort, secure = false } = channel.connection;
  const url = requestUrl(
    head,
    localAddress === undefined ? 'localhost' : `${localAddress.includes(':') ? `[${localAddress}]` : localAddress}:${localPort}`,
    server.hostless,
    secure,
  );
  const expect = head.minor === 0 ? null : head.headers.get('expect');
  if (expect !== null && expect.toLowerCase() !== '100-continue') throw new HttpProtocolError('unknown expectation', 417);
  const exchange = new ServerExchange(channel, head, server, new BodyReader(channel.source, framing, server.limits), expect !== null);
  return exchange.run(url, framing);
}

class ServerExchange {
  readonly #channel: Channel;
  readonly #head: RequestHead;
  readonly #server: ServerContext;
  readonly #body: BodyReader;
  /** Whether the client waits for `100 Continue` before it sends the body. */
  #waiting: boolean;
  #bodyError: unknown;

  constructor(channel: Channel, head: RequestHead, server: ServerContext, body: BodyReader, waiting: boolean) {
    this.#channel = channel;
    this.#head = head;
    this.#server = server;
    this.#body = body;
    this.#waiting = waiting && !body.done;
  }

  async run(url: string, framing: Framing): Promise<boolean> {
    const { method, headers } = this.#head;
    const channel = this.#channel;
    const abort = new AbortController();
    const content = method === 'GET' || method === 'HEAD' || this.#body.done ? null : this.#stream();
    const request = receivedRequest(url, method, headers, content, abort.signal);
    keepTrailers(request, this.#body.trailers);
    const leaves = asksUpgrade(this.#head) && this.#body.done;
    if (leaves) allowUpgrade(request);
    else if (this.#body.done) this.#watch();
    else this.#body.onEnd = () => this.#watch();
    let broken!: (error: unknown) => void;
    const ended = new Promise<undefined>((resolve) => {
      broken = (error) => {
        abort.abort(error);
        resolve(undefined);
      };
    });
    channel.onBreak.add(broken);
    if (channel.error !== undefined) broken(channel.error);
    try {
      const answer = this.#handle(request);
      const response = await Promise.race([answer, ended]);
      if (response === undefined) {
        // The client is gone; what the handler still makes is not wanted.
        void answer.then((late) => this.#drop(late, channel.error));
        return false;
      }
      return await this.#answer(response, framing);
    } finally {
      channel.onBreak.delete(broken);
    }
  }

  /** The request's body as the handler sees it. */
  #stream(): ReadableStream<Uint8Array> {
    return bodyStream(
      this.#body,
      0,
      (error) => (this.#bodyError = error),
      () => this.#continue(),
    );
  }

  async #continue(): Promise<void> {
    if (!this.#waiting) return;
    this.#waiting = false;
    await this.#channel.sink.write(fromLatin1('HTTP/1.1 100 Continue\r\n\r\n'));
  }

  /** Reads ahead while the handler works, so that it learns of a reset; at most one chunk. */
  #watch(): void {
    const { connection, source } = this.#channel;
    source.idle.limit = 0;
    source
      .fill()
      // Who has said that it sends no more may wait for the answer, or be gone: that shows when it is asked.
      .then((more) => more || connection.setOptions?.({ keepAlive: ENDED_KEEP_ALIVE_MS }))
      .catch((error: unknown) => this.#channel.break(error));
  }

  async #handle(request: Request): Promise<Response> {
    try {
      const response = await this.#server.handler(request);
      if (typeof response?.status !== 'number' || (response.status < 200 && !switchOf(response))) throw new TypeError('the handler gave no response');
      if (response.bodyUsed || response.body?.locked) throw new TypeError('the body of the response is in use');
      return response;
    } catch (error) {
      const fault = this.#bodyError ?? error;
      if (fault instanceof HttpProtocolError)
        return new Response(null, { status: fault.status, ...(fault.status === 426 && { headers: { 'sec-websocket-version': '13' } }) });
      if (this.#channel.error === undefined) this.#server.onError(error);
      return new Response(null, { status: 500 });
    }
  }

  #drop(response: Response, reason: unknown): void {
    switchOf(response)?.reject(reason);
    if (response.body && !response.body.locked) response.body.cancel(reason).catch(() => undefined);
  }

  async #answer(response: Response, requested: Framing): Promise<boolean> {
    const channel = this.#channel;
    const switching = switchOf(response);
    if (switching) {
      try {
        await this.#sendSwitch(response);
        switching.resolve(channel.detach());
      } catch (error) {
        switching.reject(error);
        throw error;
      }
      return false;
    }
    const { status } = response;
    const bodiless = this.#head.method === 'HEAD' || status === 204 || status === 205 || status === 304;
    // A body that is answered as it comes is wanted; another that waits is not, and then nobody knows whether it comes.
    if (status < 300 && response.body && !bodiless) await this.#continue();
    const unread = !this.#body.done && (this.#waiting || this.#bodyError !== undefined || (typeof requested === 'object' && requested.length > MAX_UNREAD));
    this.#waiting = false;
    let keep = !unread && persists(this.#head) && !this.#server.closing && !hasToken(response.headers, 'connection', 'close');
    const framing = this.#framing(response, bodiless);
    if (framing === 'close') keep = false;
    if (bodiless) this.#drop(response, undefined);
    try {
      const head = encodeHead(statusLine(status, response.statusText), this.#fields(response, framing, keep, bodiless));
      await sendMessage(channel, head, bodiless ? null : response.body, framing, trailersToSend(response));
    } catch (error) {
      // The connection's own failures are no news to a server; the handler's are.
      if (error instanceof ContentError) this.#server.onError(error.reason);
      else if (error instanceof TypeError && channel.error === undefined) this.#server.onError(error);
      throw error instanceof ContentError ? error.reason : error;
    }
    return keep && (await this.#body.drain(MAX_UNREAD));
  }

  async #sendSwitch(response: Response): Promise<void> {
    const fields: [string, string][] = [];
    if (response.status === 101) fields.push(['connection', 'Upgrade']);
    for (const [name, value] of response.headers) if (!OURS.includes(name)) fields.push([name, value]);
    await this.#channel.sink.write(encodeHead(statusLine(response.status, response.statusText), fields));
  }

  /** How the response's end is told; a client of HTTP/1.0 knows no chunks. */
  #framing(response: Response, bodiless: boolean): Framing {
    const length = response.headers.get('content-length');
    if (response.body === null && !bodiless) return { length: 0 };
    if (length !== null && /^\d{1,15}$/.test(length)) return { length: Number(length) };
    if (bodiless) return { length: 0 };
    return this.#head.minor === 0 ? 'close' : 'chunked';
  }

  *#fields(response: Response, framing: Framing, keep: boolean, bodiless: boolean): Generator<[string, string]> {
    for (const field of response.headers) if (!OURS.includes(field[0])) yield field;
    if (this.#server.date && !response.headers.has('date')) yield ['date', new Date().toUTCString()];
    if (!keep) yield ['connection', 'close'];
    else if (this.#head.minor === 0) yield ['connection', 'keep-alive'];
    if (framing === 'chunked') yield ['transfer-encoding', 'chunked'];
    else if (framing !== 'close') {
      // A response to HEAD and a 304 may tell the length of what they do not send; a 204 must not (RFC 9110 8.6).
      const told = bodiless ? response.status === 205 || (response.status !== 204 && response.headers.has('content-length')) : true;
      if (told) yield ['content-length', String(response.status === 205 ? 0 : framing.length)];
    }
  }
}
