/**
 * A DHCP client's socket: sends messages, and waits for the one reply that is meant.
 */
import { sender } from '../transport/send.ts';
import type { Datagram, DatagramSocket } from '../transport/types.ts';
import { DHCP_SERVER_PORT, type DhcpMessageType } from './constants.ts';
import { type DhcpPacket, receivePacket } from './packet.ts';
import { typeOf } from './wire.ts';

/** A reply of a server. */
export type DhcpReplyPacket = DhcpPacket & { type: DhcpMessageType };

export class Mailbox {
  readonly #socket: DatagramSocket;
  readonly #mac: string;
  readonly #send: (datagram: Datagram) => Promise<void>;
  #expected: { xid: number; take: (reply: DhcpReplyPacket) => void } | undefined;
  /** Settles when the socket has ended. */
  readonly done: Promise<void>;

  constructor(socket: DatagramSocket, mac: string) {
    this.#socket = socket;
    this.#mac = mac;
    this.#send = sender(socket);
    this.done = this.#read().catch(() => {});
  }

  /** Sends to a server, or to all. A datagram without a way is lost, as one on the wire may be. */
  async send(data: Uint8Array, host = '255.255.255.255'): Promise<void> {
    await this.#send({ host, port: DHCP_SERVER_PORT, data }).catch(() => {});
  }

  /** The first reply to `xid` that `suits`, within these milliseconds. Rejects with the signal's reason. */
  async receive(xid: number, milliseconds: number, signal: AbortSignal, suits: (reply: DhcpReplyPacket) => boolean): Promise<DhcpReplyPacket | undefined> {
    signal.throwIfAborted();
    let cleanUp = (): void => {};
    try {
      return await new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, milliseconds, undefined);
        const abort = (): void => reject(signal.reason as Error);
        signal.addEventListener('abort', abort);
        this.#expected = { xid, take: (reply) => suits(reply) && resolve(reply) };
        cleanUp = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', abort);
        };
      });
    } finally {
      cleanUp();
      this.#expected = undefined;
    }
  }

  async close(): Promise<void> {
    await this.#socket.close().catch(() => {});
    await this.done;
  }

  async #read(): Promise<void> {
    const reader = this.#socket.readable.getReader();
    for (;;) {
      const { value } = await reader.read();
      if (!value) return;
      try {
        const packet = receivePacket(value.data);
        const type = typeOf(packet);
        if (packet.op === 2 && type && packet.mac === this.#mac && packet.xid === this.#expected?.xid) this.#expected.take({ ...packet, type });
      } catch {
        // Not a reply that can be read.
      }
    }
  }
}
