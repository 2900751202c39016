/** Uplinks by themselves: what they do with frames, and when they connect. */
import { Backoff } from '../../src/v86/backends/backoff.ts';
import { openInbrowser } from '../../src/v86/backends/inbrowser.ts';
import type { UplinkContext } from '../../src/v86/backends/types.ts';
import { openWsproxy } from '../../src/v86/backends/wsproxy.ts';
import { readTarget, readTimeouts } from '../../src/v86/settings.ts';
import { deepEqual, equal, ok, test } from '../harness.ts';

/** A WebSocket whose other end is the test. */
class Socket {
  static made: Socket[] = [];
  static waiting: ((socket: Socket) => void)[] = [];
  binaryType = 'blob';
  readyState = 0;
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code?: number }) => void) | null = null;
  onerror: (() => void) | null = null;
  readonly url: string;
  readonly sent: Uint8Array[] = [];
  closed = false;

  constructor(url: string) {
    this.url = url;
    Socket.made.push(this);
    Socket.waiting.shift()?.(this);
  }

  send(data: Uint8Array): void {
    if (this.readyState !== 1) throw new Error('InvalidStateError');
    this.sent.push(data);
  }

  close(): void {
    this.closed = true;
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  lose(): void {
    this.readyState = 3;
    this.onerror?.();
    this.onclose?.({ code: 1006 });
  }

  static next(): Promise<Socket> {
    return new Promise((resolve) => void Socket.waiting.push(resolve));
  }
}

function wsproxy(url = 'ws://relay.example/', context: Partial<UplinkContext> = {}) {
  Socket.made = [];
  Socket.waiting = [];
  const states: string[] = [];
  const received: Uint8Array[] = [];
  const uplink = openWsproxy({
    url,
    device: readTarget(url),
    WebSocket: Socket,
    credentials: undefined,
    timeouts: readTimeouts({ reconnect: 1, reconnectMax: 4 }),
    report: (state) => void states.push(state),
    receive: (frame) => void received.push(frame.slice()),
    ...context,
  });
  return { uplink, states, received };
}

const frame = (mark: number, length = 60) => new Uint8Array(length).fill(mark);

test('v86 wsproxy: connects at once, before the guest says anything', () => {
  const { uplink, states, received } = wsproxy();
  equal(Socket.made.length, 1);
  const [socket] = Socket.made;
  socket!.open();
  equal(socket!.binaryType, 'arraybuffer');
  socket!.onmessage?.({ data: frame(7).buffer });
  deepEqual([states, received.length, received[0]![0]], [['up'], 1, 7]);
  uplink.close();
  ok(socket!.closed);
});

test('v86 wsproxy: what is no frame is dropped', () => {
  const { uplink, received } = wsproxy();
  const [socket] = Socket.made;
  socket!.open();
  for (const data of ['text', new ArrayBuffer(0), new ArrayBuffer(13), new ArrayBuffer(65_550), undefined, new Uint8Array(60)]) socket!.onmessage?.({ data });
  equal(received.length, 0);
  socket!.onmessage?.({ data: new ArrayBuffer(65_549) });
  equal(received.length, 1);
  uplink.close();
});

test('v86 wsproxy: frames that wait are bounded, copied, and sent when it opens', () => {
  const { uplink } = wsproxy();
  const memory = frame(0);
  for (let mark = 0; mark < 100; mark += 1) {
    memory.fill(mark);
    uplink.send(memory);
  }
  memory.fill(255);
  const [socket] = Socket.made;
  socket!.open();
  deepEqual(
    socket!.sent.map(([mark]) => mark),
    Array.from({ length: 64 }, (_, index) => index + 36),
  );
  uplink.close();
});

