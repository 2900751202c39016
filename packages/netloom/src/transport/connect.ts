import type { DuplexStream } from './types.ts';

/**
 * Joins two pairs of streams: what is read from one is written to the other, both ways. An error ends both; nobody need catch it.
 *
 * Between two interfaces of stacks no promise is made for each frame; {@link patch} is faster still.
 *
 * @param options - changes each chunk on its way
 * @example
 * ```ts
 * import { connectStreams, createStack } from 'netloom';
 *
 * const [a, b] = await Promise.all([createStack(), createStack()]);
 * connectStreams(await a.interfaces.createTap({ ip: '10.0.0.1/24' }), await b.interfaces.createTap({ ip: '10.0.0.2/24' }));
 * ```
 */
export function connectStreams<A, B = A>(
  a: DuplexStream<A, B>,
  b: DuplexStream<B, A>,
  options: { transformAtoB?: (chunk: A) => A; transformBtoA?: (chunk: B) => B } = {},
): void {
  join(a.readable, b.writable, options.transformAtoB);
  join(b.readable, a.writable, options.transformBtoA);
}

function join<T>(from: ReadableStream<T>, to: WritableStream<T>, transform?: (chunk: T) => T): void {
  const changed = transform ? from.pipeThrough(new TransformStream<T, T>({ transform: (chunk, controller) => controller.enqueue(transform(chunk)) })) : from;
  // What goes wrong shows at the streams.
  changed.pipeTo(to).catch(() => {});
}
