/**
 * A DNS server over datagrams and, where there is such a transport, streams (RFC 1035 4.2, RFC 7766). A function of the caller answers.
 */
import { NetworkError } from '../errors.ts';
import { sender } from '../transport/send.ts';
import type { Datagram, DatagramSocket, DatagramTransport, StreamConnection, StreamListener, StreamTransport } from '../transport/types.ts';
import { concat, words } from '../wire/bytes.ts';
import { type DnsQuery, MAX_QUERY_BYTES, type DnsQueryContext, type DnsReply, receive, reply, replyOf, type RequestFn } from './answer.ts';
import { transportsOf } from './client.ts';
import type { DnsTransports } from './exchange.ts';

/** What a server is told. */
export type DnsServerOptions = {
  /** The one address to listen on. Default: all. */
  host?: string;
  /** 1 to 65,535, or 0 for a free one. Default 53. */
  port?: number;
  /** Answers queries. What it throws is answered with SERVFAIL. */
  request: RequestFn;
  /** Accepts queries by TCP. Default: the stack's, if a stack was given; `false` for none. */
  tcp?: StreamTransport | false;
  /** Milliseconds that `request` has, after which the answer is SERVFAIL. Default 10,000. */
  timeout?: number;
  /** Queries answered at a time; more are dropped if they came by UDP, and wait if by TCP. Default 256. */
  maxQueries?: number;
  /** Connections at a time; the one silent for longest makes room for another. Default 64. */
  maxConnections?: number;
  /** Told what `request` threw. */
  onError?: (error: unknown, query: DnsQuery) => void;
  /** Closes the server. */
  signal?: AbortSignal;
};

// RFC 7766 6.2.3: seconds, as an idle connection costs memory.
const IDLE_MS = 10_000;

/**
 * A DNS server.
 *
 * @example
 * ```ts
 * import { createStack } from 'netloom';
 * import { createDns } from 'netloom/dns';
 *
 * const stack = await createStack();
 * const dns = await createDns(stack);
 * const server = await dns.serve({
 *   request: async ({ name, type }) => {
 *     if (name !== 'web.test') return undefined;
 *     return type === 'A' ? [{ type, ip: '10.0.0.1', ttl: 60 }, { type, ip: '10.0.0.2', ttl: 60 }] : [];
 *   },
 * });
 * console.log(await dns.lookupAll('web.test')); // 10.0.0.1, 10.0.0.2
 * await server.close();
 * await stack.close();
 * ```
 */
export class DnsServer implements AsyncDisposable {
  readonly #transports: DnsTransports;
  readonly #options: DnsServerOptions;
  readonly #closing = new AbortController();
  readonly #connections = new Set<StreamConnection>();
  readonly #pending = new Set<AbortController>();
  #socket: DatagramSocket | undefined;
  #listener: StreamListener | undefined;
  #running: Promise<unknown> = Promise.resolve();

  constructor(transport: DatagramTransport | DnsTransports, options: DnsServerOptions) {
    const transports = transportsOf(transport);
    this.#transports = { ...transports, tcp: options.tcp === undefined ? transports.tcp : options.tcp || undefined };
    this.#options = options;
  }

  /** The port listened on; `undefined` before `listen`. */
  get port(): number | undefined {
    return this.#socket?.localPort;
  }

