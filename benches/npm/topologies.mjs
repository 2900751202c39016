/**
 * How two ends are joined. Every one gives a stack that connects, one that listens, and the address to connect to.
 */
const A = '10.0.0.1';
const B = '10.0.0.2';

/** `by` is `patch`, `streams` (pipes between our interfaces), or `pipes` (what the engine makes of `pipeTo`). */
function join(library, one, two, by) {
  if (by === 'patch') library.patch(one, two);
  else if (by === 'streams') library.connectStreams(one, two);
  else {
    const { pipeTo } = ReadableStream.prototype;
    void pipeTo.call(one.readable, two.writable);
    void pipeTo.call(two.readable, one.writable);
  }
}

export async function taps(library, { mtu, by }) {
  const [a, b] = await Promise.all([library.createStack(), library.createStack()]);
  const one = await a.createTapInterface({ ip: `${A}/24`, mtu });
  join(library, one, await b.createTapInterface({ ip: `${B}/24`, mtu }), by);
  return { a, b, host: B };
}

export async function tuns(library, { mtu, by }) {
  const [a, b] = await Promise.all([library.createStack(), library.createStack()]);
  const one = await a.createTunInterface({ ip: `${A}/24`, mtu });
  join(library, one, await b.createTunInterface({ ip: `${B}/24`, mtu }), by);
  return { a, b, host: B };
}

/** A third stack bridges the two. */
export async function bridge(library, { mtu, by }) {
  const [a, b, router] = await Promise.all([library.createStack(), library.createStack(), library.createStack()]);
  const ports = [await router.createTapInterface({ mtu }), await router.createTapInterface({ mtu })];
  await router.createBridgeInterface({ ports, mtu });
  join(library, await a.createTapInterface({ ip: `${A}/24`, mtu }), ports[0], by);
  join(library, await b.createTapInterface({ ip: `${B}/24`, mtu }), ports[1], by);
  return { a, b, router, host: B };
}

export async function loopback(library) {
  const stack = await library.createStack();
  return { a: stack, b: stack, host: '127.0.0.1' };
}
