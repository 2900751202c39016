/**
 * `Request` and `Response` objects that hold what their constructors refuse: fields that browsers leave out (Host, Cookie,
 * Set-Cookie), methods such as CONNECT, statuses such as 101, the URL of a response.
 *
 * @module
 */
type Shown = Partial<Record<'headers' | 'method' | 'status' | 'url' | 'redirected' | 'body' | 'bodyUsed', unknown>>;

/** Shows `values` on a message, and on its clones. */
export function present<T extends Request | Response>(message: T, values: Shown): T {
  for (const [name, value] of Object.entries(values)) Object.defineProperty(message, name, { value, configurable: true, enumerable: true });
  const clone = message.clone as () => T;
  Object.defineProperty(message, 'clone', {
    configurable: true,
    value: () => present(clone.call(message), { ...values, ...(values.headers instanceof Headers && { headers: new Headers(values.headers) }) }),
  });
  return message;
}

const READERS = ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text'] as const;

/** Whether `Request` takes a stream as body; where it does not, it makes text of it. */
let streams: boolean | undefined;

function takesStreams(): boolean {
  return (streams ??= !new Request('http://localhost', { method: 'POST', body: new ReadableStream(), duplex: 'half' } as RequestInit).headers.has(
    'content-type',
  ));
}

/** A `Request` as a server shows it. */
export function receivedRequest(url: string, method: string, headers: Headers, body: ReadableStream<Uint8Array> | null, signal: AbortSignal): Request {
  const constructible = !['CONNECT', 'TRACE', 'TRACK'].includes(method.toUpperCase());
  const shown: Shown = constructible ? { headers } : { headers, method };
  const init = { method: constructible ? method : 'GET', headers, signal };
  if (body === null || takesStreams()) return present(new Request(url, { ...init, ...(body !== null && { body, duplex: 'half' }) } as RequestInit), shown);
  // The body is read by way of a `Response`, which takes streams everywhere.
  const carrier = new Response(body, { headers });
  const request = present(new Request(url, init), { ...shown, body: carrier.body });
  for (const name of READERS) Object.defineProperty(request, name, { value: () => (carrier as unknown as Record<string, () => unknown>)[name]?.() });
  Object.defineProperty(request, 'bodyUsed', { get: () => carrier.bodyUsed });
  return request;
}
