/** WebSockets of guests: the page's is a stand-in that the test drives. */
import { createHttp } from '../../../src/http/index.ts';
import { deepEqual, equal, ok, rejects, test } from '../../harness.ts';
import { setUp } from './setup.ts';

/** The page's WebSocket. */
class Outer {
  static latest: Outer;
  static made: ((outer: Outer) => void) | undefined;
  readonly url: string;
  readonly protocols: string[];
  protocol = '';
  binaryType = 'blob';
  bufferedAmount = 0;
  onopen: (() => void) | undefined;
  onerror: (() => void) | undefined;
  onclose: ((event: { code: number; reason: string }) => void) | undefined;
  onmessage: ((event: { data: unknown }) => void) | undefined;
  readonly sent: unknown[] = [];
  readonly closes: unknown[][] = [];
  #wake: (() => void) | undefined;

  constructor(url: string, protocols: string[]) {
    this.url = url;
    this.protocols = protocols;
    Outer.latest = this;
    queueMicrotask(() => Outer.made?.(this));
  }

  send(message: unknown): void {
    this.sent.push(message);
    this.#wake?.();
  }

  close(code?: number, reason?: string): void {
    if (code !== undefined && code !== 1000 && code < 3000) throw new DOMException('code', 'InvalidAccessError');
    this.closes.push(code === undefined ? [] : [code, reason]);
    this.onclose?.({ code: code ?? 1005, reason: reason ?? '' });
    this.#wake?.();
  }

  /** Resolves when something was sent or closed. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

const opening = (outer: Outer) => outer.onopen?.();

async function client(made: (outer: Outer) => void, connectTimeout?: number) {
  Outer.made = made;
  const { network, guest } = await setUp(async () => new Response(), { WebSocket: Outer as never, ...(connectTimeout !== undefined && { connectTimeout }) });
  const http = await createHttp({ connect: () => network.connect({ host: '10.0.0.2', port: 80 }) });
  return { ...http, guest, network };
}

test('fetch: a WebSocket is opened with the guest’s subprotocols, and carries both kinds of messages', async () => {
  const { openWebSocket } = await client((outer) => {
    outer.protocol = 'b';
    opening(outer);
  });
  const socket = await openWebSocket('ws://example.test:8000/path?a', { protocols: ['a', 'b'] });
  const outer = Outer.latest;
  equal(outer.url, 'ws://example.test:8000/path?a');
  deepEqual(outer.protocols, ['a', 'b']);
  equal(outer.binaryType, 'arraybuffer');
  equal(socket.protocol, 'b');
  const writer = socket.writable.getWriter();
  await writer.write('text');
  await writer.write(Uint8Array.of(1, 2));
  await outer.until(() => outer.sent.length === 2);
  deepEqual(outer.sent, ['text', Uint8Array.of(1, 2)]);
  const reader = socket.readable.getReader();
  outer.onmessage?.({ data: 'back' });
  outer.onmessage?.({ data: Uint8Array.of(3).buffer });
  equal((await reader.read()).value, 'back');
  deepEqual((await reader.read()).value, Uint8Array.of(3));
  await socket.close({ code: 4000, reason: 'done' });
  await outer.until(() => outer.closes.length > 0);
  deepEqual(outer.closes[0], [4000, 'done']);
});

test('fetch: messages that come with the opening are not lost, and the server’s end is the guest’s', async () => {
  for (const [code, seen] of [
    [1000, 1000],
    [1001, 1001],
    [1005, 1005],
    [1006, 1006],
    [4005, 4005],
  ] as const) {
    const { openWebSocket } = await client((outer) => {
      opening(outer);
      if (code !== 1006) outer.onmessage?.({ data: 'early' });
      outer.onclose?.({ code, reason: '' });
    });
    const socket = await openWebSocket('ws://a/');
    const reader = socket.readable.getReader();
    if (code !== 1006) equal((await reader.read()).value, 'early');
    await reader.read().catch(() => undefined);
    equal((await socket.closed).code, seen);
  }
});

test('fetch: a guest that breaks off, or says a code that pages may not, closes the page’s WebSocket', async () => {
  const { openWebSocket, network } = await client(opening);
  await openWebSocket('ws://a/');
  const broken = Outer.latest;
  network.opened.at(-1)!.reset();
  await broken.until(() => broken.closes.length > 0);
  deepEqual(broken.closes[0], []);
});

test('fetch: a full WebSocket holds the guest back', async () => {
  const { openWebSocket } = await client(opening);
  const socket = await openWebSocket('ws://a/');
  const outer = Outer.latest;
  outer.bufferedAmount = 2 << 20;
  const writer = socket.writable.getWriter();
  await writer.write('first');
  await writer.write('second');
  await outer.until(() => outer.sent.length === 1);
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setTimeout(resolve));
  deepEqual(outer.sent, ['first']);
  outer.bufferedAmount = 0;
  await outer.until(() => outer.sent.length === 2);
});

test('fetch: a guest that does not read is broken off before the messages for it fill the memory', async () => {
  const { openWebSocket } = await client(opening);
  const socket = await openWebSocket('ws://a/');
  const outer = Outer.latest;
  const message = new ArrayBuffer(1 << 20);
  let taken = 0;
  while (outer.closes.length === 0 && taken < 100) {
    outer.onmessage?.({ data: message });
    taken += 1;
  }
  ok(taken <= 18, `${taken} MiB were taken`);
  const reader = socket.readable.getReader();
  await rejects(async () => {
    for (;;) if ((await reader.read()).done) return;
  });
});

test('fetch: a WebSocket that fails, does not open in time, or is no WebSocket is refused', async () => {
  const failing = await client((outer) => {
    outer.onerror?.();
    outer.onclose?.({ code: 1006, reason: '' });
  });
  await rejects(failing.openWebSocket('ws://a/'), { name: 'HttpProtocolError', message: /502/ });
  const late = await client(() => undefined, 5);
  await rejects(late.openWebSocket('ws://a/'), { name: 'HttpProtocolError', message: /502/ });
  ok(Outer.latest.closes.length > 0);
  const wrong = await client(opening);
  const peer = await wrong.guest();
  await peer.send(
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  );
  ok((await peer.until('\r\n\r\n')).startsWith('HTTP/1.1 426 '));
  ok(Outer.latest.closes.length > 0);
});

test('fetch: a page’s WebSocket that throws at once is a failure', async () => {
  class Throwing {
    constructor() {
      throw new DOMException('no', 'SyntaxError');
    }
  }
  const { network } = await setUp(async () => new Response(), { WebSocket: Throwing as never });
  const { openWebSocket } = await createHttp({ connect: () => network.connect({ host: '10.0.0.2', port: 80 }) });
  await rejects(openWebSocket('ws://a/'), { name: 'HttpProtocolError', message: /502/ });
});
