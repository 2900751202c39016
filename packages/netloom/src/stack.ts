import { putInArena, type Context } from './context.ts';
import { familyOf } from './engine/address.ts';
import { dropsOf } from './engine/drops.ts';
import { Engine } from './engine/engine.ts';
import { carryLoopback } from './engine/loopback.ts';
import { loadModule, type WasmSource } from './engine/module.ts';
import { NetworkError } from './errors.ts';
import { Interfaces } from './interfaces/collection.ts';
import type { InterfaceStats } from './interfaces/interface.ts';
import type {
  BridgeInterface,
  BridgeInterfaceOptions,
  LoopbackInterface,
  LoopbackInterfaceOptions,
  NetworkInterface,
  TapInterface,
  TapInterfaceOptions,
  TunInterface,
  TunInterfaceOptions,
} from './interfaces/kinds.ts';
import { Names, type NameServer } from './names.ts';
import { PingTransport, type PingSession, type PingSessionOptions } from './ping/session.ts';
import { Routes } from './routes.ts';
import type { TcpConnection } from './tcp/connection.ts';
import type { TcpListener } from './tcp/listener.ts';
import { inRange } from './tcp/options.ts';
import { TcpTransport } from './tcp/transport.ts';
import type { DatagramSocketOptions, StreamConnectOptions, StreamListenOptions } from './transport/types.ts';
import type { UdpSocket } from './udp/socket.ts';
import { UdpTransport } from './udp/transport.ts';

/** What a stack is made with. */
export type StackOptions = {
  /** Whether it begins with a loopback interface of 127.0.0.1/8 and ::1/128. Default true. */
  initializeLoopback?: boolean;
  /** Who resolves names. Default 127.0.0.1, port 53: a server on the stack itself. */
  nameServer?: NameServer;
  /** The WebAssembly module. Default: the one inside the package. */
  wasm?: WasmSource;
  /** Whether packets for others are sent on between interfaces, as a router does. Default true. */
  forwarding?: boolean;
  /** Bytes that all TCP connections may hold together, both ways. Default 256 MiB, taken as needed. */
  bufferSize?: number;
  /** How TCP answers to loss (RFC 9438, RFC 5681). Default `cubic`. */
  congestion?: 'cubic' | 'reno';
  /** Whether TCP timestamps are used with peers that do (RFC 7323). Default true. */
  timestamps?: boolean;
};

/** What a stack has done and holds. */
export type StackStats = {
  /** Open TCP connections, those in TIME-WAIT included. */
  connections: number;
  /** Bytes of WebAssembly memory. */
  memoryBytes: number;
  /** What was dropped, by reason; reasons that did not occur are left out. */
  drops: Record<string, number>;
  /** What crossed each interface, by name. */
  interfaces: Record<string, InterfaceStats>;
};

const BUFFER_BYTES = 256 << 20;
const RTO_MIN_US = 200_000;

/** A network stack: an end of its own on several networks. */
export class NetworkStack implements AsyncDisposable {
  /** Its interfaces. */
  readonly interfaces: Interfaces;
  /** TCP. */
  readonly tcp: TcpTransport;
  /** UDP. */
  readonly udp: UdpTransport;
  /** ICMP echo. */
  readonly ping: PingTransport;
  /** Its routes. */
  readonly routes: Routes;
  /** Resolved: a stack is ready when `createStack` gives it. */
  readonly ready: Promise<void> = Promise.resolve();
  readonly #engine: Engine;

