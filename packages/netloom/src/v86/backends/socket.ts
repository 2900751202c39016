/** WebSockets, of browsers and of npm's `ws`. */

/** What is used of a WebSocket. `pause`, `resume` and that it calls once a message was written are of npm's `ws`. */
export type Socket = {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code?: number; reason?: string }) => void) | null;
  onerror: (() => void) | null;
  send(data: Uint8Array, written?: () => void): void;
  close(): void;
  pause?(): void;
  resume?(): void;
};

const OPEN = 1;

/** Whether a WebSocket takes messages. */
export function isOpen(socket: Socket | undefined): socket is Socket {
  return socket?.readyState === OPEN;
}

/** Lets a WebSocket go, whatever it does later. */
export function release(socket: Socket): void {
  socket.onopen = null;
  socket.onmessage = null;
  socket.onclose = null;
  // `ws` throws for want of a listener if it is closed while it opens.
  socket.onerror = () => {};
  try {
    socket.resume?.();
    socket.close();
  } catch {
    // It was never open.
  }
}
