import { deepEqual, equal, ok, pattern, test } from '../harness.ts';
import { badLink, collect, connected, pair } from './stacks.ts';

const BYTES = 1 << 20;

for (const [name, faults] of Object.entries({
  'frames lost': { loss: 0.02 },
  'frames reordered': { reorder: 0.05 },
  'frames doubled': { double: 0.05 },
  'frames lost, reordered and doubled': { loss: 0.01, reorder: 0.02, double: 0.02 },
})) {
  test(
    `every byte arrives in order over a link with ${name}`,
    async () => {
      const { a, b, ta, tb, close } = await pair({ by: 'none' });
      const counts = badLink(ta, tb, { ...faults, seed: 1 });
      badLink(tb, ta, { ...faults, seed: 2 });
      const { client, server } = await connected({ a, b });
      const send = async (to: typeof client) => {
        await to.write(pattern(BYTES));
        await to.writable.close();
      };
      const [, , one, two] = await Promise.all([send(client), send(server), collect(client), collect(server)]);
      deepEqual(one, pattern(BYTES));
      deepEqual(two, pattern(BYTES));
      if ('loss' in faults) ok(counts.lost > 3);
      if ('reorder' in faults) ok(counts.late > 3);
      await close();
    },
    { limitSeconds: 120 },
  );
}

test(
  'connections are made and ended over a link that loses a fifth',
  async () => {
    const { a, b, ta, tb, close } = await pair({ by: 'none' });
    badLink(ta, tb, { loss: 0.2, seed: 3 });
    badLink(tb, ta, { loss: 0.2, seed: 4 });
    const listener = await b.tcp.listen({ port: 80 });
    const echoing = (async () => {
      for await (const connection of listener) void connection.readable.pipeTo(connection.writable);
    })();
    const one = async () => {
      const connection = await a.tcp.connect({ host: '10.0.0.2', port: 80 });
      await connection.write(pattern(5000));
      await connection.writable.close();
      equal((await collect(connection)).length, 5000);
    };
    await Promise.all(Array.from({ length: 10 }, one));
    await listener.close();
    await echoing;
    await close();
  },
  { limitSeconds: 120 },
);
