import type { Engine } from './engine/engine.ts';
import { NetworkError } from './errors.ts';
import type { DatagramTransport, StreamTransport } from './transport/types.ts';

/** A server of names. */
export type NameServer = {
  /** Its address. */
  ip: string;
  /** Its port. Default 53. */
  port?: number;
};

const LOCAL: Required<NameServer> = { ip: '127.0.0.1', port: 53 };

type Client = { lookup(name: string, options?: { signal?: AbortSignal }): Promise<string> };

/** Names for a stack: resolved by a client that is loaded when the first name comes. */
export class Names {
  readonly #udp: DatagramTransport;
  readonly #tcp: StreamTransport;
  readonly #engine: Engine;
  readonly #server: NameServer;
  #client: Promise<Client> | undefined;

  constructor(udp: DatagramTransport, tcp: StreamTransport, engine: Engine, server: NameServer = LOCAL) {
    this.#udp = udp;
    this.#tcp = tcp;
    this.#engine = engine;
    this.#server = server;
  }

  /** The address of a name. `localhost` is loopback without being asked (RFC 6761 6.3). */
  async lookup(name: string, signal?: AbortSignal): Promise<string> {
    if (typeof name !== 'string' || name === '') throw new NetworkError('EINVAL', { message: 'a host is an address or a name' });
    if (name === 'localhost') return LOCAL.ip;
    this.#engine.hold();
    try {
      this.#client ??= this.#load();
      const client = await this.#client;
      return await client.lookup(name, { signal });
    } finally {
      this.#engine.release();
    }
  }

  async #load(): Promise<Client> {
    const { DnsClient } = await import('./dns/client.ts');
    return new DnsClient({ udp: this.#udp, tcp: this.#tcp }, { nameServer: { port: LOCAL.port, ...this.#server } });
  }
}
