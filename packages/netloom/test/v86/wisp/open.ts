import { createLan, type PageLan } from '../../../src/lan/lan.ts';
import { Wisp } from '../../../src/v86/backends/wisp.ts';
import type { BackendState, EgressContext } from '../../../src/v86/backends/types.ts';
import type { WispCredentials } from '../../../src/v86/types.ts';
import { plugIn, type TestGuest } from '../../lan/guest.ts';
import { scriptServer, type ScriptOptions } from './script.ts';

export type Reported = { state: BackendState; error: Error | undefined };

type Opened = {
  lan: PageLan;
  guest: TestGuest;
  wisp: Wisp;
  server: ReturnType<typeof scriptServer>;
  reported: Reported[];
  /** The next report of a state. */
  reports(state: BackendState): Promise<Reported>;
  close(): Promise<void>;
};

/** A guest whose way out is a Wisp server of a script. */
export async function openWispWorld(script: ScriptOptions = {}, credentials?: WispCredentials, url = 'wisp://wisp.test/'): Promise<Opened> {
  const server = scriptServer(script);
  const lan = await createLan();
  const guest = await plugIn(lan, { ip: '192.168.86.50/24' });
  const reported: Reported[] = [];
  const waiting: (() => void)[] = [];
  const context: EgressContext = {
    url,
    device: {} as EgressContext['device'],
    WebSocket: server.WebSocket,
    credentials,
    timeouts: { start: 5_000, connect: 30_000, dns: 5_000, reconnect: 1, reconnectMax: 10 },
    report: (state, error) => {
      reported.push({ state, error });
      for (const wake of waiting.splice(0)) wake();
    },
    lan,
    fetch: () => Promise.reject(new Error('no fetch here')),
  };
  const wisp = new Wisp(context);
  lan.onFlow = (flow) => wisp.open(flow);
  lan.onQuery = (query) => wisp.query(query);
  const reports = async (state: BackendState) => {
    let found;
    while (!(found = reported.find((report) => report.state === state))) await new Promise<void>((resolve) => waiting.push(resolve));
    reported.splice(reported.indexOf(found), 1);
    return found;
  };
  const close = async () => {
    wisp.close();
    await guest.unplug();
    await lan.close();
  };
  return { lan, guest, wisp, server, reported, reports, close };
}
