/** Clones of one saved state on one LAN: the same MAC address inside, others outside. */
import { createLan } from '../../src/lan/lan.ts';
import { deepEqual, equal, ok, pattern, rejects, test, throws } from '../harness.ts';
import { plugIn } from './guest.ts';

const INNER = '02:00:00:11:22:33';
const OUTER = ['02:00:00:aa:00:01', '02:00:00:aa:00:02'];

test('lan: clones with one MAC address lease addresses of their own, and reach each other and the gateway', async () => {
  await using lan = await createLan({ ipv6: 'fd00:86::1/64' });
  const clones = [];
  for (const translate of OUTER) clones.push(await plugIn(lan, { mac: INNER, translate, client: { hostname: `clone-${translate.slice(-1)}` } }));
  const [a, b] = clones as [(typeof clones)[0], (typeof clones)[0]];
  deepEqual([a.address, b.address], ['192.168.86.100', '192.168.86.101']);
  deepEqual(
    lan.guests().map((guest) => [guest.mac, guest.port, guest.name, guest.addresses[0]]),
    [
      [OUTER[0], a.port.number, 'clone-1', a.address],
      [OUTER[1], b.port.number, 'clone-2', b.address],
    ],
  );
  const listener = await b.stack.tcp.listen({ port: 80 });
  const client = await a.stack.tcp.connect({ host: b.address, port: 80 });
  const server = (await listener.accept())!;
  void client.write(pattern(100_000)).then(() => client.close());
  let received = 0;
  for await (const chunk of server) received += chunk.length;
  equal(received, 100_000);
  const connection = await lan.connect('clone-2', 80);
  equal(connection.remoteAddress, b.address);
  connection.reset();
  for (const clone of clones) await clone.unplug();
});

test('lan: without translation one of two clones is not heard', async () => {
  await using lan = await createLan();
  const first = await plugIn(lan, { mac: INNER });
  await rejects(plugIn(lan, { mac: INNER, client: { timeout: 500 } }), { code: 'ETIMEDOUT' });
  ok((lan.stats().drops['mac_claimed'] ?? 0) > 0);
  await first.unplug();
});

test('lan: translation begins, changes and ends while a port is open', async () => {
  await using lan = await createLan();
  const guest = await plugIn(lan, { mac: INNER });
  const macs = () => lan.guests().map((one) => one.mac);
  deepEqual(macs(), [INNER]);
  throws(() => guest.port.translate('nonsense'), { code: 'EINVAL' });
  for (const outer of [OUTER[0], undefined]) {
    guest.port.translate(outer);
    const session = await guest.stack.ping.createSession({ host: lan.address });
    equal((await session.ping()).host, lan.address);
    ok(macs().includes(outer ?? INNER));
  }
  await guest.unplug();
  guest.port.translate(OUTER[0]);
});
