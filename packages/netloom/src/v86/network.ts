import { NetworkError } from '../errors.ts';
import type { Lan, Port, TcpFlow } from '../lan/types.ts';
import type { StreamConnection } from '../transport/types.ts';
import { Card, installBackend, throwLater } from './card.ts';
import { createGuestServer, type GuestServer } from './serve/index.ts';
import { joinSegment, type Member, type Segment } from './segment.ts';
import { readTarget, readTimeouts, type NetworkTarget } from './settings.ts';
import type { BackendStatus } from './stage.ts';
import { TCPConnection, type TcpEnds } from './tcp-connection.ts';
import type { AttachableEmulator, AttachOptions, DeviceSettings, FetchHook, NetworkState, NetworkTimeouts } from './types.ts';

/** Frames of the guest that wait for the LAN's module to load. */
const WAITING_FRAMES = 64;
/** Full frames that the ring of an ne2k holds. */
const NE2K_BURST = 8;
const NE2K_MTU = 1500;

/** How to reach a guest. */
export type DialOptions = {
  /** Address of the guest, or the name of its lease. Default: the guest of this network's emulator. */
  host?: string;
  /** Milliseconds until it fails with `ETIMEDOUT`. Default 30,000. */
  timeout?: number;
  /** Gives up. */
  signal?: AbortSignal;
};

/**
 * The network of one emulator: what `attachNetwork` returns, and `emulator.network_adapter`. Dispatches `statechange`.
 *
 * @example
 * ```ts
 * import type { V86Network } from 'netloom/v86';
 *
 * async function visit(network: V86Network) {
 *   network.addEventListener('statechange', () => console.log(network.state, network.active));
 *   const connection = await network.dial(7, { timeout: 5_000 });
 *   await connection.write(new TextEncoder().encode('hello guest'));
 *   await connection.writable.close();
 *   for await (const bytes of connection) console.log(new TextDecoder().decode(bytes));
 *   return (await network.serve(80).fetch('/index.html')).text();
 * }
 *
 * // await visit(attachNetwork(emulator, 'fetch'));
 * console.log(visit.name); // visit
 * ```
 */
export class V86Network extends EventTarget {
  /** Fetches for the guest; may be replaced at any time, as in v86. */
  fetch: FetchHook;
  /** Told of each connection that the guest opens, after listeners of `tcp-connection`; takes it by `accept` before it returns. May be replaced, as in v86. */
  on_tcp_connection: (connection: TCPConnection, packet: unknown) => void = () => {};
  readonly #emulator: AttachableEmulator;
  readonly #options: AttachOptions;
  readonly #timeouts: Required<NetworkTimeouts>;
  readonly #card: Card;
  readonly #member: Member;
  #device: DeviceSettings;
  #segment: Segment;
  #port: Port | undefined;
  #waiting: Uint8Array[] = [];
  readonly #plugging: (() => void)[] = [];
  #outerMac: string | undefined;
  #guestMac: Uint8Array | undefined;
  #learns = true;
  #restored = false;
  #enabled = true;
  #closed = false;
  #told: string | undefined;

