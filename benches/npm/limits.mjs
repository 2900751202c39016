/**
 * What the engine allows at most: a copy of memory, and pipes of chunks between streams that do nothing.
 */
import { seconds } from './clock.mjs';

const MIB = 1 << 20;

/** Bytes copied once, in pieces of 64 KiB, within what a core's cache holds. */
export async function copy(bytes) {
  const from = new Uint8Array(256 * 1024);
  const to = new Uint8Array(256 * 1024);
  const piece = 65_536;
  return seconds(() => {
    for (let at = 0; at < bytes; at += piece) to.set(from.subarray(at % from.length, (at % from.length) + piece), at % to.length);
  });
}

/** Chunks of a length through `pipeTo`; each is made anew, as frames are. */
export async function pipe(bytes, length) {
  let left = Math.ceil(bytes / length);
  const source = new ReadableStream({
    pull(controller) {
      controller.enqueue(new Uint8Array(length));
      left -= 1;
      if (left === 0) controller.close();
    },
  });
  let arrived = 0;
  const sink = new WritableStream({
    write(chunk) {
      arrived += chunk.length;
    },
  });
  const taken = await seconds(() => source.pipeTo(sink));
  if (arrived < bytes) throw new Error(`${arrived} of ${bytes} bytes`);
  return taken;
}

export const limits = {
  'limit/copy 64 KiB': { unit: 'MB/s', run: () => copy(1024 * MIB).then((taken) => ({ value: (1024 * MIB) / 1e6 / taken, gigabytes: (1024 * MIB) / 1e9 })) },
  'limit/pipeTo 1,514 B': { unit: 'MB/s', run: () => rate(128 * MIB, (bytes) => pipe(bytes, 1514)) },
  'limit/pipeTo 64 KiB': { unit: 'MB/s', run: () => rate(512 * MIB, (bytes) => pipe(bytes, 65_536)) },
};

async function rate(bytes, run) {
  const taken = await run(bytes);
  return { value: bytes / 1e6 / taken, gigabytes: bytes / 1e9 };
}