test('v86 wsproxy: a socket that does not drain has frames dropped, not kept', () => {
  const { uplink } = wsproxy();
  const [socket] = Socket.made;
  socket!.open();
  socket!.bufferedAmount = (4 << 20) + 1;
  uplink.send(frame(1));
  socket!.bufferedAmount = 0;
  uplink.send(frame(2));
  deepEqual(
    socket!.sent.map(([mark]) => mark),
    [2],
  );
  uplink.close();
});

test('v86 wsproxy: a lost socket is down and comes back, and nothing is sent into it meanwhile', async () => {
  const { uplink, states } = wsproxy();
  const [first] = Socket.made;
  first!.open();
  const again = Socket.next();
  first!.lose();
  uplink.send(frame(3));
  const second = await again;
  deepEqual([states, first!.sent.length, second.url], [['up', 'down'], 0, 'ws://relay.example/']);
  second.open();
  deepEqual([states, second.sent.length], [['up', 'down', 'up'], 1]);
  // The first has nothing to say any more.
  first!.onmessage?.({ data: frame(1).buffer });
  first!.onclose?.({});
  deepEqual(states, ['up', 'down', 'up']);
  uplink.close();
});

test('v86 wsproxy: closed, it neither connects again nor reports', async () => {
  const { uplink, states } = wsproxy();
  const [socket] = Socket.made;
  const listener = socket!.onclose;
  uplink.close();
  listener?.({});
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setTimeout(resolve, 1));
  deepEqual([Socket.made.length, states], [1, []]);
});

test('v86 wsproxy: without a WebSocket, or with one that throws, it is down', async () => {
  const without = wsproxy('ws://relay.example/', { WebSocket: undefined });
  deepEqual(without.states, ['down']);
  let tries = 0;
  let again = () => {};
  const second = new Promise<void>((resolve) => void (again = resolve));
  const throwing = wsproxy('ws://relay.example/', {
    WebSocket: class {
      constructor() {
        if ((tries += 1) === 2) again();
        throw new Error('SecurityError');
      }
    },
  });
  await second;
  ok(throwing.states.includes('down'));
  throwing.uplink.close();
});

test('v86 backoff: delays grow to a limit, jittered by half', () => {
  let random = 0;
  const backoff = new Backoff({ reconnect: 100, reconnectMax: 1000 }, () => random);
  const waits = () => Array.from({ length: 5 }, () => backoff.wait(() => {}));
  deepEqual(waits(), [50, 100, 200, 400, 500]);
  backoff.reset();
  random = 1;
  deepEqual(waits(), [100, 200, 400, 800, 1000]);
  backoff.cancel();
});

test('v86 inbrowser: frames reach the channel of its id as v86 posts them, without the memory around', async () => {
  const target = { relay_url: 'inbrowser', id: 4711 };
  const received: Uint8Array[] = [];
  let arrived = () => {};
  const arrival = () => new Promise<void>((resolve) => void (arrived = resolve));
  const uplink = openInbrowser({
    url: 'inbrowser',
    device: readTarget(target),
    WebSocket: undefined,
    credentials: undefined,
    timeouts: readTimeouts(),
    report: () => {},
    receive: (frame) => {
      received.push(frame.slice());
      arrived();
    },
  });
  const other = new BroadcastChannel('v86-inbrowser-4711');
  try {
    const heard = new Promise<unknown>((resolve) => void (other.onmessage = ({ data }) => resolve(data)));
    uplink.send(new Uint8Array(32 << 10).fill(5).subarray(100, 160));
    const data = (await heard) as Uint8Array;
    deepEqual([data instanceof Uint8Array, data.length, data.buffer.byteLength, data[0]], [true, 60, 60, 5]);

    const next = arrival();
    for (const bad of ['text', null, new Uint8Array(3), { byteLength: 60 }]) other.postMessage(bad);
    other.postMessage(new Uint8Array(32 << 10).fill(6).subarray(200, 260));
    await next;
    deepEqual([received.length, received[0]!.length, received[0]![0]], [1, 60, 6]);
  } finally {
    uplink.close();
    other.close();
  }
});
