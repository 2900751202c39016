/**
 * A machine that fails: a module with the same functions, of which one traps.
 */
import { createStack, type NetworkError } from '../../src/index.ts';
import { loadModule } from '../../src/engine/module.ts';
import { equal, ok, rejects, test, throws } from '../harness.ts';

const unsigned = (number: number): number[] => (number < 128 ? [number] : [(number & 127) | 128, ...unsigned(number >>> 7)]);
const vector = (items: number[][]): number[] => [...unsigned(items.length), ...items.flat()];
const named = (text: string): number[] => [...unsigned(text.length), ...new TextEncoder().encode(text)];
const section = (id: number, content: number[]): number[] => [id, ...unsigned(content.length), ...content];

/** The functions of the real module, which do nothing and give what `answers` says, or 0; those of `traps` end the instance. */
async function module(answers: Record<string, number>, traps: string[]): Promise<WebAssembly.Module> {
  const names = WebAssembly.Module.exports(await loadModule())
    .filter(({ kind }) => kind === 'function')
    .map(({ name }) => name);
  const body = (name: string) => (traps.includes(name) ? [0, 0x00, 0x0b] : [0, 0x41, (answers[name] ?? 0) & 127, 0x0b]);
  const sections = [
    section(1, vector([[0x60, 0, 1, 0x7f]])),
    section(3, vector(names.map(() => [0]))),
    section(5, vector([[0, 4]])),
    section(7, vector([[...named('memory'), 2, 0], ...names.map((name, place) => [...named(name), 0, ...unsigned(place)])])),
    section(10, vector(names.map((name) => [...unsigned(body(name).length), ...body(name)]))),
  ];
  return WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, ...sections.flat()]));
}

const NOTHING = { poll_interface: -1, poll_timeout: -1 };
const about = { code: 'ERR_STACK_DEAD', message: /the network machine failed/ };

test('a trap rejects what waits and all that comes', async () => {
  const stack = await createStack({ wasm: await module(NOTHING, ['listen']) });
  const tap = await stack.interfaces.createTap({ ip: '10.0.0.1/24' });
  const connecting = stack.tcp.connect({ host: '10.0.0.2', port: 80 });
  const socket = await stack.udp.open();
  const receiving = socket.receive();
  const reading = tap.readable.getReader().read();
  const settled = Promise.allSettled([connecting, receiving, reading]);
  await rejects(stack.tcp.listen({ port: 80 }), about);
  for (const result of await settled) {
    ok(result.status === 'rejected');
    equal((result.reason as NetworkError).code, 'ERR_STACK_DEAD');
  }
  await rejects(stack.tcp.connect({ host: '10.0.0.2', port: 80 }), about);
  await rejects(stack.udp.open(), about);
  await rejects(socket.send({ host: '10.0.0.2', port: 1, data: new Uint8Array(1) }), about);
  await rejects(stack.interfaces.createTap(), about);
  await rejects(tap.setAddresses([]), about);
  throws(() => tap.send(new Uint8Array(60)), about);
  throws(() => stack.routes.add({ destination: '0.0.0.0/0', via: tap }), about);
  equal(stack.stats().connections, 0);
  await stack.interfaces.remove(tap);
  await stack.close();
});

test('a trap within a turn is told to all that waits', async () => {
  const stack = await createStack({ wasm: await module(NOTHING, ['run_loopback']) });
  await rejects(stack.tcp.connect({ host: '10.0.0.2', port: 80 }), about);
  await rejects(stack.ping.createSession({ host: '10.0.0.2' }), about);
});
