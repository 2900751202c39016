import { NetworkError } from '../errors.ts';
import { FrameInterface, type FrameEndpoint } from './frames.ts';

/** Two ends that are joined. */
export type Patch = Disposable & {
  /** Parts them. */
  close(): void;
};

/**
 * Joins two interfaces, or an interface and a NIC, as a patch cable does: frames cross in batches, with neither streams nor promises.
 *
 * Two taps or two tuns of stacks in one page also agree to pass segments of up to 64 KiB whole and without checksums, whatever the MTU, as
 * NICs with segmentation offload do; ports of bridges do not, since what they pass on must suit others.
 *
 * @throws NetworkError `EINVAL` if one end is joined already, or one is a tun and the other a tap
 * @example
 * ```ts
 * import { createStack, patch } from 'netloom';
 *
 * const [a, b] = await Promise.all([createStack(), createStack()]);
 * const cable = patch(await a.interfaces.createTap({ ip: '10.0.0.1/24' }), await b.interfaces.createTap({ ip: '10.0.0.2/24' }));
 * const listener = await b.tcp.listen({ port: 80 });
 * const connection = await a.tcp.connect({ host: '10.0.0.2', port: 80 });
 * console.log(connection.remoteAddress); // 10.0.0.2
 * cable.close();
 * ```
 */
export function patch(a: FrameEndpoint, b: FrameEndpoint): Patch {
  for (const end of [a, b]) {
    if (end instanceof FrameInterface && end.joined) throw new NetworkError('EINVAL', { message: `${end.name} is joined already` });
  }
  const part = a instanceof FrameInterface && b instanceof FrameInterface ? join(a, b) : relay(a, b);
  let joined = true;
  const close = () => {
    if (joined) part();
    joined = false;
  };
  return { close, [Symbol.dispose]: close };
}

function join(a: FrameInterface, b: FrameInterface): () => void {
  if (a === b || a.type !== b.type) throw new NetworkError('EINVAL', { message: `a ${a.type} cannot be joined to ${a === b ? 'itself' : `a ${b.type}`}` });
  const offloads = a.setOffload(true) && b.setOffload(true);
  if (!offloads) a.setOffload(false);
  a.joinTo(b);
  b.joinTo(a);
  return () => {
    a.joinTo(undefined);
    b.joinTo(undefined);
    a.setOffload(false);
    b.setOffload(false);
  };
}

function relay(a: FrameEndpoint, b: FrameEndpoint): () => void {
  const stops = [a.onFrames((frames) => b.send(frames)), b.onFrames((frames) => a.send(frames))];
  return () => stops.forEach((stop) => stop());
}
