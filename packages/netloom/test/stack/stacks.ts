/**
 * Stacks for tests, joined in pairs.
 */
import {
  connectStreams,
  createStack,
  patch,
  type NetworkStack,
  type TapInterface,
  type TapInterfaceOptions,
  type TcpConnection,
  type TcpListener,
  type TunInterface,
} from '../../src/index.ts';

export const A = '10.0.0.1';
export const B = '10.0.0.2';

export type Pair = { a: NetworkStack; b: NetworkStack; ta: TapInterface | TunInterface; tb: TapInterface | TunInterface; close(): Promise<void> };
export type PairOptions = TapInterfaceOptions & { kind?: 'tap' | 'tun'; by?: 'patch' | 'streams' | 'none' };

/** Two stacks, joined. */
export async function pair({ kind = 'tap', by = 'patch', ...options }: PairOptions = {}): Promise<Pair> {
  const [a, b] = await Promise.all([createStack(), createStack()]);
  const make = (stack: NetworkStack, ip: string) =>
    kind === 'tap' ? stack.interfaces.createTap({ ip: `${ip}/24`, ...options }) : stack.interfaces.createTun({ ip: `${ip}/24`, ...options });
  const [ta, tb] = await Promise.all([make(a, A), make(b, B)]);
  if (by === 'patch') patch(ta, tb);
  if (by === 'streams') connectStreams(ta, tb);
  const close = async () => {
    await Promise.all([a.close(), b.close()]);
  };
  return { a, b, ta, tb, close };
}

export type Ends = { client: TcpConnection; server: TcpConnection };

/** A connection between two stacks, and both of its ends. */
export async function connected({ a, b }: { a: NetworkStack; b: NetworkStack }, host = B, port = 80): Promise<Ends & { listener: TcpListener }> {
  const listener = await b.tcp.listen({ port });
  const [client, server] = await Promise.all([a.tcp.connect({ host, port }), listener.accept()]);
  return { client, server: server!, listener };
}

/** A stack with a connection to itself. */
export async function looped(): Promise<Ends & { stack: NetworkStack; listener: TcpListener }> {
  const stack = await createStack();
  return { stack, ...(await connected({ a: stack, b: stack }, '127.0.0.1')) };
}

/** All bytes up to the end. */
export async function collect(connection: TcpConnection): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of connection) chunks.push(chunk);
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** What happened by the time that everything due now has. */
export const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

/** Waits until something holds. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** Numbers from 0 to 1 that are the same in every run (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Joins two interfaces by a link that loses, doubles and reorders frames. */
export function badLink(
  from: TapInterface | TunInterface,
  to: TapInterface | TunInterface,
  faults: { loss?: number; reorder?: number; double?: number; seed: number },
): { lost: number; late: number } {
  const { loss = 0, reorder = 0, double = 0, seed } = faults;
  const next = random(seed);
  const counts = { lost: 0, late: 0 };
  const held: Uint8Array[] = [];
  from.onFrames((frames) => {
    for (const frame of frames) {
      if (next() < loss) {
        counts.lost += 1;
      } else if (next() < reorder) {
        counts.late += 1;
        held.push(frame.slice());
        setTimeout(() => to.send(held.splice(0)));
      } else {
        to.send(next() < double ? [frame, frame] : frame);
      }
    }
  });
  return counts;
}
