import { connectStreams, createStack, patch, type NetworkStack } from '../../src/index.ts';
import { deepEqual, equal, ok, rejects, test } from '../harness.ts';
import { connected, turn } from './stacks.ts';

test(
  '64 ports: everyone reaches everyone',
  async () => {
    const ports = 64;
    const router = await createStack();
    const taps = await Promise.all(Array.from({ length: ports }, () => router.interfaces.createTap()));
    const bridge = await router.interfaces.createBridge({ ports: taps, ip: '10.0.0.1/16' });
    equal(bridge.ports.length, ports);
    const devices: NetworkStack[] = [];
    for (const [place, tap] of taps.entries()) {
      const device = await createStack();
      const own = await device.interfaces.createTap({ ip: `10.0.1.${place}/16` });
      if (place % 2) patch(own, tap);
      else connectStreams(own, tap);
      devices.push(device);
    }
    const sockets = await Promise.all([router, ...devices].map((device) => device.udp.open({ port: 7, receiveBufferSize: 1 << 20 })));
    await Promise.all(
      devices.map(async (device, place) => {
        const next = (place + 7) % ports;
        const listener = await devices[next]!.tcp.listen({ port: 1000 + place });
        const [connection, accepted] = await Promise.all([device.tcp.connect({ host: `10.0.1.${next}`, port: 1000 + place }), listener.accept()]);
        await connection.write(new Uint8Array(50_000));
        let count = 0;
        while (count < 50_000) count += await accepted!.readInto(new Uint8Array(65_536));
        const session = await device.ping.createSession({ host: '10.0.0.1' });
        equal((await session.ping()).host, '10.0.0.1');
      }),
    );
    await sockets[5]!.send({ host: '255.255.255.255', port: 7, data: new Uint8Array([5]) });
    const heard = await Promise.all(sockets.filter((_, place) => place !== 5).map((socket) => socket.receive()));
    ok(heard.every((datagram) => datagram!.host === '10.0.1.4' && datagram!.data[0] === 5));
    await Promise.all([router, ...devices].map((device) => device.close()));
  },
  { limitSeconds: 120 },
);

test('what goes between two ports stays between them', async () => {
  const [router, one, two] = await Promise.all([createStack(), createStack(), createStack()]);
  const ports = await Promise.all([1, 2, 3].map(() => router.interfaces.createTap()));
  await router.interfaces.createBridge({ ports });
  patch(await one.interfaces.createTap({ ip: '10.0.0.1/24' }), ports[0]!);
  patch(await two.interfaces.createTap({ ip: '10.0.0.2/24' }), ports[1]!);
  let leaked = 0;
  await connected({ a: one, b: two });
  ports[2]!.onFrames((frames) => (leaked += frames.length));
  const { client, server } = await connected({ a: one, b: two }, '10.0.0.2', 81);
  await client.write(new Uint8Array(10_000));
  equal((await server.readInto(new Uint8Array(20_000))) > 0, true);
  await turn();
  equal(leaked, 0);
  await Promise.all([router, one, two].map((stack) => stack.close()));
});

test('a bridge has addresses of its own, and its ports come and go with it', async () => {
  const [router, device] = await Promise.all([createStack(), createStack()]);
  const port = await router.interfaces.createTap({ ip: '10.9.0.1/24' });
  const bridge = await router.interfaces.createBridge({ ports: [port], mac: '02:00:00:00:00:01', ip: '10.0.0.1/24' });
  deepEqual([bridge.mac, bridge.ip, bridge.netmask, bridge.type], ['02:00:00:00:00:01', '10.0.0.1', '255.255.255.0', 'bridge']);
  patch(await device.interfaces.createTap({ ip: '10.0.0.2/24', addresses: ['10.9.0.2/24'] }), port);
  const { server } = await connected({ a: device, b: router }, '10.0.0.1');
  await connected({ a: router, b: device }, '10.0.0.2', 81);
  await rejects(router.interfaces.createBridge({ ports: [port] }), { code: 'EINVAL' });
  await router.interfaces.remove(bridge);
  await rejects(server.readInto(new Uint8Array(1)), { code: 'EHOSTUNREACH' });
  await connected({ a: device, b: router }, '10.9.0.1', 82);
  await router.interfaces.createBridge({ ports: [port] });
  await router.interfaces.remove(port);
  equal([...router.interfaces].at(-1)!.type, 'bridge');
  await Promise.all([router.close(), device.close()]);
});

test('only taps of the stack can be ports, each once', async () => {
  const [router, other] = await Promise.all([createStack(), createStack()]);
  const own = await router.interfaces.createTap();
  await rejects(router.interfaces.createBridge({ ports: [await other.interfaces.createTap()] }), { code: 'EINVAL' });
  await rejects(router.interfaces.createBridge({ ports: [own, own] }), { code: 'EINVAL' });
  await rejects(router.interfaces.createBridge({ ports: [await router.interfaces.createTun()] as never }), { code: 'EINVAL' });
  await Promise.all([router.close(), other.close()]);
});
