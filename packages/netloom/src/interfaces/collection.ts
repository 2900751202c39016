import { parseMac } from '../engine/address.ts';
import { generateMacAddress } from '../wire/address.ts';
import type { Engine } from '../engine/engine.ts';
import { NetworkError } from '../errors.ts';
import { capture, type CaptureOptions } from './capture.ts';
import {
  BridgeInterface,
  LoopbackInterface,
  TapInterface,
  TunInterface,
  type BridgeInterfaceOptions,
  type LoopbackInterfaceOptions,
  type NetworkInterface,
  type TapInterfaceOptions,
  type TunInterfaceOptions,
} from './kinds.ts';

const ORDER = ['loopback', 'tun', 'tap', 'bridge'] as const;

/** The interfaces of a stack, in the order of their kinds (loopback, tun, tap, bridge) and of their making. */
export class Interfaces implements Iterable<NetworkInterface> {
  readonly #engine: Engine;
  readonly #all = new Set<NetworkInterface>();
  readonly #made = { loopback: 0, tun: 0, tap: 0, bridge: 0 };

  /** @internal */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Iterates in the order of creation, by kind: loopback, tun, tap, bridge. */
  *[Symbol.iterator](): IterableIterator<NetworkInterface> {
    for (const type of ORDER) for (const one of [...this.#all]) if (one.type === type) yield one;
  }

  /**
   * Makes a loopback interface. A stack has one from the start, unless told otherwise.
   *
   * @throws NetworkError `EINVAL`
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   *
   * const stack = await createStack({ initializeLoopback: false });
   * const loopback = await stack.interfaces.createLoopback({ ip: '127.0.0.1/8' });
   * console.log(loopback.ip, loopback.netmask); // 127.0.0.1 255.0.0.0
   * ```
   */
  async createLoopback(options: LoopbackInterfaceOptions = {}): Promise<LoopbackInterface> {
    return this.#add('loopback', (name) => new LoopbackInterface(this.#engine, name, options));
  }

  /**
   * Makes a tun interface, which carries bare IP packets.
   *
   * @throws NetworkError `EINVAL`
   * @example
   * ```ts
   * import { createStack, patch } from 'netloom';
   *
   * const [a, b] = await Promise.all([createStack(), createStack()]);
   * patch(await a.interfaces.createTun({ ip: '10.0.0.1/24' }), await b.interfaces.createTun({ ip: '10.0.0.2/24' }));
   * ```
   */
  async createTun(options: TunInterfaceOptions = {}): Promise<TunInterface> {
    return this.#add('tun', (name) => new TunInterface(this.#engine, name, options));
  }

  /**
   * Makes a tap interface, which carries Ethernet frames.
   *
   * @throws NetworkError `EINVAL`
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   *
   * const stack = await createStack();
   * const tap = await stack.interfaces.createTap({ mac: '02:00:00:00:00:01', ip: '192.168.1.1/24', mtu: 9000 });
   * console.log(tap.name, tap.mac, tap.mtu); // tap0 02:00:00:00:00:01 9000
   * ```
   */
  async createTap(options: TapInterfaceOptions = {}): Promise<TapInterface> {
    const mac = options.mac === undefined ? generateMacAddress() : parseMac(options.mac);
    return this.#add('tap', (name) => new TapInterface(this.#engine, name, options, mac));
  }

  /**
   * Joins taps by a switch, of which the stack is one more port.
   *
   * @throws NetworkError `EINVAL`, also if a port is not a tap of this stack, or in a bridge already
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   *
   * const router = await createStack();
   * const ports = await Promise.all([router.interfaces.createTap(), router.interfaces.createTap()]);
   * const bridge = await router.interfaces.createBridge({ ports, ip: '192.168.1.1/24' });
   * console.log(bridge.ports.length); // 2
   * ```
   */
  async createBridge(options: BridgeInterfaceOptions): Promise<BridgeInterface> {
    const mac = options.mac === undefined ? generateMacAddress() : parseMac(options.mac);
    const ports = options.ports ?? [];
    const fit = ports.every((port) => port instanceof TapInterface && this.#all.has(port) && !port.bridge);
    if (!fit || new Set(ports).size < ports.length) {
      throw new NetworkError('EINVAL', { message: 'a port must be a tap of this stack that is in no bridge' });
    }
    return this.#add('bridge', (name) => new BridgeInterface(this.#engine, name, { ...options, ports }, mac));
  }

  /**
   * Removes an interface. Connections through it are reset, its streams end.
   *
   * @throws NetworkError `EINVAL` if it is not one of this stack's
   */
  async remove(one: NetworkInterface): Promise<void> {
    if (!this.#all.delete(one)) throw new NetworkError('EINVAL', { message: 'not an interface of this stack' });
    if (one instanceof TapInterface) one.bridge?.leave(one);
    one.end();
    if (!this.#engine.failure) this.#engine.exports.close_interface(one.id);
    this.#engine.wake();
  }

  /**
   * What crosses an interface, as a file of pcapng that Wireshark reads. Of a bridge it is what crosses its ports. What the reader does not take in
   * time is left out, so that memory stays bounded.
   *
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   *
   * const stack = await createStack();
   * const tap = await stack.interfaces.createTap({ ip: '10.0.0.1/24' });
   * const reader = stack.interfaces.capture(tap).getReader();
   * const { value } = await reader.read();
   * console.log(value?.length); // the file's header
   * await reader.cancel();
   * ```
   */
  capture(one: NetworkInterface, options?: CaptureOptions): ReadableStream<Uint8Array> {
    return capture(one, options);
  }

  /** @internal */
  named(name: string): NetworkInterface | undefined {
    return [...this.#all].find((one) => one.name === name);
  }

  /** @internal */
  numbered(id: number): NetworkInterface | undefined {
    return [...this.#all].find((one) => one.id === id);
  }

  /** MTU of the interface that has an address. @internal */
  mtuOf(address: string): number {
    for (const one of this.#all) if (one.has(address)) return one.mtu;
    return 1500;
  }

  #add<T extends NetworkInterface>(type: T['type'], make: (name: string) => T): T {
    if (this.#engine.failure) throw this.#engine.failure;
    const one = make(`${type === 'loopback' ? 'lo' : type}${this.#made[type]}`);
    this.#made[type] += 1;
    this.#all.add(one);
    return one;
  }
}
