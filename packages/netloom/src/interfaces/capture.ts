/**
 * Captures: pcapng files of what crosses interfaces (draft-ietf-opsawg-pcapng).
 */
import type { Tap } from './interface.ts';
import { BridgeInterface, type NetworkInterface } from './kinds.ts';

/** How to capture. */
export type CaptureOptions = {
  /** Bytes of each frame that are kept, 1 to 65,549. Default all. */
  snapLength?: number;
  /** Bytes of the file that may wait to be read. Default 4 MiB. */
  highWaterMark?: number;
  /** Ends the capture. */
  signal?: AbortSignal;
};

const LINK_ETHERNET = 1;
const LINK_RAW_IP = 101;
const MAX_SNAP_BYTES = 65_549;
const WAITING_BYTES = 4 << 20;

/** See `stack.interfaces.capture`. */
export function capture(one: NetworkInterface, options: CaptureOptions = {}): ReadableStream<Uint8Array> {
  const { snapLength = MAX_SNAP_BYTES, highWaterMark = WAITING_BYTES, signal } = options;
  const watched = one instanceof BridgeInterface ? one.ports : [one];
  const taps: Tap[] = [];
  const stop = () => watched.forEach((each, place) => each.unwatch(taps[place]!));
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        controller.enqueue(sectionHeader());
        watched.forEach((each, place) => {
          controller.enqueue(interfaceDescription(each.type === 'tap' ? LINK_ETHERNET : LINK_RAW_IP, snapLength, each.name));
          taps[place] = (frame, direction) => {
            if ((controller.desiredSize ?? 0) > 0) controller.enqueue(packet(place, frame, snapLength, direction === 'in' ? 1 : 2));
          };
          each.watch(taps[place]);
        });
        const end = () => {
          stop();
          controller.close();
        };
        if (signal?.aborted) end();
        else signal?.addEventListener('abort', end, { once: true });
      },
      cancel: stop,
    },
    { highWaterMark, size: (chunk) => chunk.length },
  );
}

/** A block: its type, its length, its body, and its length again. */
function block(type: number, body: Uint8Array): Uint8Array {
  const length = 12 + body.length;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, length, true);
  bytes.set(body, 8);
  view.setUint32(length - 4, length, true);
  return bytes;
}

const padded = (length: number) => (length + 3) & ~3;

function sectionHeader(): Uint8Array {
  const body = new Uint8Array(16);
  const view = new DataView(body.buffer);
  view.setUint32(0, 0x1a2b3c4d, true);
  view.setUint16(4, 1, true);
  // The section's length is not known.
  view.setBigInt64(8, -1n, true);
  return block(0x0a0d0d0a, body);
}

function interfaceDescription(link: number, snapLength: number, name: string): Uint8Array {
  const text = new TextEncoder().encode(name);
  const body = new Uint8Array(8 + 4 + padded(text.length) + 4);
  const view = new DataView(body.buffer);
  view.setUint16(0, link, true);
  view.setUint32(4, snapLength, true);
  // if_name; the end of options is four zeros, and microseconds are the default unit.
  view.setUint16(8, 2, true);
  view.setUint16(10, text.length, true);
  body.set(text, 12);
  return block(1, body);
}

function packet(place: number, frame: Uint8Array, snapLength: number, direction: 1 | 2): Uint8Array {
  const kept = frame.subarray(0, snapLength);
  const body = new Uint8Array(20 + padded(kept.length) + 12);
  const view = new DataView(body.buffer);
  const time = Math.round((performance.timeOrigin + performance.now()) * 1000);
  view.setUint32(0, place, true);
  view.setUint32(4, Math.floor(time / 2 ** 32), true);
  view.setUint32(8, time >>> 0, true);
  view.setUint32(12, kept.length, true);
  view.setUint32(16, frame.length, true);
  body.set(kept, 20);
  const options = 20 + padded(kept.length);
  // epb_flags: which way it went.
  view.setUint16(options, 2, true);
  view.setUint16(options + 2, 4, true);
  view.setUint32(options + 4, direction, true);
  return block(6, body);
}
