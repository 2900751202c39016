/** What `attachNetwork` does to an emulator, whatever the backend. */
import { attachNetwork, createV86NetworkStream } from '../../src/v86/index.ts';
import { deepEqual, equal, ok, rejects, test, throws } from '../harness.ts';
import { BROADCAST, createGuest, FakeEmulator, frame, type Kind } from './emulator.ts';

const GARBAGE = [
  new Uint8Array(0),
  new Uint8Array(1),
  new Uint8Array(13),
  new Uint8Array(14),
  new Uint8Array(60),
  new Uint8Array(70_000),
  frame(BROADCAST, [2, 0, 0, 0, 0, 1], 0x0806, 20),
  frame(BROADCAST, [2, 0, 0, 0, 0, 1], 0x0800, 33),
  frame(BROADCAST, [2, 0, 0, 0, 0, 1], 0x86dd, 40),
  undefined as unknown as Uint8Array,
];

test('v86 attach: it is there at once, as the emulator’s adapter, and ends with it', async () => {
  const emulator = new FakeEmulator('virtio');
  const network = attachNetwork(emulator, 'none');
  equal(emulator.network_adapter, network);
  equal(network.state, 'connecting');
  emulator.start();
  await network.ready;
  deepEqual([network.state, network.active, network.error], ['up', 'none', undefined]);
  (emulator.network_adapter as { destroy(): void }).destroy();
  deepEqual([network.state, emulator.network_adapter, emulator.bus.listeners['net0-send']], ['closed', undefined, []]);
  network.destroy();
});

test('v86 attach: a target that makes no sense changes nothing', () => {
  const emulator = new FakeEmulator('virtio').start();
  throws(() => attachNetwork(emulator, 'gopher://x/'), { code: 'EINVAL' });
  throws(() => attachNetwork(emulator, { relay_url: 'none', mtu: 1 }), { code: 'EINVAL' });
  throws(() => attachNetwork(emulator, 'none', { timeouts: { connect: -1 } }), { code: 'EINVAL' });
  deepEqual([emulator.network_adapter, emulator.bus.listeners['net0-send']], [undefined, undefined]);
  throws(() => attachNetwork({ add_listener() {} }, 'none'), { code: 'EINVAL', message: /bus/ });
});

for (const kind of ['virtio', 'ne2k'] as Kind[]) {
  test(`v86 section 6, 1: no frame of a guest throws into its ${kind}`, async () => {
    for (const url of ['none', 'inbrowser']) {
      const emulator = new FakeEmulator(kind).start();
      const network = attachNetwork(emulator, { relay_url: url, id: 61, gateway: true });
      for (const bad of GARBAGE) emulator.emulator_bus.send('net0-send', bad);
      await network.ready;
      for (const bad of GARBAGE) emulator.emulator_bus.send('net0-send', bad);
      equal(network.state, 'up');
      network.detach();
    }
  });
}

test('v86 section 6, 20: what an ne2k sends before the module is loaded arrives whole', async () => {
  const here = await createGuest('ne2k', { ip: '10.5.0.2/24' });
  const there = await createGuest('virtio', { ip: '10.5.0.3/24' });
  const networks = [here, there].map(({ emulator }) => attachNetwork(emulator.start(), { relay_url: 'none', id: 620 }));
  // Sent now: the card uses its memory again at once.
  const listener = await there.stack.tcp.listen({ port: 7 });
  const connection = await here.stack.tcp.connect({ host: '10.5.0.3', port: 7 });
  ok(await listener.accept());
  await connection.close();
  for (const network of networks) network.detach();
  await Promise.all([here.close(), there.close()]);
});

test('v86 attach: another network takes the place of v86’s own, and of ours', async () => {
  const emulator = new FakeEmulator('virtio').start();
  const heard: string[] = [];
  const own = { destroy: () => void heard.push('destroyed') };
  emulator.bus.register('net0-send', () => void heard.push('frame'), own);
  emulator.bus.register('tcp-connection', () => void heard.push('connection'), own);
  emulator.network_adapter = own;
  const first = attachNetwork(emulator, 'none');
  emulator.transmit(frame(BROADCAST, [2, 0, 0, 0, 0, 1]));
  deepEqual(heard, ['destroyed']);
  const second = attachNetwork(emulator, 'none');
  deepEqual([first.state, emulator.network_adapter === second, emulator.bus.listeners['net0-send']!.length], ['closed', true, 1]);
  second.detach();
  const nic = createV86NetworkStream(emulator);
  equal(emulator.network_adapter, nic);
  nic.destroy();
});

