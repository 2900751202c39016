/**
 * A DHCP client (RFC 2131 4.4) that keeps an interface configured: it asks for an address, renews it in time, and begins anew when it is lost.
 */
import { NetworkError } from '../errors.ts';
import type { DatagramTransport } from '../transport/types.ts';
import { serializeIPv4Address } from '../wire/address.ts';
import { apply, type DhcpBinding, bindingOf, type DhcpInterface, type DhcpResolver, type DhcpRoutes, isSame } from './binding.ts';
import { DHCP_CLIENT_PORT, DhcpMessageTypes, DhcpOptionCodes, DhcpOptions } from './constants.ts';
import { type DhcpReplyPacket, Mailbox } from './mailbox.ts';
import { ipOf } from './packet.ts';
import { type DhcpRequest, serializeRequest } from './request.ts';
import { MAX_TIMER_MS, wait } from './wait.ts';

/** What a client is told. */
export type DhcpClientOptions = {
  /** The interface to configure. */
  interface: DhcpInterface;
  /** Where its routes go. Default: the stack's, if a stack was given. */
  routes?: DhcpRoutes;
  /** Told of the network's name servers and search domains, as a `DnsClient` takes them. */
  resolver?: DhcpResolver;
  /** The name that it gives itself. */
  hostname?: string;
  /** What tells it from others. Default: its MAC address (RFC 2132 9.14). */
  clientId?: Uint8Array;
  /** What kind of client it is (RFC 2132 9.13). */
  vendorClass?: string;
  /** The address that it would like. */
  requestedIP?: string;
  /** Milliseconds until the first address must have come, after which `start` fails with `ETIMEDOUT`. Default 30,000. */
  timeout?: number;
  /** Milliseconds until a message without answer is sent again the first time; each time doubles them, up to 64 times. Default 1,000. */
  retry?: number;
  /** Whether someone else uses an address, for instance by a ping or ARP; it is then declined. */
  isInUse?: (ip: string) => Promise<boolean>;
  /** Told of every change: a binding that is new or renewed, `undefined` when it is lost. */
  onChange?: (binding: DhcpBinding | undefined) => void;
  /** Closes the client. */
  signal?: AbortSignal;
};

const { DISCOVER, REQUEST, DECLINE, RELEASE } = DhcpMessageTypes;
const MAX_DOUBLINGS = 6;
// Of a SELECTING client's REQUEST, before it asks for offers again (RFC 2131 3.1.5).
const REQUEST_ATTEMPTS = 4;
// RFC 2131 3.1.5 and 4.4.5, in units of `retry`, which are seconds by default.
const DECLINE_RETRIES = 10;
const MIN_RENEWAL_RETRIES = 60;

/**
 * A DHCP client.
 *
 * @example
 * ```ts
 * import { connectStreams, createStack } from 'netloom';
 * import { DhcpClient, DhcpServer } from 'netloom/dhcp';
 *
 * const [gateway, guest] = [await createStack(), await createStack()];
 * const there = await gateway.interfaces.createTap({ ip: '10.0.0.1/24' });
 * const here = await guest.interfaces.createTap();
 * connectStreams(there, here);
 * const leaseRange = { start: '10.0.0.10', end: '10.0.0.20' };
 * const server = new DhcpServer(gateway, { leaseRange, serverIdentifier: '10.0.0.1', netmask: '255.255.255.0', router: '10.0.0.1' });
 * await server.listen();
 *
 * const client = new DhcpClient(guest, { interface: here });
 * const { ip } = await client.start();
 * console.log(ip); // 10.0.0.10
 *
 * await client.release();
 * await server.close();
 * await Promise.all([gateway.close(), guest.close()]);
 * ```
 */
export class DhcpClient implements AsyncDisposable {
  readonly #udp: DatagramTransport;
  readonly #options: DhcpClientOptions;
  readonly #closing = new AbortController();
  readonly #began = Date.now();
  #renewal = new AbortController();
  #mailbox: Mailbox | undefined;
  #binding: DhcpBinding | undefined;
  #takeBack: (() => Promise<void>) | undefined;
  #running: Promise<void> | undefined;

  constructor(transport: DatagramTransport | { udp: DatagramTransport; routes?: DhcpRoutes }, options: DhcpClientOptions) {
    const parts = 'udp' in transport ? transport : { udp: transport };
    this.#udp = parts.udp;
    this.#options = { ...options, routes: options.routes ?? parts.routes };
  }

