/**
 * What emulators with one network share: the stage of the chain that works, and its LAN.
 *
 * The stages of a chain are tried in order when it starts. The last one stays, working or not, and goes on trying by itself.
 */
import { NetworkError } from '../errors.ts';
import { createLan } from '../lan/lan.ts';
import type { Flow, FrameReceiver, Lan, Port, PortOptions, Query, TcpFlow } from '../lan/types.ts';
import { queryDoh } from './backends/doh.ts';
import { readStages, type Entry } from './backends/index.ts';
import { throwLater } from './card.ts';
import { everyName, noSuchName } from './dns-answers.ts';
import { claimGateway } from './gateway.ts';
import { lanOptions, STATIC_ADDRESS, type LanKind } from './lan-options.ts';
import { Stage, type BackendStatus } from './stage.ts';
import type { AttachOptions, DeviceSettings, FetchHook, NetworkTimeouts } from './types.ts';

/** An emulator's network, as its segment sees it. */
export type Member = {
  /** The page's hook for what the guest fetches. */
  readonly fetch: FetchHook;
  /** There is another LAN to open a port of. */
  replugged(): void;
  /** The state may have changed. */
  changed(): void;
  /** Offers a connection to the page first: whether the page has taken it. */
  offered(flow: TcpFlow): boolean;
};

/** What a segment is made with. */
export type SegmentOptions = Pick<AttachOptions, 'WebSocket' | 'credentials' | 'tls' | 'wasm'> & { timeouts: Required<NetworkTimeouts> };

/** How long a guest may keep such an answer: a better one may be had soon. */
const LAST_RESORT_SECONDS = 10;

const segments = new Map<string, Segment>();

/** The network that a card is on: its own, or the one that has the same number and URLs. */
export function joinSegment(device: DeviceSettings, options: SegmentOptions, member: Member): Segment {
  const shared = device.id !== undefined || device.urls.every((url) => url === 'inbrowser');
  const key = shared ? JSON.stringify([device.id ?? 0, ...device.urls]) : undefined;
  let segment = key === undefined ? undefined : segments.get(key);
  if (!segment) {
    segment = new Segment(device, options, () => key !== undefined && segments.delete(key));
    if (key !== undefined) segments.set(key, segment);
  }
  segment.join(member, device);
  return segment;
}

/** A network that emulators are on. */
export class Segment {
  readonly #device: DeviceSettings;
  readonly #options: SegmentOptions;
  readonly #forget: () => void;
  readonly #members = new Set<Member>();
  readonly #ports = new Map<number, Member>();
  readonly #ended = new AbortController();
  readonly #ready: { promise: Promise<void>; resolve(): void; reject(error: Error): void };
  #entries: readonly Entry[] = [];
  #stage: Stage | undefined;
  #failure: Error | undefined;
  #gateway: 'none' | 'wanted' | 'claimed' | 'held' = 'none';

  constructor(device: DeviceSettings, options: SegmentOptions, forget: () => void) {
    this.#device = device;
    this.#options = options;
    this.#forget = forget;
    if (device.gateway) this.#gateway = 'wanted';
    const settle = {} as { resolve(): void; reject(error: Error): void };
    const promise = new Promise<void>((resolve, reject) => Object.assign(settle, { resolve, reject }));
    promise.catch(() => {});
    this.#ready = { promise, ...settle };
    void this.#start();
  }

  /** Settles with whether the chain works: rejects with why its last stage does not, which goes on trying. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get state(): 'connecting' | 'up' | 'down' {
    return this.#failure ? 'down' : (this.#stage?.state ?? 'connecting');
  }

  /** Why there will be no LAN. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  get error(): Error | undefined {
    return this.#failure ?? this.#stage?.error;
  }

  get active(): string | undefined {
    return this.#stage?.active;
  }

  get backends(): BackendStatus[] {
    return this.#stage?.backends ?? [];
  }

  /** The LAN, once there is one. */
  get lan(): Lan | undefined {
    return this.#stage?.lan;
  }

  /** Whether the LAN's gateway is here, for connections to guests. */
  get hasGateway(): boolean {
    return this.#stage !== undefined && (this.#entries[0]!.kind === 'egress' || this.#gateway === 'held');
  }