test('v86 attach: what v86 makes of its own after that is taken out again', async () => {
  const emulator = new FakeEmulator('virtio');
  const network = attachNetwork(emulator, 'none');
  const heard: string[] = [];
  const own = { destroy: () => void heard.push('destroyed') };
  emulator.bus.register('net0-send', () => void heard.push('frame'), own);
  emulator.network_adapter = own;
  emulator.start();
  await Promise.resolve();
  emulator.transmit(frame(BROADCAST, [2, 0, 0, 0, 0, 1]));
  deepEqual([heard, emulator.network_adapter === network], [['destroyed'], true]);
  network.detach();
});

test('v86 attach: a net_device without type gets the card that v86 documents', () => {
  const device = { relay_url: 'none' } as { relay_url: string; type?: 'ne2k' };
  const network = attachNetwork(new FakeEmulator('ne2k'), device);
  equal(device.type, 'ne2k');
  network.detach();
});

test('v86 attach: off is a pulled cable, on is the same network', async () => {
  const here = await createGuest('virtio', { ip: '10.5.0.2/24' });
  const there = await createGuest('ne2k', { ip: '10.5.0.3/24' });
  const [network, other] = [here, there].map(({ emulator }) => attachNetwork(emulator.start(), { relay_url: 'none', id: 621 })) as [
    ReturnType<typeof attachNetwork>,
    ReturnType<typeof attachNetwork>,
  ];
  await network.ready;
  const states: string[] = [];
  network.addEventListener('statechange', () => states.push(network.state));
  const session = await here.stack.ping.createSession({ host: '10.5.0.3' });
  await session.ping();
  network.enabled = false;
  const count = there.emulator.received.length;
  const lost = rejects(session.ping({ timeout: 50 } as never), {});
  network.receive(frame(BROADCAST, [2, 0, 0, 0, 0, 9]));
  await lost;
  equal(there.emulator.received.length, count);
  network.enabled = true;
  await session.ping();
  deepEqual(states, ['off', 'up']);
  network.detach();
  other.detach();
  await Promise.all([here.close(), there.close()]);
});

test('v86 attach: switched at run time, the guest is on the other network alone', async () => {
  // Both have the same addresses, so that it need not ask anew.
  const mac = '02:00:00:00:00:33';
  const guests = await Promise.all([
    createGuest('virtio', { ip: '10.5.0.2/24' }),
    ...['left', 'right'].map(() => createGuest('virtio', { ip: '10.5.0.3/24', mac })),
  ]);
  const [here, left, right] = guests as [(typeof guests)[0], (typeof guests)[0], (typeof guests)[0]];
  const network = attachNetwork(here.emulator.start(), { relay_url: 'none', id: 622 });
  const others = [attachNetwork(left.emulator.start(), { relay_url: 'none', id: 622 }), attachNetwork(right.emulator.start(), { relay_url: 'none', id: 623 })];
  for (const [name, guest] of [
    ['left', left],
    ['right', right],
  ] as const) {
    const listener = await guest.stack.tcp.listen({ port: 7 });
    void (async () => {
      for await (const connection of listener) await connection.write(new TextEncoder().encode(name));
    })();
  }
  const who = async () => {
    const connection = await here.stack.tcp.connect({ host: '10.5.0.3', port: 7 });
    const { value } = await connection.readable.getReader().read();
    connection.reset();
    return new TextDecoder().decode(value);
  };
  equal(await who(), 'left');
  const switched = network.switchTo({ relay_url: 'none', id: 623 });
  await switched;
  equal(await who(), 'right');
  await rejects(network.switchTo('gopher://x/'), { code: 'EINVAL' });
  equal(network.state, 'up');
  network.detach();
  await rejects(network.switchTo('none'), { code: 'ECONNABORTED' });
  for (const other of others) other.detach();
  await Promise.all(guests.map((guest) => guest.close()));
});

test('v86 attach: what the page asks of a guest when there is no gateway fails with why', async () => {
  const emulator = new FakeEmulator('virtio').start();
  const network = attachNetwork(emulator, 'none');
  await rejects(network.dial(80), { code: 'ENETUNREACH' });
  equal(await network.tcp_probe(80), false);
  await rejects(network.dial(0), { code: 'EINVAL' });
  const connection = network.connect(80);
  const error = await new Promise<Error & { code?: string }>((resolve) => connection.on('error', resolve));
  deepEqual([error.code, connection.state], ['ENETUNREACH', 'closed']);
  network.detach();
  await rejects(network.dial(80), { code: 'ECONNABORTED' });
});
