import { NO_INTERFACE } from '../engine/abi.ts';
import { errorOf } from '../engine/engine.ts';
import type { Context } from '../context.ts';
import { inRange, portOf } from '../tcp/options.ts';
import type { DatagramSocketOptions, DatagramTransport } from '../transport/types.ts';
import { UdpSocket } from './socket.ts';

const RECEIVE_BYTES = 256 * 1024;
const MOST_RECEIVE_BYTES = 1 << 30;

/** UDP of a stack. */
export class UdpTransport implements DatagramTransport {
  readonly #context: Context;

  /** @internal */
  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Opens a socket (RFC 768). It may send to 255.255.255.255, which leaves by every tap and bridge, each with its own address.
   *
   * @throws NetworkError `EADDRINUSE` if the port is taken, `EADDRNOTAVAIL` if `host` is no address of the stack, `EINVAL`
   * @example
   * ```ts
   * import { createStack } from 'netloom';
   *
   * const stack = await createStack();
   * await using a = await stack.udp.open({ port: 5000 });
   * await using b = await stack.udp.open();
   * await b.send({ host: '127.0.0.1', port: 5000, data: new Uint8Array([1, 2, 3]) });
   * const datagram = await a.receive();
   * console.log(datagram?.data.length); // 3
   * ```
   */
  async open(options: DatagramSocketOptions = {}): Promise<UdpSocket> {
    const { host, signal } = options;
    const port = portOf(options.port ?? 0, 0);
    const receiveBytes = inRange('receiveBufferSize', options.receiveBufferSize ?? RECEIVE_BYTES, 1, MOST_RECEIVE_BYTES);
    this.#context.check(signal);
    const address = host === undefined ? '0.0.0.0' : await this.#context.resolve(host, signal);
    this.#context.check(signal);
    const { engine } = this.#context;
    const interfaceId = options.interface === undefined ? NO_INTERFACE : this.#context.interfaceOf(options.interface);
    const family = this.#context.put(address, 0);
    const error = errorOf(engine.exports.open_udp(family, port, interfaceId, receiveBytes), 'bind', address, port);
    if (error) throw error;
    const [index, generation, bound] = engine.words as unknown as [number, number, number];
    const socket = new UdpSocket(this.#context, index, generation, address, bound);
    signal?.addEventListener('abort', () => void socket.close(), { once: true });
    return socket;
  }
}
