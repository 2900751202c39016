/** Which backend of a chain takes a flow. */
import type { Flow, Lan, Port, Query } from '../../src/lan/types.ts';
import type { Entry } from '../../src/v86/backends/index.ts';
import type { BackendContext } from '../../src/v86/backends/types.ts';
import { readTarget, readTimeouts } from '../../src/v86/settings.ts';
import { Stage } from '../../src/v86/stage.ts';
import { deepEqual, equal, ok, test } from '../harness.ts';

function flowTo(port: number, address = '10.1.2.3') {
  const said: string[] = [];
  const flow = { protocol: 'tcp', destination: { address, port }, refuse: (why: string) => void said.push(`refused: ${why}`) } as unknown as Flow;
  return { flow, said };
}

function stageOf(...names: ('any' | 'web')[]) {
  const taken: string[] = [];
  const reports: BackendContext['report'][] = [];
  const answered: (number | undefined)[] = [];
  const closed: string[] = [];
  const lan = {
    address: '192.168.86.1',
    openPort: () => ({ send() {} }) as unknown as Port,
    answer: (id: number, message: Uint8Array | undefined) => void (message === undefined && answered.push(id)),
    close: async () => void closed.push('lan'),
  } as unknown as Lan;
  const entries: Entry[] = names.map((name) => ({
    kind: 'egress',
    url: name,
    corsProxy: '',
    dnsMethod: 'static',
    open: ({ report }) => {
      reports.push(report);
      return {
        serves: ({ destination }) => name === 'any' || destination.port === 80,
        open: ({ destination }) => void taken.push(`${name} ${destination.port}`),
        query: name === 'any' ? () => void taken.push('query') : undefined,
        close: () => void closed.push(name),
      };
    },
  }));
  const stage = new Stage(entries, {
    device: readTarget('fetch'),
    lan,
    WebSocket: undefined,
    credentials: undefined,
    timeouts: readTimeouts(),
    fetch: async () => new Response(),
    changed: () => {},
  });
  return { stage, reports, taken, answered, closed };
}

test('v86 chain: each flow goes to the first backend that serves it and is up', () => {
  const { stage, reports, taken } = stageOf('any', 'web');
  const [any, web] = reports as [BackendContext['report'], BackendContext['report']];
  equal(stage.state, 'connecting');
  web('up');
  deepEqual([stage.state, stage.active], ['up', 'web']);
  stage.take(flowTo(80).flow);
  // Nobody else serves it: it waits there, or is refused as that one knows.
  stage.take(flowTo(22).flow);
  any('up');
  equal(stage.active, 'any');
  stage.take(flowTo(80).flow);
  any('down', new Error('lost'));
  stage.take(flowTo(80).flow);
  deepEqual(taken, ['web 80', 'any 22', 'any 80', 'web 80']);
  const [first, second] = stage.backends;
  deepEqual([first!.flows, first!.error?.message, second!.flows, second!.state], [2, 'lost', 2, 'up']);
});

test('v86 chain: what no backend serves is refused, and without a backend there is nothing out there', () => {
  const { stage } = stageOf('web');
  const { flow, said } = flowTo(22);
  stage.take(flow);
  deepEqual(said, ['refused: refused']);
  const alone = stageOf().stage;
  const [there, here] = [flowTo(22), flowTo(22, '192.168.86.1')];
  alone.take(there.flow);
  alone.take(here.flow);
  deepEqual([there.said, here.said], [['refused: unreachable'], ['refused: refused']]);
});

test('v86 chain: a query goes to the resolver behind a backend, or fails', () => {
  const query = { id: 7, message: new Uint8Array(12), guest: { mac: '', port: 1 } } as Query;
  const { stage, taken } = stageOf('web', 'any');
  stage.ask(query);
  deepEqual(taken, ['query']);
  const { stage: without, answered } = stageOf('web');
  without.ask(query);
  deepEqual(answered, [7]);
});

test('v86 chain: a stage works once one of its backends is up, and does not once all are down or time is over', async () => {
  const one = stageOf('any', 'web');
  const works = one.stage.works(60_000);
  one.reports[0]!('down', new Error('refused'));
  one.reports[1]!('up');
  equal(await works, true);
  const none = stageOf('any', 'web');
  const fails = none.stage.works(60_000);
  for (const report of none.reports) report('down', new Error('refused'));
  equal(await fails, false);
  equal(none.stage.error?.message, 'refused');
  equal(await stageOf('any').stage.works(1), false);
  const given = stageOf('any');
  const pending = given.stage.works(60_000);
  given.stage.close();
  given.stage.close();
  equal(await pending, false);
  deepEqual(given.closed, ['any', 'lan']);
  given.reports[0]!('up');
  ok(given.stage.state !== 'up', 'what is closed has nothing to report');
});
