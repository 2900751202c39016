/** A network in memory: connections of bounded pipes, with half-close and reset. A peer of the tests, so that HTTP is tested by itself. */
import { NetworkError } from '../../src/errors.ts';
import type { StreamConnection, StreamConnectOptions, StreamListener, StreamListenOptions, StreamTransport } from '../../src/transport/types.ts';

const PIPE_BYTES = 65536;

/** One direction. */
class Pipe {
  #chunks: Uint8Array[] = [];
  #held = 0;
  #ended = false;
  #error: unknown;
  #wake = new Set<() => void>();
  /** The most bytes it ever held. */
  peak = 0;

  #changed(): void {
    for (const wake of this.#wake) wake();
    this.#wake.clear();
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => this.#wake.add(resolve));
  }

  async write(bytes: Uint8Array): Promise<void> {
    while (this.#held >= PIPE_BYTES && this.#error === undefined) await this.#wait();
    if (this.#error !== undefined) throw this.#error;
    // As a stack does: the writer's buffer is its own again.
    this.#chunks.push(bytes.slice());
    this.#held += bytes.length;
    this.peak = Math.max(this.peak, this.#held);
    this.#changed();
  }

  async read(): Promise<Uint8Array | undefined> {
    while (this.#chunks.length === 0 && !this.#ended && this.#error === undefined) await this.#wait();
    if (this.#error !== undefined) throw this.#error;
    const chunk = this.#chunks.shift();
    this.#held -= chunk?.length ?? 0;
    this.#changed();
    return chunk;
  }

  end(): void {
    this.#ended = true;
    this.#changed();
  }

  fail(error: unknown): void {
    this.#error ??= error;
    this.#changed();
  }
}

class MemoryConnection implements StreamConnection {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly closed: Promise<void>;
  /** What the other end saw of this one's end. */
  wasReset = false;
  #in: Pipe;
  #out: Pipe;
  #settle!: { resolve(): void; reject(error: unknown): void };
  #done = 0;

  constructor(incoming: Pipe, outgoing: Pipe, local: [string, number], remote: [string, number]) {
    this.#in = incoming;
    this.#out = outgoing;
    [this.localAddress, this.localPort] = local;
    [this.remoteAddress, this.remotePort] = remote;
    this.closed = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.closed.catch(() => undefined);
    this.readable = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const chunk = await this.#in.read();
          if (chunk) controller.enqueue(chunk);
          else {
            controller.close();
            this.#finished();
          }
        },
      },
      { highWaterMark: 0 },
    );
    this.writable = new WritableStream<Uint8Array>({
      write: (chunk) => this.#out.write(chunk),
      close: () => {
        this.#out.end();
        this.#finished();
      },
      abort: () => this.reset(),
    });
  }

  #finished(): void {
    this.#done += 1;
    if (this.#done === 2) this.#settle.resolve();
  }

  async readInto(buffer: Uint8Array): Promise<number> {
    const reader = this.readable.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    if (!value) return 0;
    if (value.length > buffer.length) throw new Error('the test read into too small a buffer');
    buffer.set(value);
    return value.length;
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#out.write(bytes);
  }

  setOptions(): void {}

  async close(): Promise<void> {
    this.#in.fail(new NetworkError('ECONNABORTED', { syscall: 'read', message: 'tcp connection closed' }));
    this.#out.end();
    this.#settle.resolve();
  }

  reset(): void {
    this.wasReset = true;
    this.#in.fail(new NetworkError('ECONNABORTED', { syscall: 'read' }));
    this.#out.fail(new NetworkError('ECONNRESET', { syscall: 'read' }));
    this.#settle.reject(new NetworkError('ECONNABORTED', {}));
  }

  async *[Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    for (let chunk = await this.#in.read(); chunk; chunk = await this.#in.read()) yield chunk;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Names and listeners of one network. */
export class MemoryNetwork implements StreamTransport {
  #listeners = new Map<number, { accept(connection: StreamConnection): void }>();
  #nextPort = 49152;
  /** Connections opened so far, the client's ends. */
  readonly opened: MemoryConnection[] = [];
  /** The pipes of each, to the server first. */
  readonly pipes: [Pipe, Pipe][] = [];

  async connect({ host, port, signal }: StreamConnectOptions): Promise<StreamConnection> {
    signal?.throwIfAborted();
    const listener = this.#listeners.get(port);
    if (!listener) throw new NetworkError('ECONNREFUSED', { syscall: 'connect', address: host, port });
    const there = new Pipe();
    const back = new Pipe();
    const from = this.#nextPort++;
    const client = new MemoryConnection(back, there, ['10.0.0.1', from], ['10.0.0.2', port]);
    this.opened.push(client);
    this.pipes.push([there, back]);
    listener.accept(new MemoryConnection(there, back, ['10.0.0.2', port], ['10.0.0.1', from]));
    return client;
  }

  async listen({ host = '0.0.0.0', port: wanted }: StreamListenOptions): Promise<StreamListener> {
    const port = wanted || this.#nextPort++;
    if (this.#listeners.has(port)) throw new NetworkError('EADDRINUSE', { syscall: 'listen', address: host, port });
    const waiting: StreamConnection[] = [];
    const accepting: ((connection: StreamConnection | undefined) => void)[] = [];
    let open = true;
    this.#listeners.set(port, {
      accept: (connection) => {
        const next = accepting.shift();
        if (next) next(connection);
        else waiting.push(connection);
      },
    });
    const accept = async () => {
      const connection = waiting.shift();
      return connection ?? (open ? new Promise<StreamConnection | undefined>((resolve) => accepting.push(resolve)) : undefined);
    };
    const close = async () => {
      open = false;
      this.#listeners.delete(port);
      for (const connection of waiting.splice(0)) connection.reset();
      for (const settle of accepting.splice(0)) settle(undefined);
    };
    return {
      address: host,
      port,
      accept,
      close,
      async *[Symbol.asyncIterator]() {
        for (let connection = await accept(); connection; connection = await accept()) yield connection;
      },
      [Symbol.asyncDispose]: close,
    };
  }
}
