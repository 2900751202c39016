/** Content codings (RFC 9110 8.4.1) that the platform decodes. */
const CODINGS = ['gzip', 'x-gzip', 'deflate'];

/** Decodes a body as `Content-Encoding` says; what the platform does not know stays as it is. */
export function decodeContent(body: ReadableStream<Uint8Array>, headers: Headers): ReadableStream<Uint8Array> {
  const codings = (headers.get('content-encoding') ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'identity');
  if (codings.length === 0 || codings.length > 4 || !codings.every((name) => CODINGS.includes(name))) return body;
  return codings.reduceRight((stream, name) => decoded(stream, name), body);
}

/** Starts a decoder when the first byte is there: an empty body is no broken one, and `deflate` without zlib's header is common. */
function decoded(body: ReadableStream<Uint8Array>, coding: string): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let output: ReadableStreamDefaultReader<Uint8Array> | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!output) {
          const { done, value } = await reader.read();
          if (done) return controller.close();
          const format = coding !== 'deflate' ? 'gzip' : (value[0]! & 15) === 8 ? 'deflate' : 'deflate-raw';
          output = decodeFrom(value, reader, format).getReader();
        }
        const { done, value } = await output.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel(reason) {
        await (output ?? reader).cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

function decodeFrom(first: Uint8Array, reader: ReadableStreamDefaultReader<Uint8Array>, format: CompressionFormat): ReadableStream<Uint8Array> {
  let pending: Uint8Array | undefined = first;
  const encoded = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (pending) {
          controller.enqueue(pending);
          pending = undefined;
          return;
        }
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return encoded.pipeThrough(new DecompressionStream(format) as unknown as ReadableWritablePair<Uint8Array, Uint8Array>);
}