  join(member: Member, { gateway }: DeviceSettings): void {
    this.#members.add(member);
    if (!gateway || this.#gateway !== 'none') return;
    this.#gateway = 'wanted';
    if (this.#stage) void this.#claim();
  }

  /** Leaves it; without members, it ends. */
  leave(member: Member): void {
    this.#members.delete(member);
    if (this.#members.size > 0) return;
    this.#forget();
    this.#ended.abort();
    this.#stage?.close();
    this.#ready.reject(new NetworkError('ECONNABORTED', { message: 'the network was given up' }));
  }

  /** A port of the LAN for a member's card. */
  openPort(member: Member, options: PortOptions, receive: FrameReceiver): Port {
    const port = this.lan!.openPort(options, receive);
    this.#ports.set(port.number, member);
    return port;
  }

  async #start(): Promise<void> {
    try {
      const stages = readStages(this.#device.urls);
      for (const [index, entries] of stages.entries()) {
        const last = index === stages.length - 1;
        const stage = await this.#open(entries);
        if (this.#ended.signal.aborted) return stage.close();
        if (last) this.#use(stage, entries);
        const works = await stage.works(this.#options.timeouts.start);
        if (this.#ended.signal.aborted) return stage.close();
        if (works && !last) this.#use(stage, entries);
        if (works) return this.#ready.resolve();
        if (last) return this.#ready.reject(stage.error ?? new NetworkError('ETIMEDOUT', { message: `${entries[0]!.url} did not answer in time` }));
        stage.close();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  async #open(entries: readonly Entry[]): Promise<Stage> {
    const kind: LanKind = entries[0]!.kind === 'egress' ? 'egress' : this.#gateway === 'held' ? 'gateway' : 'switch';
    const { device, method } = { device: this.#device, method: this.#dnsMethod(entries) };
    const lan = await createLan(lanOptions(kind, device, method, this.#options));
    const { WebSocket, credentials, tls, timeouts } = this.#options;
    const fetch = (flow: TcpFlow, url: string, init: RequestInit) => this.#fetch(flow, url, init);
    const stage = new Stage(entries, { device, lan, WebSocket, credentials, tls, timeouts, fetch, changed: () => this.#changed() });
    lan.onFlow = (flow) => this.#flow(stage, flow);
    lan.onQuery = (query) => this.#query(stage, kind, method, query);
    return stage;
  }

  /** Has all members plug into a stage's LAN. */
  #use(stage: Stage, entries: readonly Entry[]): void {
    if (this.#ended.signal.aborted) return stage.close();
    this.#stage?.close();
    this.#ports.clear();
    this.#stage = stage;
    this.#entries = entries;
    for (const member of this.#members) member.replugged();
    this.#changed();
    if (this.#gateway === 'wanted') void this.#claim();
  }

  /** Becomes the gateway, at once or when the tab that is it goes. */
  async #claim(): Promise<void> {
    const [entry] = this.#entries;
    if (entry?.kind !== 'uplink' || entry.scheme !== 'inbrowser') return;
    this.#gateway = 'claimed';
    const granted = () => {
      this.#gateway = 'held';
      void this.#open(this.#entries).then(
        (stage) => this.#use(stage, this.#entries),
        (error) => this.#fail(error),
      );
    };
    if (await claimGateway(`${this.#device.id ?? 0}`, this.#ended.signal, granted)) granted();
  }

  #flow(stage: Stage, flow: Flow): void {
    const member = this.#ports.get(flow.guest.port);
    if (flow.protocol === 'tcp' && member?.offered(flow)) return;
    stage.take(flow);
  }

  #query(stage: Stage, kind: LanKind, method: string, query: Query): void {
    if (kind === 'gateway') return stage.lan.answer(query.id, noSuchName(query.message));
    if (method === 'udp') return stage.ask(query);
    const { dns: timeout } = this.#options.timeouts;
    void queryDoh(this.#device.dohUrl, query.message, { timeout, signal: this.#ended.signal }).then((answer) =>
      stage.lan.answer(query.id, answer ?? this.#lastResort(stage, query)),
    );
  }

  /** Where nobody resolves names, `fetch` still reaches them, if it is what is left of the chain. */
  #lastResort(stage: Stage, { message }: Query): Uint8Array | undefined {
    if (this.#device.dnsMethod !== undefined || !stage.active?.startsWith('fetch')) return undefined;
    return everyName(message, STATIC_ADDRESS, LAST_RESORT_SECONDS);
  }

  #fetch(flow: TcpFlow, url: string, init: RequestInit): Promise<Response> {
    const hook = this.#ports.get(flow.guest.port)?.fetch ?? ((...args: Parameters<FetchHook>) => fetch(...args));
    return hook(url, init);
  }

  #dnsMethod(entries: readonly Entry[]): 'static' | 'doh' | 'udp' {
    const [entry] = entries;
    return this.#device.dnsMethod ?? (entry?.kind === 'egress' ? entry.dnsMethod : 'static');
  }

  #changed(): void {
    if (this.#stage?.state === 'up') this.#ready.resolve();
    for (const member of this.#members) {
      try {
        member.changed();
      } catch (error) {
        throwLater(error);
      }
    }
  }

  #fail(error: unknown): void {
    if (this.#ended.signal.aborted) return;
    this.#failure = error instanceof Error ? error : new NetworkError('ECONNABORTED', { message: String(error) });
    this.#ready.reject(this.#failure);
    this.#changed();
  }
}
