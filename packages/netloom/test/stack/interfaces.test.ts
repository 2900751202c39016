import { createStack, LoopbackInterface, TapInterface, TunInterface } from '../../src/index.ts';
import { deepEqual, equal, ok, rejects, test } from '../harness.ts';
import { A, B, connected, pair, turn } from './stacks.ts';

test('interfaces iterate by kind and age, keep their identity, and can be removed', async () => {
  await using stack = await createStack({ initializeLoopback: false });
  const { interfaces } = stack;
  const tap = await interfaces.createTap({ mac: '00:1a:2b:3c:4d:5e', ip: '192.168.2.1/24' });
  const bridge = await interfaces.createBridge({ ports: [] });
  const tun = await interfaces.createTun({ ip: '192.168.1.1/24' });
  const other = await interfaces.createTap();
  const loopback = await interfaces.createLoopback({ ip: '127.0.0.1/8' });
  ok([...interfaces].every((one, place) => one === [loopback, tun, tap, other, bridge][place]));
  deepEqual(
    [...interfaces].map((one) => one.name),
    ['lo0', 'tun0', 'tap0', 'tap1', 'bridge0'],
  );
  for (const one of [loopback, tun, tap, other, bridge]) await interfaces.remove(one);
  deepEqual([...interfaces], []);
  await rejects(interfaces.remove(tap), { code: 'EINVAL' });
  equal((await interfaces.createTap()).name, 'tap2');
});

test('interfaces tell their addresses, netmask, MAC and MTU', async () => {
  await using stack = await createStack();
  const tap = await stack.interfaces.createTap({ mac: '00-1A-2b-3c-4d-5e', ip: '192.168.1.1/20', addresses: ['fd00::1/64'], mtu: 9000 });
  deepEqual([tap.mac, tap.ip, tap.netmask, tap.mtu], ['00:1a:2b:3c:4d:5e', '192.168.1.1', '255.255.240.0', 9000]);
  deepEqual(tap.addresses, ['192.168.1.1/20', 'fd00::1/64']);
  const random = await stack.interfaces.createTap();
  equal(Number.parseInt(random.mac.slice(0, 2), 16) & 3, 2, 'unicast and locally administered');
  deepEqual([random.ip, random.netmask, random.addresses, random.mtu], [undefined, undefined, [], 1500]);
  const six = await stack.interfaces.createTun({ ip: '2001:DB8:0:0:0:0:0:1/48' });
  deepEqual([six.ip, six.netmask], ['2001:db8::1', '/48']);
  ok(tap instanceof TapInterface && six instanceof TunInterface && [...stack.interfaces][0] instanceof LoopbackInterface);
});

test('malformed options are refused', async () => {
  await using stack = await createStack();
  const { interfaces } = stack;
  for (const ip of ['10.0.0.1/33', '10.0.0/8', '10.0.0.256/8', 'x', '::1/129', '10.0.0.1/8/8', '01.2.3.4/8', ':::/8', '1::2::3/8', '']) {
    await rejects(interfaces.createTun({ ip }), { code: 'EINVAL' });
  }
  for (const mac of ['00:11:22:33:44', 'zz:11:22:33:44:55', '01:00:00:00:00:00']) await rejects(interfaces.createTap({ mac }), { code: 'EINVAL' });
  for (const mtu of [67, 65_536, Number.NaN]) await rejects(interfaces.createTap({ mtu }), { code: 'EINVAL' });
  await rejects(interfaces.createTap({ queueSize: 0 }), { code: 'EINVAL' });
  await rejects(interfaces.createTap({ burst: -1 }), { code: 'EINVAL' });
  equal([...interfaces].length, 1);
});

test('a tap that nobody listens to drops frames', async () => {
  await using stack = await createStack();
  const tap = await stack.interfaces.createTap({ ip: `${A}/24` });
  const socket = await stack.udp.open();
  await socket.send({ host: '255.255.255.255', port: 9, data: new Uint8Array(1) });
  await turn();
  const frames = tap.listen();
  await socket.send({ host: '255.255.255.255', port: 9, data: new Uint8Array(2) });
  const { value } = await frames.next();
  equal(value!.length, 14 + 20 + 8 + 2);
});

test('listening locks the stream, and ends without ending it', async () => {
  await using stack = await createStack();
  const tap = await stack.interfaces.createTap({ ip: `${A}/24` });
  const socket = await stack.udp.open();
  for (const _ of [1, 2]) {
    const frames = tap.listen();
    await rejects(async () => tap.listen(), { message: 'readable stream already locked' });
    await socket.send({ host: '255.255.255.255', port: 9, data: new Uint8Array(1) });
    equal((await frames.next()).done, false);
    await frames.return!();
    equal((await frames.next()).done, true);
  }
});

