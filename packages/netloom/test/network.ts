/**
 * A network in memory, of hosts that have UDP and TCP by the transports' interfaces: what is sent arrives a macrotask later, unless `drop` says otherwise.
 */
import { NetworkError } from '../src/errors.ts';
import type {
  Datagram,
  DatagramSocket,
  DatagramSocketOptions,
  DatagramTransport,
  StreamConnection,
  StreamListener,
  StreamTransport,
} from '../src/transport/types.ts';

type Sent = { from: { host: string; port: number }; to: { host: string; port: number }; data: Uint8Array };

export class Network {
  /** Datagrams that it holds for are lost. */
  drop: (sent: Sent) => boolean = () => false;
  /** All datagrams sent. */
  readonly sent: Sent[] = [];
  readonly sockets = new Set<MemorySocket>();
  readonly connections = new Set<object>();
  readonly listeners = new Map<string, MemoryListener>();

  /** The transports of a host; its address may change. */
  host(given: string | { address: string }): { udp: DatagramTransport; tcp: StreamTransport & { listen: NonNullable<StreamTransport['listen']> } } {
    const host = typeof given === 'string' ? { address: given } : given;
    return {
      udp: { open: async (options = {}) => new MemorySocket(this, host, options) },
      tcp: {
        listen: async ({ port }) => new MemoryListener(this, host.address, port),
        connect: async ({ host: target, port, signal }) => {
          await macrotask();
          signal?.throwIfAborted();
          const listener = this.listeners.get(`${target}:${port}`);
          if (!listener) throw new NetworkError('ECONNREFUSED', { syscall: 'connect', address: target, port });
          return listener.arrive(host.address);
        },
      },
    };
  }

  deliver(sent: Sent): void {
    this.sent.push(sent);
    if (this.drop(sent)) return;
    setTimeout(() => {
      for (const socket of this.sockets) {
        const isTarget = sent.to.host === '255.255.255.255' ? socket.localPort !== sent.from.port : socket.localAddress === sent.to.host;
        if (isTarget && socket.localPort === sent.to.port) socket.arrive({ ...sent.from, data: sent.data.slice() });
      }
    });
  }
}

class MemorySocket implements DatagramSocket {
  readonly localPort: number;
  readonly #host: { address: string };
  readonly readable: ReadableStream<Datagram>;
  readonly writable: WritableStream<Datagram>;
  readonly #network: Network;
  #controller!: ReadableStreamDefaultController<Datagram>;

  constructor(network: Network, host: { address: string }, { port = 0 }: DatagramSocketOptions) {
    this.#network = network;
    this.#host = host;
    while (port === 0) port = 1024 + Math.floor(Math.random() * 40_000);
    this.localPort = port;
    for (const other of network.sockets) {
      if (other.#host === host && other.localPort === port) throw new NetworkError('EADDRINUSE', { syscall: 'bind', address: host.address, port });
    }
    network.sockets.add(this);
    this.readable = new ReadableStream({ start: (controller) => void (this.#controller = controller) }, { highWaterMark: 0 });
    this.writable = new WritableStream({ write: (datagram) => this.send(datagram) });
  }

  get localAddress(): string {
    return this.#host.address;
  }

  arrive(datagram: Datagram): void {
    this.#controller.enqueue(datagram);
  }

  async send({ host, port, data }: Datagram): Promise<void> {
    if (!this.#network.sockets.has(this)) throw new NetworkError('ECONNABORTED', { syscall: 'send' });
    this.#network.deliver({ from: { host: this.localAddress, port: this.localPort }, to: { host, port }, data: data.slice() });
  }

  async receive(): Promise<Datagram | undefined> {
    const reader = this.readable.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    return value;
  }

  async close(): Promise<void> {
    if (this.#network.sockets.delete(this)) this.#controller.close();
  }

  async *[Symbol.asyncIterator](): AsyncIterableIterator<Datagram> {
    for (let datagram; (datagram = await this.receive()); ) yield datagram;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

class MemoryListener implements StreamListener {
  readonly address: string;
  readonly port: number;
  readonly #network: Network;
  readonly #incoming: ReadableStream<StreamConnection>;
  #controller!: ReadableStreamDefaultController<StreamConnection>;

  constructor(network: Network, address: string, port: number) {
    this.#network = network;
    this.address = address;
    this.port = port;
    this.#incoming = new ReadableStream({ start: (controller) => void (this.#controller = controller) });
    network.listeners.set(`${address}:${port}`, this);
  }

  arrive(from: string): StreamConnection {
    const [there, here] = [new TransformStream<Uint8Array, Uint8Array>(), new TransformStream<Uint8Array, Uint8Array>()];
    const ports = { local: this.port, remote: 40_000 };
    this.#controller.enqueue(
      connectionOf(this.#network, there.readable, here.writable, {
        localAddress: this.address,
        localPort: ports.local,
        remoteAddress: from,
        remotePort: ports.remote,
      }),
    );
    return connectionOf(this.#network, here.readable, there.writable, {
      localAddress: from,
      localPort: ports.remote,
      remoteAddress: this.address,
      remotePort: ports.local,
    });
  }

  async accept(): Promise<StreamConnection | undefined> {
    const reader = this.#incoming.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    return value;
  }

  async close(): Promise<void> {
    const key = `${this.address}:${this.port}`;
    if (this.#network.listeners.get(key) !== this) return;
    this.#network.listeners.delete(key);
    this.#controller.close();
  }

  async *[Symbol.asyncIterator](): AsyncIterableIterator<StreamConnection> {
    for (let connection; (connection = await this.accept()); ) yield connection;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

type Ends = Pick<StreamConnection, 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort'>;

/** A connection of two streams; readers and writers of its own, so that it closes while they are locked. */
function connectionOf(network: Network, incoming: ReadableStream<Uint8Array>, outgoing: WritableStream<Uint8Array>, ends: Ends): StreamConnection {
  const reader = incoming.getReader();
  const writer = outgoing.getWriter();
  let isOpen = true;
  const connection: StreamConnection = {
    ...ends,
    readable: new ReadableStream({
      async pull(controller) {
        const { value } = await reader.read().catch(() => ({ value: undefined }));
        if (value) controller.enqueue(value);
        else controller.close();
      },
    }),
    writable: new WritableStream({ write: (bytes) => writer.write(bytes) }),
    closed: Promise.resolve(),
    readInto: () => Promise.reject(new Error('not of this network')),
    write: (bytes) => writer.write(bytes),
    setOptions: () => {},
    reset: () => void connection.close(),
    async close() {
      if (!isOpen) return;
      isOpen = false;
      network.connections.delete(connection);
      await Promise.allSettled([reader.cancel(), writer.close()]);
    },
    [Symbol.asyncIterator]: () => connection.readable.values(),
    [Symbol.asyncDispose]: () => connection.close(),
  };
  network.connections.add(connection);
  return connection;
}

export function macrotask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
