/** How much of a body is read before the guest has room for it. */
const AHEAD_BYTES = 1 << 20;

/**
 * A body of known length, of which the end is read as soon as it is this near. Node's `fetch` fails a body whose end waits in it, with all bytes
 * received, when the server closes the connection meanwhile, as servers do some seconds after they have written all.
 */
export function endAhead(body: ReadableStream<Uint8Array>, length: number): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let left = length;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        do {
          const { done, value } = await reader.read();
          if (done) return controller.close();
          controller.enqueue(value);
          left -= value.length;
        } while (left <= AHEAD_BYTES);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
