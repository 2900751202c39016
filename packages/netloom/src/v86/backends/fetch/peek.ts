import { concat } from '../../../http/bytes.ts';

/** The whole of a body that has at most `limit` bytes, and else the body as it was, with what was read of it in front. */
export async function peek(body: ReadableStream<Uint8Array>, limit: number): Promise<Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>> {
  const reader = body.getReader();
  const parts: Uint8Array[] = [];
  try {
    for (let length = 0; length <= limit; ) {
      const { done, value } = await reader.read();
      if (done) return concat(parts) as Uint8Array<ArrayBuffer>;
      parts.push(value);
      length += value.length;
    }
  } catch {
    // The reader fails again, behind what it gave.
  }
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const part = parts.shift();
        if (part) return controller.enqueue(part);
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
