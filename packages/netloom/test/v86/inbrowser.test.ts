/** LANs of a page and of its tabs; the other tab is a channel of its own, with guests as v86's own adapter has them. */
import { attachNetwork } from '../../src/v86/index.ts';
import { deepEqual, equal, ok, test } from '../harness.ts';
import { BROADCAST, createGuest, FakeEmulator, frame } from './emulator.ts';

const FAR = [2, 0, 0, 0, 0, 0x0f] as const;

/** Another tab, which hears all frames and sends what it likes, whole card memory and all. */
function otherTab(id: number) {
  const channel = new BroadcastChannel(`v86-inbrowser-${id}`);
  const heard: Uint8Array[] = [];
  const wakes: (() => void)[] = [];
  channel.onmessage = ({ data }) => {
    heard.push(data);
    for (const wake of wakes.splice(0)) wake();
  };
  return {
    heard,
    send: (bytes: Uint8Array) => {
      const memory = new Uint8Array(32 << 10);
      memory.set(bytes, 512);
      channel.postMessage(memory.subarray(512, 512 + bytes.length));
    },
    until: async (found: (frame: Uint8Array) => boolean) => {
      while (!heard.some(found)) await new Promise<void>((resolve) => wakes.push(resolve));
    },
    close: () => channel.close(),
  };
}

const isType = (type: number) => (bytes: Uint8Array) => bytes[12] === type >> 8 && bytes[13] === (type & 255);
const same = (bytes: Uint8Array, mac: ArrayLike<number>, at: number) => Array.from(mac).every((byte, index) => bytes[at + index] === byte);

test('v86 inbrowser: guests of one page reach each other, and their unicast stays in it', async () => {
  const tab = otherTab(31);
  const [a, b] = [await createGuest('virtio', { ip: '10.5.0.2/24' }), await createGuest('ne2k', { ip: '10.5.0.3/24' })];
  const networks = [a, b].map(({ emulator }) => attachNetwork(emulator.start(), { relay_url: 'inbrowser', id: 31 }));
  const listener = await b.stack.tcp.listen({ port: 7 });
  const connection = await a.stack.tcp.connect({ host: '10.5.0.3', port: 7 });
  const accepted = (await listener.accept())!;
  await accepted.write(new Uint8Array(100_000));
  await accepted.writable.close();
  let bytes = 0;
  for await (const chunk of connection) bytes += chunk.length;
  equal(bytes, 100_000);
  // The last frame to the tab is a broadcast: all before it would have arrived.
  a.emulator.transmit(frame(BROADCAST, a.emulator.card.mac as never, 0x88b6));
  await tab.until(isType(0x88b6));
  ok(
    tab.heard.every((heard) => heard[0]! & 1),
    'only broadcasts have left the page',
  );
  ok(
    tab.heard.every((heard) => heard.buffer.byteLength === heard.length),
    'each frame by itself',
  );
  for (const network of networks) network.detach();
  tab.close();
  await Promise.all([a.close(), b.close()]);
});

test('v86 section 6, 19: unicast of another tab reaches its owner alone, once it is known', async () => {
  const tab = otherTab(32);
  const [a, b] = [new FakeEmulator('virtio', [2, 0, 0, 0, 0, 1]).start(), new FakeEmulator('virtio', [2, 0, 0, 0, 0, 2]).start()];
  const networks = [a, b].map((emulator) => attachNetwork(emulator, { relay_url: 'inbrowser', id: 32 }));
  await Promise.all(networks.map(({ ready }) => ready));
  a.transmit(frame(BROADCAST, a.card.mac as never, 0x88b6));
  await tab.until(isType(0x88b6));
  const arrived = new Promise<void>((resolve) => void (a.onFrame = (bytes) => isType(0x88b7)(bytes) && resolve()));
  tab.send(frame(a.card.mac as never, FAR, 0x88b5));
  // To a guest of a third tab that this page has heard of, and to one that is here.
  tab.send(frame(BROADCAST, [2, 0, 0, 0, 0, 0x1f], 0x88b5));
  tab.send(frame([2, 0, 0, 0, 0, 0x1f], FAR, 0x88b8));
  tab.send(frame(a.card.mac as never, FAR, 0x88b7));
  await arrived;
  const toA = (bytes: Uint8Array) => same(bytes, a.card.mac, 0);
  deepEqual([a.received.filter(toA).length, b.received.filter(toA).length], [2, 0]);
  equal([...a.received, ...b.received].filter(isType(0x88b8)).length, 0);
  // And from here: unicast to the tab's guest leaves, for nobody else here.
  const before = b.received.length;
  a.transmit(frame(FAR, a.card.mac as never, 0x88b9));
  await tab.until(isType(0x88b9));
  equal(b.received.length, before);
  for (const network of networks) network.detach();
  tab.close();
});

test('v86 inbrowser: with a gateway, guests have leases and names, and the page reaches them', async () => {
  const [a, b] = [await createGuest('virtio'), await createGuest('ne2k')];
  const networks = [a, b].map(({ emulator }) => attachNetwork(emulator.start(), { relay_url: 'inbrowser', id: 33, gateway: true }));
  await Promise.all(networks.map(({ ready }) => ready));
  equal(await a.lease('web'), '192.168.86.100');
  equal(await b.lease('client'), '192.168.86.101');
  const listener = await a.stack.tcp.listen({ port: 8080 });
  const dialled = await networks[0]!.dial(8080);
  const accepted = (await listener.accept())!;
  deepEqual([accepted.remoteAddress, dialled.remoteAddress], ['192.168.86.1', '192.168.86.100']);
  dialled.reset();
  const named = await networks[1]!.dial(8080, { host: 'web' });
  ok(await listener.accept());
  named.reset();
  for (const network of networks) network.detach();
  await Promise.all([a.close(), b.close()]);
});

test('v86 inbrowser: a network without number is network 0, as in v86', async () => {
  const tab = otherTab(0);
  const emulator = new FakeEmulator('virtio').start();
  const network = attachNetwork(emulator, 'inbrowser');
  await network.ready;
  emulator.transmit(frame(BROADCAST, emulator.card.mac as never, 0x88ba));
  await tab.until(isType(0x88ba));
  network.detach();
  tab.close();
});
