/** An emulator's bus and card as v86 has them, with a stack of ours in the guest's place. */
import { createStack, type NetworkStack, type TapInterface } from '../../src/index.ts';
import { createDhcp } from '../../src/dhcp/index.ts';

type Listener = { fn: (value: never) => void; this_value: unknown };

/** v86's bus: listeners are called at once, in their order, by the other end. */
export class Bus {
  listeners: Record<string, Listener[]> = {};
  pair: Bus | undefined;

  register(name: string, fn: (value: never) => void, owner?: unknown): void {
    (this.listeners[name] ??= []).push({ fn, this_value: owner });
  }

  unregister(name: string, fn: (value: never) => void): void {
    this.listeners[name] = (this.listeners[name] ?? []).filter((listener) => listener.fn !== fn);
  }

  send(name: string, value: unknown): void {
    for (const { fn, this_value: owner } of this.pair?.listeners[name] ?? []) fn.call(owner, value as never);
  }
}

export type Kind = 'ne2k' | 'virtio';

/** What `attachNetwork` is given, and what a test does in the guest's name. */
export class FakeEmulator {
  readonly bus = new Bus();
  readonly emulator_bus = new Bus();
  network_adapter: unknown;
  v86: { cpu: { devices: { net?: FakeCard; virtio_net?: FakeCard } } } | undefined;
  /** Frames that the guest has received. */
  readonly received: Uint8Array[] = [];
  /** Calls with each frame for the guest. */
  onFrame: (frame: Uint8Array) => void = () => {};
  readonly kind: Kind;
  readonly card: FakeCard;
  /** An ne2k sends from its own memory, which changes right after. */
  readonly #memory = new Uint8Array(32 << 10);

  constructor(kind: Kind, mac = [0, 0x22, 0x15, 1, 2, 3]) {
    this.kind = kind;
    this.card = { mac: Uint8Array.from(mac) };
    this.bus.pair = this.emulator_bus;
    this.emulator_bus.pair = this.bus;
  }

  add_listener(name: string, fn: (value: never) => void): void {
    this.bus.register(name, fn, this);
  }

  /** The emulator makes its card. */
  start(): this {
    this.emulator_bus.register('net0-receive', (frame: Uint8Array) => this.#receive(frame));
    this.emulator_bus.send('net0-mac', Array.from(this.card.mac, (byte) => byte.toString(16).padStart(2, '0')).join(':'));
    this.v86 = { cpu: { devices: this.kind === 'ne2k' ? { net: this.card } : { virtio_net: this.card } } };
    this.bus.send('emulator-ready', undefined);
    this.emulator_bus.send('emulator-ready', undefined);
    return this;
  }

  /** The guest sends. */
  transmit(frame: Uint8Array): void {
    if (this.kind === 'virtio') return this.emulator_bus.send('net0-send', frame.slice());
    this.#memory.set(frame, 0x4000);
    this.emulator_bus.send('net0-send', this.#memory.subarray(0x4000, 0x4000 + frame.length));
    this.#memory.fill(0xee);
  }

  /** An ne2k hears what is for it, and for all. */
  #receive(frame: Uint8Array): void {
    const mine = frame[0]! & 1 || this.kind === 'virtio' || this.card.mac.every((byte, index) => byte === frame[index]);
    if (!mine) return;
    if (this.received.length < 1000) this.received.push(frame.slice());
    this.onFrame(frame);
  }
}

export type FakeCard = { mac: Uint8Array; mac_address_in_state?: Uint8Array | null };

/** A guest with a stack of its own. */
export type Guest = {
  emulator: FakeEmulator;
  stack: NetworkStack;
  tap: TapInterface;
  /** Asks DHCP; the address that it is given. */
  lease(name?: string): Promise<string>;
  close(): Promise<void>;
};

/** Puts a stack behind an emulator's card, with the card's address, or as a restored guest with one of its own. */
export async function createGuest(kind: Kind, { ip, mac, mtu = 1500 }: { ip?: string; mac?: string; mtu?: number } = {}): Promise<Guest> {
  const stack = await createStack();
  const tap = await stack.interfaces.createTap({ mtu, ip, mac });
  const emulator = new FakeEmulator(kind);
  if (!mac) emulator.card.mac = Uint8Array.from(tap.mac.split(':'), (byte) => Number.parseInt(byte, 16));
  tap.onFrames((frames) => {
    for (const frame of frames) emulator.transmit(frame);
  });
  emulator.onFrame = (frame) => tap.send(frame);
  const lease = async (hostname?: string) => {
    const { acquire } = await createDhcp(stack);
    const { binding } = await acquire({ interface: tap, hostname });
    return binding!.ip;
  };
  return { emulator, stack, tap, lease, close: () => stack.close() };
}

/** Frames are hard to tell apart by eye: Ethernet's three fields and a payload of zeros. */
export function frame(destination: readonly number[], source: readonly number[], type = 0x88b5, length = 60): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(destination, 0);
  bytes.set(source, 6);
  bytes.set([type >> 8, type & 255], 12);
  return bytes;
}

export const BROADCAST = [255, 255, 255, 255, 255, 255] as const;
