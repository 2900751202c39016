/**
 * The emulator's end of the cable: its network card, whose frames come as events from inside the guest's instruction, so that nothing here may
 * throw there.
 */
import { NetworkError } from '../errors.ts';
import type { AttachableEmulator } from './types.ts';

/** A card of v86, as far as it is looked into. */
type Ne2k = { mac: Uint8Array; mac_address_in_state?: Uint8Array | null };
type Virtio = { mac: Uint8Array; virtio?: { queues?: { is_configured?: () => unknown }[] } };
type Listener = { fn: (value: never) => void; this_value: unknown };
type Bus = {
  send(event: string, value: unknown): void;
  unregister?(event: string, listener: (value: never) => void): void;
  readonly listeners?: Record<string, Listener[]>;
  readonly pair?: Bus;
};
type Innards = { v86?: { cpu?: { devices?: { net?: Ne2k; virtio_net?: Virtio } } }; network_adapter?: unknown; bus?: Bus };
type V86Adapter = { destroy?(): void; socket?: { onerror?: unknown }; wispws?: { onerror?: unknown } };

/** What the emulator tells of. */
export type CardEvents = {
  /** A frame of the guest, valid during the call. */
  frame(frame: Uint8Array): void;
  /** The card was made, or given another address by its guest or a restored state. */
  changed(): void;
};

/** Events that v86's own backends hear. */
const BACKEND_EVENTS = ['net0-send', 'net0-mac', 'tcp-connection'];

/** The card of an emulator. */
export class Card {
  readonly #emulator: AttachableEmulator & Innards;
  readonly #bus: Bus;
  readonly #events: CardEvents;
  #mac: string | undefined;
  #attached = true;

  constructor(emulator: AttachableEmulator, events: CardEvents) {
    this.#emulator = emulator as AttachableEmulator & Innards;
    if (!this.#emulator.bus) throw new NetworkError('EINVAL', { message: 'the emulator has no bus' });
    this.#bus = this.#emulator.bus as Bus;
    this.#events = events;
    emulator.add_listener('net0-send', this.#sent);
    emulator.add_listener('net0-mac', this.#named);
    emulator.add_listener('emulator-ready', this.#ready);
  }

  /** Which card it is; `undefined` before the emulator has made it. */
  get kind(): 'ne2k' | 'virtio' | undefined {
    const { net, virtio_net: virtio } = this.#devices;
    return net ? 'ne2k' : virtio ? 'virtio' : undefined;
  }

  /** Whether the emulator has yet to make its card. */
  get pending(): boolean {
    return 'emulator_bus' in this.#emulator && this.#emulator.v86?.cpu?.devices === undefined;
  }

  /** The card's own address, as in `00:22:15:01:02:03`, which a guest of a restored state need not know. */
  get mac(): string | undefined {
    const { net, virtio_net: virtio } = this.#devices;
    const bytes = (net ?? virtio)?.mac;
    return bytes ? formatMac(bytes) : this.#mac;
  }

  /** Gives the guest a frame, if its card takes any; v86 copies it at once. */
  deliver(frame: Uint8Array): void {
    if (this.#attached && this.#takesFrames()) this.#bus.send('net0-receive', frame);
  }

  /**
   * Has an ne2k take frames to an address, and translate none itself. Restored from a state, it keeps an address of its own, and drops what is for
   * the guest's; and its own translation leaves out much of what says who is who.
   */
  answerTo(mac: Uint8Array): void {
    const { net } = this.#devices;
    if (!net) return;
    if (net.mac_address_in_state) net.mac_address_in_state = null;
    if (!net.mac.every((byte, index) => byte === mac[index])) net.mac = mac.slice();
  }

  /** The guest's address in a restored state, of a card that v86 was told to translate for. */
  get macInState(): Uint8Array | undefined {
    return this.#devices.net?.mac_address_in_state ?? undefined;
  }

  /** Tells the emulator's listeners, as its own backends do. */
  emit(event: string, value: unknown): void {
    this.#bus.pair?.send(event, value);
  }

  /** Leaves the emulator alone. */
  detach(): void {
    if (!this.#attached) return;
    this.#attached = false;
    this.#bus.unregister?.('net0-send', this.#sent);
    this.#bus.unregister?.('net0-mac', this.#named);
    this.#bus.unregister?.('emulator-ready', this.#ready);
  }

  get #devices(): { net?: Ne2k; virtio_net?: Virtio } {
    return this.#emulator.v86?.cpu?.devices ?? {};
  }

  /** Before its driver has set it up, v86's virtio card reads its queues from the guest's address 0. */
  #takesFrames(): boolean {
    const queue = this.#devices.virtio_net?.virtio?.queues?.[0];
    return !queue?.is_configured || Boolean(queue.is_configured());
  }

  readonly #sent = (frame: Uint8Array): void => {
    if (!this.#attached || !ArrayBuffer.isView(frame)) return;
    try {
      this.#events.frame(frame);
    } catch (error) {
      throwLater(error);
    }
  };

  readonly #named = (mac: string): void => {
    this.#mac = mac;
    // It is told from inside the card's constructor and its restore: what it tells of is not in place yet.
    queueMicrotask(this.#ready);
  };

  readonly #ready = (): void => {
    if (!this.#attached) return;
    this.#events.changed();
  };
}

/** Puts a backend in the emulator, in place of the one that is there, or that v86 has made meanwhile: it does so some time after `new V86`. */
export function installBackend(emulator: AttachableEmulator, backend: unknown): void {
  const { network_adapter: adapter } = emulator as Innards;
  if (adapter === backend) return;
  if (adapter) displace(emulator, adapter);
  emulator.network_adapter = backend;
}

function displace(emulator: AttachableEmulator, adapter: V86Adapter): void {
  const { bus } = emulator as Innards;
  for (const event of BACKEND_EVENTS) {
    for (const { fn, this_value: owner } of bus?.listeners?.[event] ?? []) if (owner === adapter) bus?.unregister?.(event, fn);
  }
  // It is closed while it connects, which npm's `ws` calls an error that nobody would hear.
  for (const socket of [adapter.socket, adapter.wispws]) if (socket) socket.onerror ??= () => {};
  try {
    adapter.destroy?.();
  } catch (error) {
    throwLater(error);
  }
}

/** An address as people write it. */
export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, 6), (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** Makes an error an uncaught one, outside of the guest's instruction. */
export function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