  /** Begins to answer. Rejects with `EADDRINUSE` if the port is taken, `EADDRNOTAVAIL` if the host is none of ours. */
  async listen(): Promise<void> {
    const { host, port = 53, signal } = this.#options;
    this.#closing.signal.throwIfAborted();
    const socket = await this.#transports.udp.open({ host, port });
    try {
      this.#listener = await this.#transports.tcp?.listen?.({ host, port: port || (socket.localPort ?? port) });
    } catch (error) {
      await socket.close();
      throw error;
    }
    this.#socket = socket;
    if (this.#closing.signal.aborted) await this.close();
    this.#running = Promise.allSettled([this.#serveDatagrams(socket), this.#listener && this.#serveConnections(this.#listener)]);
    signal?.addEventListener('abort', () => void this.close(), { signal: this.#closing.signal });
    if (signal?.aborted) await this.close();
  }

  /** Stops: the port is free, pending queries have no answer. */
  async close(): Promise<void> {
    const closed = new NetworkError('ECONNABORTED', { syscall: 'lookup', message: 'dns server closed' });
    this.#closing.abort(closed);
    for (const request of this.#pending) request.abort(closed);
    await Promise.allSettled([this.#socket?.close(), this.#listener?.close(), ...[...this.#connections].map((connection) => connection.close())]);
    await this.#running;
  }

  /** As `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #serveDatagrams(socket: DatagramSocket): Promise<void> {
    const send = sender(socket);
    const reader = socket.readable.getReader();
    for (;;) {
      const { value } = await reader.read();
      if (!value) return;
      if (this.#pending.size < (this.#options.maxQueries ?? 256)) void this.#answerDatagram(value, send);
    }
  }

  async #answerDatagram({ host, port, data }: Datagram, send: (datagram: Datagram) => Promise<void>): Promise<void> {
    try {
      const answer = await this.#answer(data, { host, port, protocol: 'udp' });
      if (answer && !this.#closing.signal.aborted) await send({ host, port, data: answer });
    } catch {
      // The answer cannot be sent, as no route leads back: the asker asks again.
    }
  }

  async #serveConnections(listener: StreamListener): Promise<void> {
    for await (const connection of listener) {
      this.#connections.add(connection);
      const [oldest] = this.#connections;
      if (this.#connections.size > (this.#options.maxConnections ?? 64)) this.#drop(oldest!);
      void this.#serveConnection(connection)
        .catch(() => {})
        .finally(() => this.#drop(connection));
    }
  }

  #drop(connection: StreamConnection): void {
    this.#connections.delete(connection);
    void connection.close().catch(() => {});
  }

  /** Answers the queries of a connection in their order: the next is read when the one before is answered. */
  async #serveConnection(connection: StreamConnection): Promise<void> {
    const writer = connection.writable.getWriter();
    writer.closed.catch(() => {});
    const reader = connection.readable.getReader();
    const { remoteAddress: host, remotePort: port } = connection;
    let bytes: Uint8Array = new Uint8Array();
    for (;;) {
      const length = bytes.length < 2 ? MAX_QUERY_BYTES : (bytes[0]! << 8) | bytes[1]!;
      if (length > MAX_QUERY_BYTES) return;
      if (bytes.length < length + 2) {
        const idle = setTimeout(() => this.#drop(connection), IDLE_MS);
        const { value } = await reader.read().finally(() => clearTimeout(idle));
        if (!value) return;
        bytes = concat([bytes, value]);
        continue;
      }
      this.#connections.delete(connection);
      this.#connections.add(connection);
      const answer = await this.#answer(bytes.subarray(2, length + 2), { host, port, protocol: 'tcp' });
      bytes = bytes.slice(length + 2);
      if (answer) await writer.write(concat([words(answer.length), answer]));
    }
  }

  /** The answer to a message, if it has one. */
  async #answer(data: Uint8Array, asker: Omit<DnsQueryContext, 'signal'>): Promise<Uint8Array | undefined> {
    const received = receive(data, asker.protocol);
    if (!received || 'refusal' in received) return received?.refusal;
    const { name, type } = received.query.questions[0]!;
    try {
      return reply(received, await this.#request({ name, type }, asker));
    } catch (error) {
      if (!this.#closing.signal.aborted) this.#options.onError?.(error, { name, type });
      return reply(received, { rcode: 'SERVFAIL' });
    }
  }

  async #request(query: DnsQuery, asker: Omit<DnsQueryContext, 'signal'>): Promise<DnsReply> {
    const limit = new AbortController();
    this.#pending.add(limit);
    const timer = setTimeout(() => limit.abort(new NetworkError('ETIMEDOUT', { syscall: 'lookup', address: query.name })), this.#options.timeout ?? 10_000);
    try {
      const ended = new Promise<never>((_, reject) => {
        limit.signal.addEventListener('abort', () => reject(limit.signal.reason));
      });
      const given = (async () => this.#options.request(query, { ...asker, signal: limit.signal }))();
      return replyOf(await Promise.race([given, ended]));
    } finally {
      clearTimeout(timer);
      this.#pending.delete(limit);
    }
  }
}
