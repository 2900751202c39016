import { createStack, patch, type FrameEndpoint } from '../../src/index.ts';
import { deepEqual, equal, ok, pattern, rejects, test, throws } from '../harness.ts';
import { A, B, collect, connected, pair, turn } from './stacks.ts';

test("patched interfaces pass segments whole, whatever the MTU; a bridge's port does not", async () => {
  for (const kind of ['tap', 'tun'] as const) {
    const { a, b, ta, tb, close } = await pair({ kind, mtu: 1500 });
    const { client, server } = await connected({ a, b });
    const sending = client.write(pattern(1 << 20)).then(() => client.writable.close());
    deepEqual(await collect(server), pattern(1 << 20));
    await sending;
    const { framesReceived, bytesReceived } = tb.stats();
    ok(bytesReceived / framesReceived > 5000, `${kind}: ${bytesReceived} bytes in ${framesReceived} frames`);
    equal(framesReceived, ta.stats().framesSent);
    await close();
  }
});

test('parted interfaces are strangers, and can be joined again', async () => {
  const { a, b, ta, tb, close } = await pair({ by: 'none' });
  const cable = patch(ta, tb);
  throws(() => patch(ta, tb), { code: 'EINVAL', message: 'tap0 is joined already' });
  await connected({ a, b });
  cable.close();
  cable.close();
  const session = await a.ping.createSession({ host: B, timeout: 20 });
  await rejects(session.ping(), { code: 'ETIMEDOUT' });
  {
    using again = patch(tb, ta);
    ok(again);
    equal((await session.ping({ timeout: 5000 })).host, B);
  }
  await rejects(session.ping(), { code: 'ETIMEDOUT' });
  await close();
});

test('a tap and a tun, or an interface and itself, cannot be joined', async () => {
  await using stack = await createStack();
  const tap = await stack.interfaces.createTap();
  throws(() => patch(tap, tap), { code: 'EINVAL' });
  const tun = await stack.interfaces.createTun();
  throws(() => patch(tap, tun), { code: 'EINVAL' });
});

test('an interface and a NIC', async () => {
  const { a, b, ta, tb, close } = await pair({ by: 'none' });
  // A NIC that keeps no frame, in front of the other stack.
  const nic: FrameEndpoint = {
    send: (frames) => tb.send(frames),
    onFrames: (callback) => tb.onFrames(callback),
  };
  const cable = patch(ta, nic);
  const { client, server } = await connected({ a, b });
  await client.write(pattern(100_000));
  await client.writable.close();
  deepEqual(await collect(server), pattern(100_000));
  cable.close();
  const before = tb.stats().framesReceived;
  await server.write(pattern(10));
  await turn();
  equal(tb.stats().framesReceived, before);
  await close();
});

test('two taps of one stack', async () => {
  const stack = await createStack();
  const [one, two] = [await stack.interfaces.createTap({ ip: '10.1.0.1/24' }), await stack.interfaces.createTap({ ip: '10.2.0.1/24' })];
  patch(one, two);
  const socket = await stack.udp.open({ port: 7, interface: 'tap1' });
  const sender = await stack.udp.open({ interface: 'tap0' });
  await sender.send({ host: '255.255.255.255', port: 7, data: new Uint8Array([7]) });
  await turn();
  ok(two.stats().framesReceived > 0);
  await socket.close();
  await stack.close();
});

test('a pipe between interfaces ends as pipes do', async () => {
  const { a, b, ta, tb, close } = await pair({ by: 'none' });
  const abort = new AbortController();
  const there = ta.readable.pipeTo(tb.writable, { signal: abort.signal, preventAbort: true, preventCancel: true });
  const back = tb.readable.pipeTo(ta.writable, { preventClose: true });
  equal(ta.readable.locked && tb.writable.locked, true);
  await connected({ a, b });
  abort.abort(new Error('enough'));
  await rejects(there, { message: 'enough' });
  equal(ta.readable.locked || tb.writable.locked, false);
  const again = ta.readable.pipeTo(tb.writable);
  const session = await a.ping.createSession({ host: B, timeout: 5000 });
  equal((await session.ping()).host, B);
  await b.interfaces.remove(tb);
  await back;
  await a.interfaces.remove(ta);
  await again;
  await tb.writable.getWriter().closed;
  await close();
});

test('a pipe through a transform sees every frame', async () => {
  const { a, b, ta, tb, close } = await pair({ by: 'none' });
  let seen = 0;
  const watch = () =>
    new TransformStream<Uint8Array, Uint8Array>({
      transform(frame, controller) {
        seen += 1;
        controller.enqueue(frame);
      },
    });
  void ta.readable.pipeThrough(watch()).pipeTo(tb.writable);
  void tb.readable.pipeThrough(watch()).pipeTo(ta.writable);
  const { client, server } = await connected({ a, b });
  deepEqual([client.remoteAddress, server.remoteAddress], [B, A]);
  await client.write(pattern(200_000));
  await client.writable.close();
  deepEqual(await collect(server), pattern(200_000));
  ok(seen > 140);
  await close();
});