  /** @internal */
  constructor(module: WebAssembly.Module, options: StackOptions) {
    const { forwarding = true, timestamps = true, congestion = 'cubic', bufferSize = BUFFER_BYTES } = options;
    const bufferBytes = inRange('bufferSize', bufferSize, 1 << 16, 2 ** 31);
    const engine: Engine = new Engine(module);
    carryLoopback(engine);
    crypto.getRandomValues(engine.bytes.subarray(engine.arena, engine.arena + 32));
    engine.exports.start(forwarding ? 1 : 0, timestamps ? 1 : 0, congestion === 'cubic' ? 1 : 0, RTO_MIN_US, bufferBytes);
    this.#engine = engine;
    this.interfaces = new Interfaces(engine);
    const context: Context = {
      engine,
      resolve: (host, signal) => (familyOf(host) === 0 ? names.lookup(host, signal) : Promise.resolve(host)),
      put: (address, offset) => putInArena(engine, address, offset),
      mtuOf: (address) => this.interfaces.mtuOf(address),
      interfaceOf: (name) => {
        const one = this.interfaces.named(name);
        if (!one) throw new NetworkError('EINVAL', { message: `no interface is named ${name}` });
        return one.id;
      },
      check: (signal) => {
        if (engine.failure) throw engine.failure;
        signal?.throwIfAborted();
      },
    };
    this.tcp = new TcpTransport(context);
    this.udp = new UdpTransport(context);
    this.ping = new PingTransport(context);
    this.routes = new Routes(engine, this.interfaces);
    const names = new Names(this.udp, this.tcp, engine, options.nameServer);
  }

  /** What it has done and holds. */
  stats(): StackStats {
    const interfaces = Object.fromEntries([...this.interfaces].map((one) => [one.name, one.stats()]));
    if (this.#engine.failure) return { connections: 0, memoryBytes: 0, drops: {}, interfaces };
    const connections = this.#engine.exports.flows();
    return { connections, memoryBytes: this.#engine.bytes.length, drops: dropsOf(this.#engine), interfaces };
  }

  /** Ends everything: connections break off, listeners, sockets and sessions close, interfaces end. Later calls reject. */
  async close(): Promise<void> {
    for (const one of this.interfaces) one.end();
    this.#engine.close();
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @deprecated `interfaces.createLoopback` */
  createLoopbackInterface(options: LoopbackInterfaceOptions): Promise<LoopbackInterface> {
    return this.interfaces.createLoopback(options);
  }

  /** @deprecated `interfaces.createTun` */
  createTunInterface(options: TunInterfaceOptions): Promise<TunInterface> {
    return this.interfaces.createTun(options);
  }

  /** @deprecated `interfaces.createTap` */
  createTapInterface(options?: TapInterfaceOptions): Promise<TapInterface> {
    return this.interfaces.createTap(options);
  }

  /** @deprecated `interfaces.createBridge` */
  createBridgeInterface(options: BridgeInterfaceOptions): Promise<BridgeInterface> {
    return this.interfaces.createBridge(options);
  }

  /** @deprecated `interfaces.remove` */
  removeInterface(one: NetworkInterface): Promise<void> {
    return this.interfaces.remove(one);
  }

  /** @deprecated `tcp.listen` */
  listenTcp(options: StreamListenOptions): Promise<TcpListener> {
    return this.tcp.listen(options);
  }

  /** @deprecated `tcp.connect` */
  connectTcp(options: StreamConnectOptions): Promise<TcpConnection> {
    return this.tcp.connect(options);
  }

  /** @deprecated `udp.open` */
  openUdp(options?: DatagramSocketOptions): Promise<UdpSocket> {
    return this.udp.open(options);
  }

  /** @deprecated `ping.createSession` */
  createPingSession(options: PingSessionOptions): Promise<PingSession> {
    return this.ping.createSession(options);
  }
}

/**
 * Makes a stack.
 *
 * @throws NetworkError `EINVAL`; TypeError or WebAssembly.CompileError if the module does not load
 * @example
 * ```ts
 * import { createStack } from 'netloom';
 *
 * await using stack = await createStack();
 * const listener = await stack.tcp.listen({ port: 8080 });
 * const [client, server] = await Promise.all([stack.tcp.connect({ host: '127.0.0.1', port: 8080 }), listener.accept()]);
 * await client.write(new TextEncoder().encode('hello'));
 * for await (const chunk of server!) {
 *   console.log(new TextDecoder().decode(chunk)); // hello
 *   break;
 * }
 * ```
 */
export async function createStack(options: StackOptions = {}): Promise<NetworkStack> {
  const stack = new NetworkStack(await loadModule(options.wasm), options);
  if (options.initializeLoopback ?? true) await stack.interfaces.createLoopback({ ip: '127.0.0.1/8', addresses: ['::1/128'] });
  return stack;
}
