import { putInArena } from '../context.ts';
import { familyOf } from '../engine/address.ts';
import { dropsOf } from '../engine/drops.ts';
import { Engine, errorOf } from '../engine/engine.ts';
import { loadModule } from '../engine/module.ts';
import { NetworkError } from '../errors.ts';
import { connectionOf, whenEstablished } from '../tcp/opening.ts';
import { numbersOf, portOf } from '../tcp/options.ts';
import type { StreamConnection } from '../transport/types.ts';
import { SEED_BYTES, type LanExports } from './abi.ts';
import { flowOf } from './flow.ts';
import { guestsOf } from './guests.ts';
import { LAN_MODULES } from './module.ts';
import { LanPort } from './port.ts';
import { guardedly } from './report.ts';
import { settingsOf, type Settings } from './settings.ts';
import type { Flow, FrameReceiver, Lan, LanConnectOptions, LanGuest, LanOptions, LanStats, Port, PortOptions, Query } from './types.ts';
import { parseMacAddress } from '../wire/address.ts';

/** How often the machine is told the time of day, in microseconds: clocks are set while a page lives. */
const WALL_CLOCK_US = 1_000_000;

/** A LAN of the page, in a module of its own. */
export class PageLan implements Lan {
  readonly address: string;
  onFlow: ((flow: Flow) => void) | undefined;
  onQuery: ((query: Query) => void) | undefined;
  onGuests: (() => void) | undefined;
  /** The instance of its module. @internal */
  readonly engine: Engine<LanExports>;
  /** Called at the end of each turn, when egresses may have something to send. @internal */
  readonly turnEnds = new Set<() => void>();
  readonly #settings: Settings;
  readonly #mtus = new Map<number, number>();
  #guestsAge = 0;
  #wallClockAt = Number.NEGATIVE_INFINITY;

  /** @internal */
  constructor(module: WebAssembly.Module, settings: Settings) {
    const engine: Engine<LanExports> = new Engine(module);
    if (SEED_BYTES + settings.bytes.length > engine.arenaBytes) throw new NetworkError('EINVAL', { message: 'the options of the LAN are too long' });
    crypto.getRandomValues(engine.bytes.subarray(engine.arena, engine.arena + SEED_BYTES));
    engine.bytes.set(settings.bytes, engine.arena + SEED_BYTES);
    if (!engine.exports.start(...settings.numbers, settings.bytes.length))
      throw new NetworkError('EINVAL', { message: 'the module does not understand its options' });
    this.engine = engine;
    this.#settings = settings;
    this.address = settings.address;
    engine.hooks = {
      begin: (now) => this.#tellTime(now),
      opened: (index, generation) => this.#opened(index, generation),
      asked: (low, high) => this.#asked(low, high),
      end: () => this.#endTurn(),
      alone: () => this.#sendOut(),
    };
    this.#tellTime(engine.now);
  }

  openPort(options: PortOptions, receive: FrameReceiver): Port {
    this.#check();
    const port = new LanPort(this.engine, options, receive);
    this.#mtus.set(port.number, options.mtu ?? 1500);
    return port;
  }

  answer(id: number, message: Uint8Array | undefined): void {
    const { engine } = this;
    if (engine.failure) return;
    const bytes = message && message.length <= engine.arenaBytes ? message : new Uint8Array(0);
    engine.bytes.set(bytes, engine.arena);
    engine.exports.answer(engine.now, id >>> 0, Math.floor(id / 2 ** 32), bytes.length);
    engine.wake();
  }

