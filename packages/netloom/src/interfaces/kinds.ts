import { parseMacAddress } from '../wire/address.ts';
import type { Engine } from '../engine/engine.ts';
import { FrameInterface } from './frames.ts';
import { Interface, type InterfaceOptions, type Tap } from './interface.ts';

/** What a loopback interface may be given. */
export type LoopbackInterfaceOptions = InterfaceOptions;
/** What a tun interface may be given. */
export type TunInterfaceOptions = InterfaceOptions;
/** What a tap interface may be given. */
export type TapInterfaceOptions = InterfaceOptions & {
  /** Its MAC address. Default: a random one, locally administered. */
  mac?: string;
};
/** What a bridge may be given. */
export type BridgeInterfaceOptions = TapInterfaceOptions & {
  /** The taps that it joins. */
  ports: TapInterface[];
};

/** Leads back to the stack itself. */
export class LoopbackInterface extends Interface {
  readonly type = 'loopback';

  /** @internal */
  constructor(engine: Engine, name: string, options: LoopbackInterfaceOptions) {
    super(engine, name, 'loopback', options);
  }

  override watch(tap: Tap): void {
    super.watch(tap);
    // What it sends is what it receives: one packet, told once.
    this.engine.watched.set(this.id, (packet) => this.taps.forEach((each) => each(packet, 'out')));
  }

  override unwatch(tap: Tap): void {
    super.unwatch(tap);
    if (this.taps.size === 0) this.engine.watched.delete(this.id);
  }

  override end(): void {
    super.end();
    this.engine.watched.delete(this.id);
  }
}

/** Carries bare IP packets, as a VPN does: one packet per chunk. */
export class TunInterface extends FrameInterface {
  readonly type = 'tun';

  /** @internal */
  constructor(engine: Engine, name: string, options: TunInterfaceOptions) {
    super(engine, name, 'tun', options);
  }
}

/** An Ethernet NIC: one frame without FCS per chunk. */
export class TapInterface extends FrameInterface {
  readonly type = 'tap';
  /** Its MAC address. */
  readonly mac: string;
  /** The bridge that it is a port of. @internal */
  bridge: BridgeInterface | undefined;

  /** @internal */
  constructor(engine: Engine, name: string, options: TapInterfaceOptions, mac: Uint8Array) {
    super(engine, name, 'tap', options, mac);
    this.mac = parseMacAddress(mac);
  }
}

/** A switch between taps, with the stack as one more of its ports. */
export class BridgeInterface extends Interface {
  readonly type = 'bridge';
  /** Its MAC address. */
  readonly mac: string;
  readonly #ports: TapInterface[];

  /** @internal */
  constructor(engine: Engine, name: string, options: BridgeInterfaceOptions, mac: Uint8Array) {
    super(engine, name, 'bridge', options, mac);
    this.mac = parseMacAddress(mac);
    this.#ports = [...options.ports];
    for (const port of this.#ports) {
      port.bridge = this;
      engine.exports.join_bridge(this.id, port.id);
    }
  }

  /** The taps that it joins. */
  get ports(): readonly TapInterface[] {
    return this.#ports;
  }

  /** Lets a tap go. @internal */
  leave(port: TapInterface): void {
    const place = this.#ports.indexOf(port);
    if (place < 0) return;
    this.#ports.splice(place, 1);
    port.bridge = undefined;
    if (!this.engine.failure) this.engine.exports.leave_bridge(port.id);
  }

  override end(): void {
    super.end();
    for (const port of [...this.#ports]) this.leave(port);
  }
}

/** An interface of a stack. */
export type NetworkInterface = LoopbackInterface | TunInterface | TapInterface | BridgeInterface;
