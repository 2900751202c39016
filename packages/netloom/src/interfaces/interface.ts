import { MEDIUM, NET_BYTES } from '../engine/abi.ts';
import { netText, netmaskText, addressText, parseNet, type Net } from '../engine/address.ts';
import type { Engine } from '../engine/engine.ts';
import { NetworkError } from '../errors.ts';
import { inRange } from '../tcp/options.ts';

/** What every kind of interface may be given. */
export type InterfaceOptions = {
  /** Address with prefix, as `192.168.1.1/24`. */
  ip?: string;
  /** Further addresses with prefix, IPv4 or IPv6. */
  addresses?: string[];
  /** Largest packet in bytes, 68 to 65,535; IPv6 needs 1,280. Default 1,500, of loopback 65,535. */
  mtu?: number;
  /** Whether what is forwarded out by it takes its address (NAPT, RFC 3022), as a router to the outside does. Default false. */
  masquerade?: boolean;
  /** Bytes of frames that may wait to be taken; what comes on top is dropped. Default 1 MiB. */
  queueSize?: number;
  /** Full segments that are sent in one go before the other end answers, for NICs with a small ring, as v86's ne2k with its 8. Default: no such limit. */
  burst?: number;
};

/** What crossed an interface since it was made. */
export type InterfaceStats = { framesReceived: number; bytesReceived: number; framesSent: number; bytesSent: number };

/** Hears of each frame or packet that crosses an interface, valid during the call. */
export type Tap = (frame: Uint8Array, direction: 'in' | 'out') => void;

const QUEUE_BYTES = 1 << 20;
const MAX_ADDRESSES = 64;

/** What all interfaces have. */
export abstract class Interface {
  abstract readonly type: 'loopback' | 'tun' | 'tap' | 'bridge';
  /** As `tap0`: its kind, and how many of that kind the stack had before. */
  readonly name: string;
  /** Largest packet in bytes. */
  readonly mtu: number;
  /** Its number in the machine. @internal */
  readonly id: number;
  /** @internal */
  readonly engine: Engine;
  /** Who watches what crosses it. @internal */
  readonly taps = new Set<Tap>();
  #nets: Net[] = [];
  #texts = new Set<string>();

  /** @internal */
  constructor(engine: Engine, name: string, kind: keyof typeof MEDIUM, options: InterfaceOptions, mac?: Uint8Array) {
    const { ip, addresses = [], mtu = kind === 'loopback' ? 65_535 : 1500, masquerade = false, queueSize = QUEUE_BYTES, burst = 0 } = options;
    this.engine = engine;
    this.name = name;
    this.mtu = inRange('mtu', mtu, 68, 65_535);
    this.#keep(parseAll(ip === undefined ? addresses : [ip, ...addresses]));
    const queueBytes = inRange('queueSize', queueSize, 1, 1 << 30);
    const frames = inRange('burst', burst, 0, 65_535);
    const { bytes, arena, exports } = engine;
    bytes.set(mac ?? new Uint8Array(6), arena);
    putNets(bytes, arena + 6, this.#nets);
    this.id = exports.open_interface(MEDIUM[kind], this.mtu, queueBytes, frames, masquerade ? 1 : 0, this.#nets.length);
    engine.wake();
  }

  /** Its first IPv4 address, or else its first. */
  get ip(): string | undefined {
    const net = this.#first;
    return net && addressText(net.address, 0, net.family);
  }

  /** The netmask of {@link ip}; of IPv6 the length of the prefix. */
  get netmask(): string | undefined {
    const net = this.#first;
    return net && (net.family === 4 ? netmaskText(net.prefix) : `/${net.prefix}`);
  }

  /** Its addresses with their prefixes. */
  get addresses(): string[] {
    return this.#nets.map(netText);
  }

  /** Whether an address is one of its own. @internal */
  has(address: string): boolean {
    return this.#texts.has(address);
  }

  /** @internal */
  get nets(): readonly Net[] {
    return this.#nets;
  }

  /**
   * Gives it other addresses, each with its prefix. Connections from those that it loses are reset; what listens on all addresses stays.
   *
   * @throws NetworkError `EINVAL`
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   *
   * const stack = await createStack();
   * const tap = await stack.interfaces.createTap();
   * await tap.setAddresses(['10.0.0.7/24', 'fd00::7/64']);
   * ```
   */
  async setAddresses(addresses: readonly string[]): Promise<void> {
    const nets = parseAll(addresses);
    if (this.engine.failure) throw this.engine.failure;
    const { bytes, arena, exports } = this.engine;
    putNets(bytes, arena, nets);
    exports.set_addresses(this.id, nets.length);
    this.#keep(nets);
    this.engine.wake();
  }

  /** Gives it one more address with its prefix. @throws NetworkError `EINVAL` */
  async addAddress(address: string): Promise<void> {
    const text = netText(parseNet(address));
    await this.setAddresses([...this.addresses.filter((other) => other !== text), text]);
  }

  /** Takes an address from it; one that it has not is harmless. @throws NetworkError `EINVAL` */
  async removeAddress(address: string): Promise<void> {
    const text = netText(parseNet(address));
    await this.setAddresses(this.addresses.filter((other) => other !== text));
  }

  /** What crossed it. */
  stats(): InterfaceStats {
    const { exports } = this.engine;
    if (this.engine.failure || !exports.interface_counters(this.id)) return { framesReceived: 0, bytesReceived: 0, framesSent: 0, bytesSent: 0 };
    const { words } = this.engine;
    const count = (place: number) => words[2 * place]! + words[2 * place + 1]! * 2 ** 32;
    return { framesReceived: count(0), bytesReceived: count(1), framesSent: count(2), bytesSent: count(3) };
  }

  /** Calls with what crosses it. @internal */
  watch(tap: Tap): void {
    this.taps.add(tap);
  }

  /** Calls no more. @internal */
  unwatch(tap: Tap): void {
    this.taps.delete(tap);
  }

  /** The interface is gone. @internal */
  end(): void {
    this.taps.clear();
  }

  #keep(nets: Net[]): void {
    this.#nets = nets;
    this.#texts = new Set(nets.map((net) => addressText(net.address, 0, net.family)));
  }

  get #first(): Net | undefined {
    return this.#nets.find((net) => net.family === 4) ?? this.#nets[0];
  }
}

function parseAll(addresses: readonly string[]): Net[] {
  if (addresses.length > MAX_ADDRESSES) throw new NetworkError('EINVAL', { message: `more than ${MAX_ADDRESSES} addresses` });
  return addresses.map(parseNet);
}

function putNets(bytes: Uint8Array, at: number, nets: readonly Net[]): void {
  nets.forEach(({ family, prefix, address }, place) => {
    const start = at + place * NET_BYTES;
    bytes[start] = family;
    bytes[start + 1] = prefix;
    bytes.set(address, start + 2);
  });
}