test('frames come by callback in batches, and go by send', async () => {
  const { a, b, ta, tb, close } = await pair({ by: 'none' });
  let batches = 0;
  const stop = ta.onFrames((frames) => {
    batches += 1;
    tb.send(frames);
  });
  tb.onFrames((frames) => frames.forEach((frame) => ta.send(frame)));
  const { client, server } = await connected({ a, b });
  await client.write(new Uint8Array(100_000));
  let count = 0;
  while (count < 100_000) count += await server.readInto(new Uint8Array(65_536));
  ok(batches < ta.stats().framesSent, 'several frames in a batch');
  stop();
  const before = tb.stats().framesReceived;
  await client.write(new Uint8Array(1));
  await turn();
  equal(tb.stats().framesReceived, before);
  await rejects(async () => ta.send([1] as never), { name: 'TypeError' });
  await rejects(async () => ta.send('frame' as never), { name: 'TypeError' });
  await close();
});

test('what is no frame is a counted drop', async () => {
  await using stack = await createStack();
  const tap = await stack.interfaces.createTap({ ip: `${A}/24` });
  const tun = await stack.interfaces.createTun({ ip: '10.1.0.1/24' });
  const writer = tap.writable.getWriter();
  await writer.write(new Uint8Array(3));
  await writer.write(crypto.getRandomValues(new Uint8Array(65_536)));
  await writer.write(new Uint8Array(1 << 20));
  tun.send([new Uint8Array(0), new Uint8Array(65_535), new Uint8Array(20).fill(0x45)]);
  ok(Object.values(stack.stats().drops).reduce((sum, count) => sum + count, 0) >= 4);
  await rejects(writer.write('frame' as never), { name: 'TypeError' });
});

test('addresses change at run time', async () => {
  const { a, b, ta, tb, close } = await pair();
  const { client, listener } = await connected({ a, b });
  await tb.setAddresses(['10.0.0.3/24', 'fd00::3/64']);
  deepEqual(tb.addresses, ['10.0.0.3/24', 'fd00::3/64']);
  equal(tb.ip, '10.0.0.3');
  await ta.addAddress('fd00::1/64');
  const [v4, s4] = await Promise.all([a.tcp.connect({ host: '10.0.0.3', port: 80 }), listener.accept()]);
  equal(s4!.localAddress, '10.0.0.3');
  const [v6, s6] = await Promise.all([a.tcp.connect({ host: 'fd00::3', port: 80 }), listener.accept()]);
  deepEqual([v6.localAddress, s6!.remoteAddress], ['fd00::1', 'fd00::1']);
  await rejects(a.tcp.connect({ host: B, port: 80, timeout: 50 }), { code: 'ETIMEDOUT' });
  await ta.removeAddress('fd00::1/64');
  await rejects(v6.readInto(new Uint8Array(1)), { code: 'EHOSTUNREACH' });
  await rejects(ta.setAddresses(['nonsense']), { code: 'EINVAL' });
  deepEqual(ta.addresses, ['10.0.0.1/24']);
  client.reset();
  v4.reset();
  await close();
});

test('removing an interface breaks its connections off and ends its streams', async () => {
  const { a, b, ta, close } = await pair({ by: 'streams' });
  const { client } = await connected({ a, b });
  await a.interfaces.remove(ta);
  await rejects(client.readInto(new Uint8Array(1)), { code: 'EHOSTUNREACH' });
  await rejects(a.tcp.connect({ host: B, port: 80 }), { code: 'ENETUNREACH' });
  equal((await ta.readable.getReader().read()).done, true);
  ta.send(new Uint8Array(60));
  await close();
});

test('MTU of 68 to 65,535', async () => {
  for (const mtu of [68, 576, 1280, 1500, 9000, 65_535]) {
    const { a, b, ta, close } = await pair({ mtu, by: 'none' });
    const tb = [...b.interfaces].at(-1) as TapInterface;
    let longest = 0;
    ta.onFrames((frames) => {
      for (const frame of frames) longest = Math.max(longest, frame.length - 14);
      tb.send(frames);
    });
    tb.onFrames((frames) => ta.send(frames));
    const { client, server } = await connected({ a, b });
    const size = mtu < 576 ? 20_000 : 300_000;
    const sending = client.write(new Uint8Array(size));
    let count = 0;
    while (count < size) count += await server.readInto(new Uint8Array(65_536));
    await sending;
    ok(longest <= mtu && longest > mtu * 0.9, `${longest} of ${mtu}`);
    await close();
  }
});
