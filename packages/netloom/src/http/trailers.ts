/** Trailers (RFC 9110 6.5), for which `Request` and `Response` have no place. */
const received = new WeakMap<object, Promise<Headers>>();
const toSend = new WeakMap<object, Trailers>();

type Trailers = HeadersInit | (() => HeadersInit | Promise<HeadersInit>);

/** Notes which trailers belong to a message that was received. */
export function keepTrailers(message: object, trailers: Promise<Headers>): void {
  received.set(message, trailers);
}

/** What `withTrailers` was told of a response or a stream. */
export function trailersToSend(message: object): (() => Promise<Headers>) | undefined {
  const trailers = toSend.get(message);
  return trailers && (async () => new Headers(await (typeof trailers === 'function' ? trailers() : trailers)));
}

/**
 * The trailers of a message that `fetch` or `serve` gave: fields that follow a chunked body (RFC 9112 7.1.2). Fields that
 * would change how the message is read, such as Content-Length, are left out.
 * @returns Settles when the body was read to its end; empty if there are none. Rejects as the body does if it breaks off.
 * @example
 * ```ts
 * import { createStack } from 'netloom';
 * import { createHttp, trailersOf, withTrailers } from 'netloom/http';
 *
 * const stack = await createStack();
 * const { fetch, serve } = await createHttp(stack.tcp);
 * await serve(() => withTrailers(new Response('hello'), { 'x-checksum': '5d41402a' }));
 * const response = await fetch('http://127.0.0.1/');
 * await response.text();
 * console.log((await trailersOf(response)).get('x-checksum'));
 * ```
 */
export function trailersOf(message: Request | Response): Promise<Headers> {
  return received.get(message) ?? Promise.resolve(new Headers());
}

/**
 * Has trailers sent after a body: of the `Response` that a handler returns, or of the stream that `fetch` is given as `body`.
 * They follow chunked bodies alone: with a Content-Length, or to a client of HTTP/1.0, they are not sent.
 * @param trailers The fields, or a function that is called when the body has been sent.
 * @returns `message`.
 * @example
 * ```ts
 * import { withTrailers } from 'netloom/http';
 *
 * let bytes = 0;
 * const counted = new Blob(['hello']).stream().pipeThrough(new TransformStream<Uint8Array, Uint8Array>({
 *   transform(chunk, controller) {
 *     bytes += chunk.length;
 *     controller.enqueue(chunk);
 *   },
 * }));
 * const response = withTrailers(new Response(counted), () => ({ 'x-bytes': String(bytes) }));
 * console.log(response.status);
 * ```
 */
export function withTrailers<T extends Response | ReadableStream<Uint8Array>>(message: T, trailers: Trailers): T {
  toSend.set(message, trailers);
  return message;
}