  async connect(host: string, port: number, options: LanConnectOptions = {}): Promise<StreamConnection> {
    const { signal, timeout } = options;
    portOf(port, 1);
    numbersOf(options);
    this.#check();
    signal?.throwIfAborted();
    const address = familyOf(host) === 0 ? this.#addressOf(host) : host;
    if (this.address === '') throw new NetworkError('ENETUNREACH', { syscall: 'connect', address, port });
    const { engine } = this;
    const family = putInArena(engine, address, 0);
    const error = errorOf(engine.exports.connect(engine.now, family, port), 'connect', address, port);
    if (error) throw error;
    return whenEstablished(engine, { signal, timeout }, (established) => {
      const connection = connectionOf(engine, () => this.#settings.mtu, options, established);
      connection.setOptions({});
      return connection;
    });
  }

  guests(): LanGuest[] {
    return this.engine.failure ? [] : guestsOf(this.engine);
  }

  stats(): LanStats {
    const { engine } = this;
    if (engine.failure) return { flows: 0, memoryBytes: 0, drops: {} };
    return { flows: engine.exports.flows(), memoryBytes: engine.bytes.length, drops: dropsOf(engine) };
  }

  async close(): Promise<void> {
    this.engine.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #check(): void {
    if (this.engine.failure) throw this.engine.failure;
  }

  /** The address of the guest of a name. */
  #addressOf(name: string): string {
    const lower = name.toLowerCase().replace(/\.$/, '');
    const { suffix } = this.#settings;
    const label = lower.endsWith(suffix) ? lower.slice(0, lower.length - suffix.length) : lower;
    const guest = this.guests().find((one) => one.name?.toLowerCase() === label);
    if (!guest) throw new NetworkError('ENOTFOUND', { syscall: 'lookup', address: name });
    return guest.addresses[0]!;
  }

  #tellTime(now: number): boolean {
    if (now - this.#wallClockAt >= WALL_CLOCK_US) {
      this.#wallClockAt = now;
      this.engine.exports.set_wall_clock(now, Date.now() * 1000);
    }
    return false;
  }

  #opened(index: number, generation: number): void {
    const flow = flowOf(this.engine, index, generation, (port) => this.#mtus.get(port) ?? this.#settings.mtu);
    if (!flow) return;
    const { onFlow } = this;
    if (!onFlow || !guardedly(() => onFlow(flow))) flow.refuse('refused');
  }

  #asked(low: number, high: number): void {
    const { engine, onQuery } = this;
    if (!engine.exports.peek_query(low, high)) return;
    const { words, bytes, arena } = engine;
    const [at, length, port] = [words[0]!, words[1]!, words[2]!];
    const id = high * 2 ** 32 + low;
    const query = { id, message: bytes.slice(at, at + length), guest: { mac: parseMacAddress(bytes.subarray(arena, arena + 6)), port } };
    if (!onQuery || !guardedly(() => onQuery(query))) this.answer(id, undefined);
  }

  #sendOut(): void {
    for (const end of this.turnEnds) end();
  }

  #endTurn(): void {
    this.#sendOut();
    this.#noteGuests();
  }

  #noteGuests(): void {
    const { onGuests } = this;
    if (!onGuests) return;
    const age = this.engine.exports.neighbors_age();
    if (age === this.#guestsAge) return;
    this.#guestsAge = age;
    guardedly(onGuests);
  }
}

/**
 * Makes a LAN in the page: a switch, and a gateway that leases addresses, answers DNS, NTP and pings, and hands on what guests open.
 *
 * @throws NetworkError `EINVAL`; TypeError or WebAssembly.CompileError if the module does not load
 * @example
 * ```ts
 * import { createLan } from 'netloom/v86';
 *
 * await using lan = await createLan({ ip: '10.0.0.1/24' });
 * lan.onFlow = (flow) => flow.refuse('unreachable');
 * const port = lan.openPort({ mtu: 1500 }, (frame) => console.log(frame.length));
 * port.send(new Uint8Array(60));
 * console.log(port.stats().framesReceived); // 1
 * ```
 */
export async function createLan(options: LanOptions = {}): Promise<PageLan> {
  const settings = settingsOf(options);
  return new PageLan(await loadModule(options.wasm, LAN_MODULES), settings);
}
