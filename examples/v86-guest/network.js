// The network of the page: 192.168.86.0/24, with the page at 192.168.86.1 and guests from 192.168.86.100 on.
import { createStack, patch } from 'netloom';
import { createDhcp } from 'netloom/dhcp';
import { createDns } from 'netloom/dns';
import { createHttp } from 'netloom/http';
import { createV86NetworkStream } from 'netloom/v86';

const PAGE = '192.168.86.1';
const NAME = 'page.test';

/** Makes the network for a guest with this card. `serve` answers what the guest asks the page's web server; `plug` takes the emulator. */
export async function createNetwork(nic, serve) {
  const stack = await createStack();
  // The ne2k holds eight full frames: what is sent in one go must not be more.
  const tap = await stack.interfaces.createTap({ ip: `${PAGE}/24`, ...(nic === 'ne2k' ? { burst: 8 } : {}) });

  const dhcp = await createDhcp(stack);
  const leases = await dhcp.serve({
    leaseRange: { start: '192.168.86.100', end: '192.168.86.200' },
    serverIdentifier: PAGE,
    netmask: '255.255.255.0',
    router: PAGE,
    dnsServers: [PAGE],
  });

  const dns = await createDns(stack);
  await dns.serve({
    request: async ({ name, type }) => {
      if (name !== NAME) return undefined;
      return type === 'A' ? { type, ip: PAGE, ttl: 60 } : [];
    },
  });

  const http = await createHttp(stack.tcp);
  await http.serve({ port: 80 }, serve);

  return { stack, leases, fetch: http.fetch, plug: (emulator) => patch(createV86NetworkStream(emulator), tap) };
}
