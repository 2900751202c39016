/**
 * The LAN of all tabs of one origin: frames over a BroadcastChannel, by the name and in the form of v86's own, whose guests may be on it.
 *
 * Within a page frames stay on its switch. The switch learns from what other tabs send which guests are there, so that of their unicast nothing
 * reaches a guest of this page that it is not for.
 */
import type { OpenUplink } from './types.ts';

const MAX_FRAME_BYTES = 65_549;
const MIN_FRAME_BYTES = 14;

/** Opens the channel of the network's `id`. */
export const openInbrowser: OpenUplink = ({ device, receive, report }) => {
  const channel = new BroadcastChannel(`v86-inbrowser-${device.id ?? 0}`);
  channel.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (!(data instanceof Uint8Array) || data.byteLength < MIN_FRAME_BYTES || data.byteLength > MAX_FRAME_BYTES) return;
    receive(data);
  };
  channel.onmessageerror = () => {};
  queueMicrotask(() => report('up'));
  return {
    // A view would take the whole memory that it is of along.
    send: (frame) => channel.postMessage(frame.slice()),
    close: () => {
      channel.onmessage = null;
      channel.close();
    },
  };
};
