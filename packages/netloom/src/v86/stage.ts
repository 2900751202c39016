/** A LAN with the backends that serve it: one uplink, or the egresses of a gateway, of which the first that is up takes each flow. */
import { NetworkError } from '../errors.ts';
import type { Flow, Lan, Port, Query, TcpFlow } from '../lan/types.ts';
import type { Entry } from './backends/index.ts';
import type { BackendContext, BackendState, EgressBackend, UplinkBackend } from './backends/types.ts';
import type { DeviceSettings } from './types.ts';

/** What a stage's backends are given, and whom it tells. */
export type StageEnvironment = Pick<BackendContext, 'WebSocket' | 'credentials' | 'tls' | 'timeouts'> & {
  readonly device: DeviceSettings;
  readonly lan: Lan;
  fetch(flow: TcpFlow, url: string, init: RequestInit & { duplex?: 'half' }): Promise<Response>;
  changed(): void;
};

/** A backend as `network.backends` shows it. */
export type BackendStatus = {
  readonly url: string;
  readonly state: BackendState;
  /** Why it is down. */
  readonly error: Error | undefined;
  /** Flows of guests that it has taken; an uplink takes frames instead. */
  readonly flows: number;
};

type Live = { url: string; state: BackendState; error: Error | undefined; flows: number; egress?: EgressBackend; uplink?: UplinkBackend };

/** The frames of an uplink may be of guests without number. */
const UPLINK_MTU = 65_535;

/** A LAN and its backends. */
export class Stage {
  readonly lan: Lan;
  readonly #environment: StageEnvironment;
  readonly #entries: Live[] = [];
  readonly #watchers = new Set<() => void>();
  #port: Port | undefined;
  #closed = false;

  constructor(entries: readonly Entry[], environment: StageEnvironment) {
    this.lan = environment.lan;
    this.#environment = environment;
    for (const entry of entries) this.#open(entry);
  }

  /** What its best backend is doing. */
  get state(): BackendState {
    const states = this.#entries.map(({ state }) => state);
    return states.includes('up') ? 'up' : states.includes('connecting') ? 'connecting' : 'down';
  }

  /** Why it is not up. */
  get error(): Error | undefined {
    return this.state === 'up' ? undefined : this.#entries.find(({ error }) => error)?.error;
  }

  /** The URL of the first backend that is up. */
  get active(): string | undefined {
    return this.#entries.find(({ state }) => state === 'up')?.url;
  }

  get backends(): BackendStatus[] {
    return this.#entries.map(({ url, state, error, flows }) => ({ url, state, error, flows }));
  }

  /** Whether it is up within milliseconds, and before all of it is down. */
  works(limit: number): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (works: boolean) => {
        clearTimeout(timer);
        this.#watchers.delete(watch);
        resolve(works);
      };
      const watch = () => (this.#closed || this.state === 'down' ? settle(false) : this.state === 'up' && settle(true));
      const timer = setTimeout(() => settle(false), limit);
      this.#watchers.add(watch);
      watch();
    });
  }

  /** Gives a flow of a guest to the egress that serves it, or refuses it. */
  take(flow: Flow): void {
    const serving = this.#entries.filter(({ egress }) => egress?.serves(flow));
    const chosen = serving.find(({ state }) => state === 'up') ?? serving.find(({ state }) => state === 'connecting') ?? serving[0];
    if (chosen) {
      chosen.flows += 1;
      chosen.egress!.open(flow);
    } else {
      const outside = this.#entries.some(({ egress }) => egress) || flow.destination.address === this.lan.address;
      flow.refuse(outside ? 'refused' : 'unreachable');
    }
  }

  /** Gives a DNS query to the resolver behind an egress. */
  ask(query: Query): void {
    const chosen = this.#entries.find(({ egress, state }) => egress?.query && state === 'up') ?? this.#entries.find(({ egress }) => egress?.query);
    if (chosen) chosen.egress!.query!(query);
    else this.lan.answer(query.id, undefined);
  }

  /** Ends its backends, and its LAN. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { uplink, egress } of this.#entries) (uplink ?? egress)?.close();
    for (const watch of this.#watchers) watch();
    // Of a LAN that has failed there is nothing to end.
    this.lan.close().catch(() => {});
  }

  #open(entry: Entry): void {
    const live: Live = { url: entry.url, state: entry.kind === 'none' ? 'up' : 'connecting', error: undefined, flows: 0 };
    this.#entries.push(live);
    const { lan, device, WebSocket, credentials, tls, timeouts, fetch } = this.#environment;
    const report = (state: BackendState, error?: Error) => this.#report(live, state, error);
    const context = { url: entry.url, device, WebSocket, credentials, tls, timeouts, report };
    try {
      if (entry.kind === 'uplink') {
        const port = lan.openPort({ mtu: UPLINK_MTU }, (frame) => live.uplink?.send(frame));
        this.#port = port;
        live.uplink = entry.open({ ...context, receive: (frame) => !this.#closed && this.#port!.send(frame) });
      } else if (entry.kind === 'egress') {
        const corsProxy = entry.corsProxy || device.corsProxy;
        live.egress = entry.open({ ...context, device: { ...device, corsProxy }, lan, fetch });
      }
    } catch (error) {
      report('down', error instanceof Error ? error : new NetworkError('ECONNABORTED', { message: String(error) }));
    }
  }

  #report(live: Live, state: BackendState, error: Error | undefined): void {
    if (this.#closed) return;
    live.state = state;
    live.error = state === 'up' ? undefined : (error ?? live.error);
    for (const watch of [...this.#watchers]) watch();
    this.#environment.changed();
  }
}