  /** What it has, if it has an address. */
  get binding(): DhcpBinding | undefined {
    return this.#binding;
  }

  /**
   * Begins, and resolves with the first binding; from then on it is kept until `release` or `close`.
   *
   * Rejects with `ETIMEDOUT` if no server gave an address in time, and the client is then closed; with `EADDRINUSE` if another client has the interface.
   */
  async start(): Promise<DhcpBinding> {
    const {
      interface: { name, mac },
      timeout = 30_000,
      signal,
    } = this.#options;
    if (this.#running) throw new NetworkError('EINVAL', { message: 'dhcp client started already' });
    signal?.throwIfAborted();
    this.#closing.signal.throwIfAborted();
    const close = (): void => void this.close(signal?.reason);
    signal?.addEventListener('abort', close);
    this.#closing.signal.addEventListener('abort', () => signal?.removeEventListener('abort', close));
    const timer = setTimeout(() => void this.close(new NetworkError('ETIMEDOUT', { message: `no dhcp server answered on ${name}` })), timeout);
    try {
      return await new Promise<DhcpBinding>((resolve, reject) => {
        this.#running = this.#run(name, mac, resolve).catch(reject);
      });
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Renews now instead of when it is time. */
  renew(): void {
    this.#renewal.abort();
  }

  /** Gives the address back and closes. */
  async release(): Promise<void> {
    const binding = this.#binding;
    if (binding && this.#mailbox) {
      const options = [[DhcpOptions.SERVER_IDENTIFIER, serializeIPv4Address(binding.serverIdentifier)]] as const;
      await this.#send(RELEASE, random32(), { ciaddr: binding.ip, to: binding.serverIdentifier, options });
    }
    await this.close();
  }

  /** Stops, and takes address and routes off the interface: without renewal they would be someone else's one day. */
  async close(reason: unknown = new NetworkError('ECONNABORTED', { message: 'dhcp client closed' })): Promise<void> {
    this.#closing.abort(reason);
    await this.#running;
    await this.#unbind();
    await this.#mailbox?.close();
  }

  /** As `close`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(name: string, mac: string, started: (binding: DhcpBinding) => void): Promise<void> {
    const { signal } = this.#closing;
    this.#mailbox = new Mailbox(await this.#udp.open({ port: DHCP_CLIENT_PORT, interface: name }), mac);
    while (!signal.aborted) {
      const binding = await this.#obtain(signal);
      if (!(await this.#bind(binding))) {
        await this.#decline(binding);
        continue;
      }
      started(binding);
      await this.#keep(signal).catch(() => {});
      await this.#unbind();
    }
    throw signal.reason;
  }

  /** DISCOVER, OFFER, REQUEST, ACK: until there is a binding. */
  async #obtain(signal: AbortSignal): Promise<DhcpBinding> {
    for (;;) {
      const xid = random32();
      const { requestedIP } = this.#options;
      const wanted = requestedIP === undefined ? [] : [[DhcpOptionCodes.REQUESTED_IP, serializeIPv4Address(requestedIP)] as const];
      const [offer] = await this.#ask(DISCOVER, xid, wanted, Infinity, signal, (reply) => reply.type === 'OFFER' && bindingOf(reply, 0) !== undefined);
      const server = offer && ipOf(offer.options.get(DhcpOptions.SERVER_IDENTIFIER));
      if (!offer || !server) continue;
      const chosen = [
        [DhcpOptionCodes.REQUESTED_IP, serializeIPv4Address(offer.yiaddr)],
        [DhcpOptions.SERVER_IDENTIFIER, serializeIPv4Address(server)],
      ] as const;
      const [reply, sentAt] = await this.#ask(REQUEST, xid, chosen, REQUEST_ATTEMPTS, signal, verdictOn(offer.yiaddr, server));
      const binding = reply?.type === 'ACK' ? bindingOf(reply, sentAt) : undefined;
      if (binding) return binding;
      // A server that offers what it then refuses must not be asked in a loop without pause.
      await wait(this.#retry(0), signal);
    }
  }

  /** Sends, and sends again, until a reply suits. */
  async #ask(
    type: number,
    xid: number,
    options: Iterable<readonly [number, Uint8Array]>,
    attempts: number,
    signal: AbortSignal,
    suits: (reply: DhcpReplyPacket) => boolean,
  ): Promise<[reply: DhcpReplyPacket | undefined, sentAt: number]> {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const sentAt = Date.now();
      const reply = this.#mailbox!.receive(xid, this.#retry(attempt), signal, suits);
      await Promise.race([this.#send(type, xid, { options }), reply]);
      const received = await reply;
      if (received) return [received, sentAt];
    }
    return [undefined, 0];
  }

  /** Renews until the binding is lost: it has expired, or a server says that it is not ours. */
  async #keep(closing: AbortSignal): Promise<void> {
    for (;;) {
      const { renewsAt, rebindsAt, expiresAt, ip, serverIdentifier } = this.#binding!;
      this.#renewal = new AbortController();
      await wait(renewsAt - Date.now(), closing, this.#renewal.signal);
      const xid = random32();
      let isRenewed = false;
      while (!isRenewed) {
        const now = Date.now();
        if (now >= expiresAt) return;
        const isRebinding = now >= rebindsAt;
        // Half of what is left, but not more often than once a minute (RFC 2131 4.4.5).
        const left = (isRebinding ? expiresAt : Math.min(rebindsAt, expiresAt)) - now;
        const pause = Math.min(Math.max(left / 2, this.#retry(0) * MIN_RENEWAL_RETRIES), left, MAX_TIMER_MS);
        const reply = this.#mailbox!.receive(xid, pause, closing, verdictOn(ip, isRebinding ? undefined : serverIdentifier));
        await Promise.race([this.#send(REQUEST, xid, { ciaddr: ip, to: isRebinding ? undefined : serverIdentifier }), reply]);
        const received = await reply;
        if (received?.type === 'NAK') return;
        const binding = received && bindingOf(received, now);
        if (!binding) continue;
        isRenewed = await this.#bind(binding);
        if (!isRenewed) return;
      }
    }
  }

  /** Whether the interface could take what was given. */
  async #bind(binding: DhcpBinding): Promise<boolean> {
    const { interface: to, routes, resolver, isInUse, onChange } = this.#options;
    if (this.#binding && isSame(this.#binding, binding)) {
      this.#binding = binding;
    } else {
      if (this.#binding?.ip !== binding.ip && (await isInUse?.(binding.ip).catch(() => false))) return false;
      await this.#takeBack?.();
      this.#takeBack = undefined;
      try {
        this.#takeBack = await apply(binding, to, routes, resolver);
      } catch {
        return false;
      }
      this.#binding = binding;
    }
    onChange?.(binding);
    return true;
  }

  async #unbind(): Promise<void> {
    const had = this.#binding;
    const takeBack = this.#takeBack;
    this.#binding = this.#takeBack = undefined;
    // The interface may be gone.
    await takeBack?.().catch(() => {});
    if (had) this.#options.onChange?.(undefined);
  }

  async #decline({ ip, serverIdentifier }: DhcpBinding): Promise<void> {
    const options = [
      [DhcpOptionCodes.REQUESTED_IP, serializeIPv4Address(ip)],
      [DhcpOptions.SERVER_IDENTIFIER, serializeIPv4Address(serverIdentifier)],
    ] as const;
    await this.#send(DECLINE, random32(), { options });
    await wait(this.#retry(0) * DECLINE_RETRIES, this.#closing.signal);
  }

  async #send(type: number, xid: number, more: Pick<DhcpRequest, 'ciaddr' | 'options'> & { to?: string }): Promise<void> {
    const {
      interface: { mac },
      hostname,
      clientId,
      vendorClass,
    } = this.#options;
    const { to, ...fields } = more;
    const data = serializeRequest({ type, xid, mac, milliseconds: Date.now() - this.#began, hostname, clientId, vendorClass, ...fields });
    await this.#mailbox?.send(data, to);
  }

  /** Milliseconds before another attempt, more or less at random so that many clients do not ask in step. */
  #retry(attempt: number): number {
    return (this.#options.retry ?? 1000) * 2 ** Math.min(attempt, MAX_DOUBLINGS) * (0.9 + Math.random() * 0.2);
  }
}

/** Whether a reply settles a REQUEST for this address; of this server, unless any may answer. */
function verdictOn(ip: string, server: string | undefined): (reply: DhcpReplyPacket) => boolean {
  return (reply) => {
    if (server !== undefined && ipOf(reply.options.get(DhcpOptions.SERVER_IDENTIFIER)) !== server) return false;
    return reply.type === 'NAK' || (reply.type === 'ACK' && reply.yiaddr === ip && bindingOf(reply, 0) !== undefined);
  };
}

function random32(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
