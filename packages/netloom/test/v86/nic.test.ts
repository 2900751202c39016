/** A bus as v86 has it stands for the emulator; tests with real guests are in test/node. */
import { createStack, patch } from '../../src/index.ts';
import type { V86 } from 'v86';
import { createV86NetworkStream, type V86Emulator } from '../../src/v86/index.ts';
import { deepEqual, equal, ok, rejects, test } from '../harness.ts';

type Listener = (frame: Uint8Array) => void;

/** Listeners are called at once, inside the emulator; the frame is a view of the card's memory, which it uses again. */
function fakeEmulator() {
  const listeners = new Map<string, Listener[]>();
  const received: Uint8Array[] = [];
  const memory = new Uint8Array(4096);
  return {
    received,
    listeners,
    bus: {
      send: (event: string, frame: Uint8Array) => void (event === 'net0-receive' && received.push(frame.slice())),
      unregister: (event: string, listener: Listener) =>
        void listeners.set(
          event,
          (listeners.get(event) ?? []).filter((one) => one !== listener),
        ),
    },
    add_listener: (event: string, listener: Listener) => void listeners.set(event, [...(listeners.get(event) ?? []), listener]),
    network_adapter: undefined as undefined | { destroy(): void },
    /** The guest sends. */
    transmit(frame: ArrayLike<number>, event = 'net0-send') {
      memory.set(frame, 512);
      for (const listener of listeners.get(event) ?? []) listener(memory.subarray(512, 512 + frame.length));
      memory.fill(0);
    },
  };
}

test('v86: frames of the guest are copies', async () => {
  const emulator = fakeEmulator();
  const nic = createV86NetworkStream(emulator);
  emulator.transmit([1, 2, 3]);
  emulator.transmit([4, 5]);
  const reader = nic.readable.getReader();
  deepEqual([...(await reader.read()).value!], [1, 2, 3]);
  deepEqual([...(await reader.read()).value!], [4, 5]);
});

test('v86: what is written reaches the guest', async () => {
  const emulator = fakeEmulator();
  const nic = createV86NetworkStream(emulator);
  const writer = nic.writable.getWriter();
  await writer.write(Uint8Array.of(7));
  nic.send([Uint8Array.of(8), Uint8Array.of(9)]);
  deepEqual(
    emulator.received.map((frame) => frame[0]),
    [7, 8, 9],
  );
});

test('v86: what nobody reads is bounded', async () => {
  const emulator = fakeEmulator();
  const nic = createV86NetworkStream(emulator, { queueFrames: 3 });
  for (let number = 0; number < 10; number += 1) emulator.transmit([number]);
  equal(nic.dropped, 7);
  const reader = nic.readable.getReader();
  for (const number of [0, 1, 2]) equal((await reader.read()).value![0], number);
});

test('v86: destroy unsubscribes and ends the streams', async () => {
  const emulator = fakeEmulator();
  const nic = createV86NetworkStream(emulator);
  equal(emulator.network_adapter, nic);
  const reader = nic.readable.getReader();
  const writer = nic.writable.getWriter();
  writer.closed.catch(() => {});
  emulator.network_adapter!.destroy();
  nic.destroy();
  equal(emulator.listeners.get('net0-send')!.length, 0);
  equal((await reader.read()).done, true);
  await rejects(writer.write(Uint8Array.of(1)), { code: 'ECONNABORTED' });
  nic.send(Uint8Array.of(1));
  equal(emulator.received.length, 0);
});

test('v86: a reader that has cancelled does not disturb the guest', async () => {
  const emulator = fakeEmulator();
  const nic = createV86NetworkStream(emulator);
  await nic.readable.cancel();
  emulator.transmit([1]);
  nic.destroy();
});

test('v86: a dead stack does not throw into the guest', async () => {
  const emulator = fakeEmulator();
  const stack = await createStack();
  const tap = await stack.interfaces.createTap({ ip: '192.168.86.1/24' });
  const cable = patch(createV86NetworkStream(emulator), tap);
  await stack.interfaces.remove(tap);
  emulator.transmit(new Uint8Array(60));
  cable.close();
  await stack.close();
});

test('v86: a second NIC', async () => {
  const emulator = fakeEmulator();
  const nic = createV86NetworkStream(emulator, { nic: 1 });
  emulator.transmit([1]);
  emulator.transmit([2], 'net1-send');
  equal((await nic.readable.getReader().read()).value![0], 2);
  let error: unknown;
  try {
    createV86NetworkStream(emulator, { nic: -1 });
  } catch (thrown) {
    error = thrown;
  }
  equal((error as { code?: string }).code, 'EINVAL');
});

test('v86: two guests and a stack, by patch and by streams', async () => {
  const [one, two] = [fakeEmulator(), fakeEmulator()];
  const stack = await createStack();
  const [a, b] = [await stack.interfaces.createTap(), await stack.interfaces.createTap()];
  await stack.interfaces.createBridge({ ports: [a, b], ip: '192.168.86.1/24' });
  using _cable = patch(createV86NetworkStream(one), a);
  const nic = createV86NetworkStream(two);
  void nic.readable.pipeTo(b.writable).catch(() => {});
  void b.readable.pipeTo(nic.writable).catch(() => {});
  // A broadcast of the first guest reaches the second.
  const frame = new Uint8Array(60).fill(255, 0, 6);
  frame.set([2, 0, 0, 0, 0, 1, 0x88, 0xb5], 6);
  one.transmit(frame);
  while (two.received.length === 0) await new Promise((done) => setTimeout(done));
  deepEqual([...two.received[0]!], [...frame]);
  ok(one.received.length === 0);
  await stack.close();
});

// What v86's own types call an emulator is one for ours, and the example of tcpip.js too.
type Accepts<Emulator extends V86Emulator> = Emulator;
export type Accepted = [
  Accepts<V86>,
  Accepts<{ bus: { send(name: string, value: unknown): void }; add_listener(event: string, listener: (data: Uint8Array) => void): void }>,
];
