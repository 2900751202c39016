/**
 * A guest on a LAN: a stack of its own, whose tap is plugged into a port. It leases its address as any guest.
 */
import { DhcpClient, type DhcpClientOptions } from '../../src/dhcp/index.ts';
import { createDns, type Dns } from '../../src/dns/index.ts';
import { createStack, type NetworkStack, type TapInterface } from '../../src/index.ts';
import type { Lan, Port, PortOptions } from '../../src/lan/types.ts';

export type TestGuest = { stack: NetworkStack; tap: TapInterface; port: Port; dns: Dns; address: string; lease?: DhcpClient; unplug(): Promise<void> };

/**
 * The guests that are plugged in, and so their LANs and whatever waits for their frames. A page holds its emulators; a test that waits for a datagram
 * is held by its guest alone, and all of it may be collected.
 */
const plugged = new Set<TestGuest>();

/** Plugs a new guest in; with `ip` it has that address, without it leases one. */
export async function plugIn(
  lan: Lan,
  { ip, mac, client, ...options }: PortOptions & { ip?: string; mac?: string; client?: Partial<DhcpClientOptions> } = {},
): Promise<TestGuest> {
  const stack = await createStack();
  const { mtu = 1500 } = options;
  const tap = await stack.interfaces.createTap({ mtu, ...(ip === undefined ? {} : { ip }), ...(mac === undefined ? {} : { mac }) });
  const port = lan.openPort(options, (frame) => tap.send(frame));
  tap.onFrames((frames) => frames.forEach((frame) => port.send(frame)));
  const dns = await createDns(stack);
  const unplug = async () => {
    plugged.delete(guest);
    port.close();
    await stack.close();
  };
  const guest: TestGuest = { stack, tap, port, dns, address: '', unplug };
  plugged.add(guest);
  if (ip !== undefined) {
    if (lan.address !== '' && lan.address !== ip.split('/')[0]) stack.routes.add({ destination: '0.0.0.0/0', via: lan.address });
    guest.address = ip.split('/')[0]!;
    return guest;
  }
  guest.lease = new DhcpClient(stack, { interface: tap, resolver: dns.client, ...client });
  guest.address = (await guest.lease.start()).ip;
  return guest;
}
