import { errorOf, type Engine } from '../engine/engine.ts';
import type { Context } from '../context.ts';
import type { StreamConnectOptions, StreamListenOptions, StreamTransport } from '../transport/types.ts';
import type { TcpConnection } from './connection.ts';
import { TcpListener } from './listener.ts';
import { connectionOf, whenEstablished } from './opening.ts';
import { inRange, numbersOf, portOf } from './options.ts';

const BACKLOG = 1024;
const MOST_BACKLOG = 65_535;

/** TCP of a stack. */
export class TcpTransport implements StreamTransport {
  readonly #engine: Engine;
  readonly #context: Context;

  /** @internal */
  constructor(context: Context) {
    this.#engine = context.engine;
    this.#context = context;
  }

  /**
   * Opens a connection (RFC 9293 3.10.1).
   *
   * @throws NetworkError `ECONNREFUSED` if nobody listens there, `ETIMEDOUT` if no answer comes, `EHOSTUNREACH`, `ENETUNREACH` without a route,
   *   `ENOTFOUND` or `EAI_AGAIN` for names, `EADDRINUSE` and `EADDRNOTAVAIL` for the local end, `EINVAL`; the signal's reason if it aborts
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   *
   * const stack = await createStack();
   * const listener = await stack.tcp.listen({ port: 80 });
   * const connection = await stack.tcp.connect({ host: '127.0.0.1', port: listener.port });
   * await connection.write(new TextEncoder().encode('hello'));
   * await connection.close();
   * ```
   */
  async connect(options: StreamConnectOptions): Promise<TcpConnection> {
    const { host, localAddress, signal, timeout } = options;
    const port = portOf(options.port, 1);
    const localPort = portOf(options.localPort ?? 0, 0);
    const numbers = numbersOf(options);
    this.#context.check(signal);
    const address = await this.#context.resolve(host, signal);
    this.#context.check(signal);
    const engine = this.#engine;
    const localFamily = localAddress === undefined ? 0 : this.#context.put(localAddress, 0);
    const family = this.#context.put(address, 16);
    const code = engine.exports.connect(engine.now, localFamily, localPort, family, port, ...numbers);
    const error = errorOf(code, 'connect', address, port);
    if (error) throw error;
    return whenEstablished(engine, { signal, timeout }, (established) => connectionOf(engine, this.#context.mtuOf, options, established));
  }

  /**
   * Listens on a port (RFC 9293 3.10.1).
   *
   * @throws NetworkError `EADDRINUSE` if the port is taken, `EADDRNOTAVAIL` if `host` is no address of the stack, `EINVAL`
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   *
   * const stack = await createStack();
   * await using listener = await stack.tcp.listen({ port: 7 });
   * void (async () => {
   *   for await (const connection of listener) connection.readable.pipeTo(connection.writable);
   * })();
   * ```
   */
  async listen(options: StreamListenOptions): Promise<TcpListener> {
    const { host, signal } = options;
    const port = portOf(options.port, 0);
    const numbers = numbersOf(options);
    const backlog = inRange('backlog', options.backlog ?? BACKLOG, 1, MOST_BACKLOG);
    this.#context.check(signal);
    const address = host === undefined ? '0.0.0.0' : await this.#context.resolve(host, signal);
    this.#context.check(signal);
    const engine = this.#engine;
    const family = this.#context.put(address, 0);
    const code = engine.exports.listen(family, port, backlog, ...numbers);
    const error = errorOf(code, 'listen', address, port);
    if (error) throw error;
    const [index, generation, bound] = engine.words as unknown as [number, number, number];
    const next = () => (engine.exports.accept(index, generation) ? connectionOf(engine, this.#context.mtuOf, options) : undefined);
    const listener = new TcpListener(engine, index, generation, address, bound, next);
    signal?.addEventListener('abort', () => void listener.close(), { once: true });
    return listener;
  }
}
