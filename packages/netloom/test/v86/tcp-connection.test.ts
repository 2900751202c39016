/** v86's face of a connection, between two stacks: one stands for the guest. */
import { TCPConnection } from '../../src/v86/index.ts';
import type { TcpConnection } from '../../src/index.ts';
import { deepEqual, equal, fillPattern, ok, pattern, test } from '../harness.ts';
import { collect, connected, pair } from '../stack/stacks.ts';

const ENDS = {
  sport: 80,
  dport: 40000,
  psrc: Uint8Array.of(10, 0, 0, 2),
  pdest: Uint8Array.of(10, 0, 0, 1),
  hsrc: new Uint8Array(6),
  hdest: new Uint8Array(6),
};

/** A connection of a guest that the page has accepted. */
async function accepted(setUp: (connection: TCPConnection) => void) {
  const both = await pair();
  const { client: guest, server } = await connected(both);
  const connection = new TCPConnection('the network', ENDS, () => server);
  setUp(connection);
  equal(connection.state, 'syn-received');
  connection.accept();
  return { connection, guest: guest as TcpConnection, close: () => both.close() };
}

test('v86 TCPConnection: fields are the guest’s view', async () => {
  const connection = new TCPConnection('the network', ENDS, () => {
    throw new Error('not accepted');
  });
  deepEqual([connection.tuple, connection.net, connection.sport, connection.dport], ['10.0.0.1:40000:10.0.0.2:80', 'the network', 80, 40000]);
  equal(connection.accepted, false);
});

test('v86 TCPConnection: echo, half-close and the end of both', async () => {
  const events: string[] = [];
  let closed = () => {};
  const over = new Promise<void>((resolve) => void (closed = resolve));
  const { connection, guest, close } = await accepted((connection) => {
    connection.on('data', (bytes) => void connection.write(bytes));
    connection.on('shutdown', () => {
      events.push(`shutdown in ${connection.state}`);
      connection.writev([Uint8Array.of(7), Uint8Array.of(8)]);
      connection.close();
    });
    connection.on('close', (error) => {
      events.push(`close in ${connection.state}: ${error}`);
      closed();
    });
  });
  const bytes = pattern(200_000);
  const sent = (async () => {
    await guest.write(bytes);
    await guest.writable.close();
  })();
  const received = await collect(guest);
  await sent;
  await over;
  deepEqual(received.subarray(0, bytes.length), bytes);
  deepEqual([...received.subarray(bytes.length)], [7, 8]);
  deepEqual(events, ['shutdown in close-wait', 'close in closed: undefined']);
  equal(connection.bufferedAmount, 0);
  await close();
});

test('v86 TCPConnection: the guest’s reset is an error and a close', async () => {
  const { guest, events, close } = await failing((guest) => guest.reset());
  ok(guest);
  deepEqual(events, ['error ECONNRESET', 'close ECONNRESET']);
  await close();
});

async function failing(fail: (guest: TcpConnection) => void) {
  const events: string[] = [];
  let closed = () => {};
  const over = new Promise<void>((resolve) => void (closed = resolve));
  const { guest, close } = await accepted((connection) => {
    connection.on('error', ({ code }) => void events.push(`error ${code}`));
    connection.on('close', (error) => {
      events.push(`close ${error?.code}`);
      closed();
    });
  });
  fail(guest);
  await over;
  return { guest, events, close };
}

test('v86 TCPConnection: a write that finds no room says so, and drain follows', async () => {
  let drained = () => {};
  const drain = new Promise<void>((resolve) => void (drained = resolve));
  const { connection, guest, close } = await accepted((connection) => connection.on('drain', drained));
  const piece = new Uint8Array(4 << 20);
  fillPattern(piece, 0);
  equal(connection.write(piece.slice()), false);
  equal(connection.write(piece.slice()), false);
  ok(connection.bufferedAmount > 1 << 20);
  connection.close();
  const received = collect(guest);
  await drain;
  equal((await received).length, 2 * piece.length);
  await close();
});

test('v86 TCPConnection: a data listener that is busy holds the guest back', async () => {
  let release = () => {};
  const busy = new Promise<void>((resolve) => void (release = resolve));
  let heard = 0;
  const { guest, close } = await accepted((connection) =>
    connection.on('data', (bytes) => {
      heard += bytes.length;
      return busy;
    }),
  );
  const piece = new Uint8Array(1 << 20);
  const pieces = 32;
  let written = 0;
  const sent = (async () => {
    for (; written < pieces; written += 1) await guest.write(piece);
  })();
  await standstill(() => written);
  ok(written < pieces, `${written} of ${pieces} pieces found room`);
  const chunk = heard;
  ok(chunk > 0 && chunk <= 64 * 1024, 'one chunk was heard');
  release();
  await sent;
  await close();
});

/** Waits until a count stays the same for many turns of the event loop. */
async function standstill(count: () => number): Promise<void> {
  for (let [turns, last] = [0, -1]; turns < 100; turns += 1) {
    if (count() !== last) turns = 0;
    last = count();
    await new Promise((resolve) => setTimeout(resolve));
  }
}

test('v86 TCPConnection: an accept that comes too late is an error, not an exception', async () => {
  const connection = new TCPConnection('the network', ENDS, () => {
    throw new Error('the guest has given up');
  });
  const error = new Promise<Error>((resolve) => connection.on('error', resolve));
  connection.accept();
  equal((await error).message, 'Error: the guest has given up');
  equal(connection.state, 'closed');
});