  /** @internal */
  constructor(emulator: AttachableEmulator, target: NetworkTarget | undefined, options: AttachOptions) {
    super();
    this.#emulator = emulator;
    this.#options = options;
    this.#timeouts = readTimeouts(options.timeouts);
    this.#device = readTarget(target, options);
    const { fetch: hook } = options;
    this.fetch = (url, init) => (hook ?? fetch)(url, init);
    installBackend(emulator, this);
    this.#card = new Card(emulator, { frame: (frame) => this.#fromGuest(frame), changed: () => this.#cardChanged() });
    this.#member = {
      fetch: (url, init) => this.fetch(url, init),
      replugged: () => {
        this.#unplug();
        this.#plug();
      },
      changed: () => this.#changed(),
      offered: (flow) => this.#offered(flow),
    };
    this.#segment = this.#join();
    this.#cardChanged();
  }

  /**
   * Resolves once a backend works. Rejects with why none does, within `timeouts.start` for each entry of the chain; the last one goes on trying all
   * the same, which `statechange` tells of. Need not be observed.
   */
  get ready(): Promise<void> {
    return this.#segment.ready;
  }

  get state(): NetworkState {
    return this.#closed ? 'closed' : this.#enabled ? this.#segment.state : 'off';
  }

  /** Why it is down. */
  get error(): Error | undefined {
    return this.#segment.error;
  }

  /** The URL of the chain's entry that is in use; `undefined` while none is up. */
  get active(): string | undefined {
    return this.#segment.active;
  }

  /** The backends in use, in the chain's order. */
  get backends(): readonly BackendStatus[] {
    return this.#segment.backends;
  }

  /** The LAN that the guest is on, once it is loaded. */
  get lan(): Lan | undefined {
    return this.#segment.lan;
  }

  /** Whether frames pass: false is a pulled cable, which connections survive for as long as TCP does. Default true. */
  get enabled(): boolean {
    return this.#enabled;
  }

  set enabled(enabled: boolean) {
    this.#enabled = Boolean(enabled);
    this.#changed();
  }

  /**
   * Opens a connection to a port of the guest, by v86's names: listen to `connect`, `data`, `shutdown`, `close` and `error`.
   *
   * @param port 1 to 65,535
   */
  connect(port: number, options?: DialOptions): TCPConnection;
  /** As above, to another guest of the LAN. */
  connect(host: string, port: number, options?: DialOptions): TCPConnection;
  connect(first: number | string, second?: number | DialOptions, third?: DialOptions): TCPConnection {
    const options = (typeof first === 'string' ? { ...third, host: first } : (second as DialOptions | undefined)) ?? {};
    const port = Number(typeof first === 'string' ? second : first);
    const ends = { sport: 0, dport: port, psrc: bytesOfIp(this.#device.routerIp), pdest: bytesOfIp(options.host ?? this.#guestAddress()) };
    const connection = new TCPConnection(this, { ...ends, ...this.#macs() });
    this.dial(port, options).then(
      (stream) => connection.established(stream),
      (error) => connection.failed(error),
    );
    return connection;
  }

  /**
   * Opens a connection to a port of a guest, as streams.
   *
   * @throws NetworkError `ECONNREFUSED`, `ETIMEDOUT`, `EHOSTUNREACH`; `ENETUNREACH` if the network has no gateway here; `EINVAL`; the signal's reason
   */
  async dial(port: number, { host, timeout = this.#timeouts.connect, signal }: DialOptions = {}): Promise<StreamConnection> {
    signal?.throwIfAborted();
    if (!Number.isInteger(port) || port < 1 || port > 65535) throw new NetworkError('EINVAL', { message: `port must be 1 to 65,535: ${port}` });
    const until = AbortSignal.timeout(timeout);
    await this.#plugged(signal ? AbortSignal.any([signal, until]) : until).catch((error) => {
      throw !until.aborted || signal?.aborted ? error : new NetworkError('ETIMEDOUT', { syscall: 'connect', port });
    });
    const { lan, hasGateway } = this.#segment;
    if (!lan || !hasGateway) throw new NetworkError('ENETUNREACH', { syscall: 'connect', message: 'this network has no gateway in this page to connect from' });
    return lan.connect(host ?? this.#guestAddress(), port, { timeout, signal });
  }

  /** Whether something listens on a port of the guest: false too if the guest is silent for `timeout` milliseconds, 10,000 by default. */
  async tcp_probe(port: number, { timeout = 10_000, ...options }: DialOptions = {}): Promise<boolean> {
    try {
      (await this.dial(port, { timeout, ...options })).reset();
      return true;
    } catch {
      return false;
    }
  }

  /** The guest's HTTP server at a port, for the page: `fetch` and `WebSocket` to it, and a URL for an iframe. */
  serve(port: number): GuestServer {
    return createGuestServer((to, options) => this.dial(to, options), port);
  }

  /** A frame as if from the guest, as v86's adapters take it. */
  send(frame: Uint8Array): void {
    this.#fromGuest(frame);
  }

  /** A frame to the guest. */
  receive(frame: Uint8Array): void {
    if (!this.#closed && this.#enabled) this.#card.deliver(frame);
  }

  /**
   * Takes the guest to another network, and resolves as `ready` does. The guest keeps its card and its address: have it ask DHCP again.
   *
   * @throws NetworkError `EINVAL`, and nothing has changed
   */
  switchTo(target: NetworkTarget): Promise<void> {
    if (this.#closed) return Promise.reject(new NetworkError('ECONNABORTED', { message: 'the network was given up' }));
    try {
      this.#device = readTarget(target, this.#options);
    } catch (error) {
      return Promise.reject(error);
    }
    this.#leave();
    this.#segment = this.#join();
    this.#plug();
    this.#changed();
    return this.ready;
  }

  /** Leaves the emulator without a network; another may be attached. */
  detach(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#card.detach();
    this.#leave();
    for (const wake of this.#plugging.splice(0)) wake();
    if (this.#emulator.network_adapter === this) this.#emulator.network_adapter = undefined;
    this.#changed();
  }

  /** What the emulator's own `destroy` calls. */
  destroy(): void {
    this.detach();
  }

  /** Detaches it. */
  [Symbol.dispose](): void {
    this.detach();
  }

  #join(): Segment {
    const { WebSocket = globalThis.WebSocket, credentials, tls, wasm } = this.#options;
    return joinSegment(this.#device, { WebSocket, credentials, tls, wasm, timeouts: this.#timeouts }, this.#member);
  }

  /** The guest's frame, which is a view of an ne2k's memory and valid during the call. */
  #fromGuest(frame: Uint8Array): void {
    if (this.#closed || !this.#enabled) return;
    if (this.#learns && frame.length >= 14) this.#learn(frame);
    if (!this.#port) this.#plug();
    if (this.#port) this.#port.send(frame);
    else if (this.#waiting.length < WAITING_FRAMES) this.#waiting.push(frame.slice());
  }

  #learn(frame: Uint8Array): void {
    this.#learns = false;
    this.#guestMac = frame.slice(6, 12);
    this.#card.answerTo(this.#guestMac);
  }

  #cardChanged(): void {
    installBackend(this.#emulator, this);
    this.#outerMac ??= this.#card.mac;
    const { macInState } = this.#card;
    if (macInState) {
      // v86 was asked to translate.
      this.#restored = true;
      this.#card.answerTo(macInState);
    }
    this.#learns = true;
    if (this.#translates) this.#port?.translate(this.#outerMac);
    this.#plug();
  }

  /** Whether the LAN knows the guest by the card's own address, not by the one that the guest believes in. */
  get #translates(): boolean {
    return this.#device.translate || this.#restored;
  }

  /** Opens a port of the LAN, once there is one and the card is known: which it is tells how much it takes. */
  #plug(): void {
    if (this.#port || this.#closed || !this.#segment.lan) return;
    if (this.#device.nic === undefined && this.#card.pending) return;
    const ne2k = (this.#card.kind ?? this.#device.nic) === 'ne2k';
    const mtu = ne2k ? Math.min(this.#device.mtu, NE2K_MTU) : this.#device.mtu;
    const options = { mtu, ...(ne2k ? { burst: NE2K_BURST, multicastToUnicast: true } : {}) };
    this.#port = this.#segment.openPort(this.#member, options, (frame) => this.receive(frame));
    if (this.#translates) this.#port.translate(this.#outerMac);
    for (const frame of this.#waiting.splice(0)) this.#port.send(frame);
    for (const wake of this.#plugging.splice(0)) wake();
  }

  #unplug(): void {
    this.#port?.close();
    this.#port = undefined;
  }

  /** Leaves the network, and drops what waited for it. */
  #leave(): void {
    this.#unplug();
    this.#waiting = [];
    this.#segment.leave(this.#member);
  }

  /** Offers a connection of the guest to the page. */
  #offered(flow: TcpFlow): boolean {
    const { source, destination, guest } = flow;
    const ends: TcpEnds = {
      sport: destination.port,
      dport: source.port,
      psrc: bytesOfIp(destination.address),
      pdest: bytesOfIp(source.address),
      hsrc: this.#macs().hsrc,
      hdest: bytesOfMac(guest.mac),
    };
    const connection = new TCPConnection(this, ends, () => flow.accept());
    const packet = { ipv4: { src: ends.pdest, dest: ends.psrc }, tcp: { sport: source.port, dport: destination.port, syn: true } };
    try {
      this.#card.emit('tcp-connection', connection);
      if (!connection.accepted) this.on_tcp_connection(connection, packet);
    } catch (error) {
      throwLater(error);
    }
    return connection.accepted;
  }

  /** The latest IPv4 address of this emulator's guest; the one that it would be given, if it has none yet. */
  #guestAddress(): string {
    const port = this.#port?.number;
    const guests = this.#segment.lan?.guests().filter((guest) => guest.port === port) ?? [];
    return guests.flatMap(({ addresses }) => addresses).find((address) => !address.includes(':')) ?? this.#device.vmIp;
  }

  #macs(): { hsrc: Uint8Array; hdest: Uint8Array } {
    return { hsrc: bytesOfMac(this.#device.routerMac), hdest: this.#guestMac ?? new Uint8Array(6) };
  }

  /** Waits for the LAN. */
  async #plugged(signal: AbortSignal): Promise<void> {
    while (!this.#port) {
      if (this.#closed) throw new NetworkError('ECONNABORTED', { message: 'the network was given up' });
      if (this.#segment.failure) throw this.#segment.failure;
      await new Promise<void>((resolve, reject) => {
        const abort = () => reject(signal.reason);
        if (signal.aborted) return abort();
        signal.addEventListener('abort', abort, { once: true });
        this.#plugging.push(() => {
          signal.removeEventListener('abort', abort);
          resolve();
        });
      });
    }
  }

  #changed(): void {
    if (this.#segment.failure) for (const wake of this.#plugging.splice(0)) wake();
    const told = `${this.state} ${this.active}`;
    if (told === this.#told) return;
    this.#told = told;
    this.dispatchEvent(new Event('statechange'));
  }
}

/** Of a name, or of IPv6, for which v86 has no place, zeros. */
function bytesOfIp(address: string): Uint8Array {
  const bytes = address.split('.').map(Number);
  return bytes.length === 4 && bytes.every(Number.isInteger) ? Uint8Array.from(bytes) : new Uint8Array(4);
}

function bytesOfMac(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(':'), (byte) => Number.parseInt(byte, 16));
}
