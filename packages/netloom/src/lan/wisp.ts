/**
 * A Wisp client inside of a LAN's module: flows in, messages out. It has no WebSocket of its own; whoever has one carries the messages.
 */
import { putAddress } from '../engine/address.ts';
import { NetworkError } from '../errors.ts';
import type { PageLan } from './lan.ts';
import type { Egress } from './types.ts';

/** Longest message that is taken from a server. */
export const MAX_MESSAGE_BYTES = 16 << 20;

const STATES = ['down', 'greeting', 'signing', 'ready', 'refused'] as const;
/** Why a server refuses, by its number, and what else closes a connection. */
const REASONS = new Map([
  [0x04, 'its extensions do not fit ours'],
  [0x43, 'it does not greet'],
  [0xc0, 'wrong name or password'],
  [0xc1, 'wrong signature'],
  [0xc2, 'it requires authentication'],
]);
const NO_PASSWORD = 0xffff_ffff;
const RESOLVER_BYTES = 19;
const LINGER_US = 2_000_000;
/** What a server that heeds it may send on a stream before the guest has taken it. */
const CREDIT_BYTES = 1 << 20;

/** What a client is told. */
export type WispSettings = {
  password: { username: string; password: string } | undefined;
  /** Whether challenges can be signed. */
  hasKey: boolean;
  /** Resolvers that queries go to, as `ADDRESS` or `ADDRESS:PORT` of IPv4. */
  resolvers: readonly string[];
  /** Milliseconds that flows wait for the WebSocket. */
  dialTimeout: number;
  /** Bytes of servers that may wait for guests. */
  backlogBytes: number;
  /** Bytes that wait for guests from which on nothing had better be read. */
  pauseBytes: number;
};

/** How far the connection is. */
export type WispStatus = {
  readonly state: (typeof STATES)[number];
  /** Of a refusal, why. */
  readonly reason: string;
  /** Whether nothing had better be read for now. */
  readonly pause: boolean;
};

/** What a server of version 2 told of itself. */
export type WispServer = { version: string; udp: boolean; confirms: boolean; halfClose: boolean; streamCredit: boolean; motd: string };

/** What is to be signed. */
export type WispChallenge = { bytes: Uint8Array<ArrayBuffer>; hash: 'SHA-256' | 'SHA-512' };

/** A client of the module. */
export class WispClient implements Egress {
  readonly number: number;
  readonly #lan: PageLan;
  #removed = false;

  /** `ready` is called at the end of each turn, in which messages may have come up. */
  constructor(lan: PageLan, settings: WispSettings, ready: () => void) {
    this.#lan = lan;
    const { engine } = lan;
    const { password } = settings;
    const text = new TextEncoder();
    const [user, secret] = [text.encode(password?.username ?? ''), text.encode(password?.password ?? '')];
    if (user.length > 255 || secret.length > 65_535) throw new NetworkError('EINVAL', { message: 'the name or the password for the Wisp server is too long' });
    const resolvers = settings.resolvers.map(resolverBytes);
    engine.bytes.set(user, engine.arena);
    engine.bytes.set(secret, engine.arena + user.length);
    resolvers.forEach((bytes, at) => engine.bytes.set(bytes, engine.arena + user.length + secret.length + at * RESOLVER_BYTES));
    this.number = engine.exports.wisp_add(
      user.length,
      password ? secret.length : NO_PASSWORD,
      Number(settings.hasKey),
      resolvers.length,
      CREDIT_BYTES,
      settings.backlogBytes,
      settings.pauseBytes,
      settings.dialTimeout * 1000,
      LINGER_US,
    );
    this.#ready = ready;
    lan.turnEnds.add(ready);
  }

  readonly #ready: () => void;

  /** A WebSocket begins to open. */
  dial(): void {
    if (this.#gone) return;
    const { engine } = this.#lan;
    engine.exports.wisp_dial(engine.now, this.number);
  }

  /** The WebSocket is open. */
  up(): void {
    if (this.#gone) return;
    const { engine } = this.#lan;
    engine.exports.wisp_up(engine.now, this.number);
    engine.wake();
  }

  /** The WebSocket is gone. */
  down(): void {
    if (this.#gone) return;
    const { engine } = this.#lan;
    engine.exports.wisp_down(engine.now, this.number);
    engine.wake();
  }

  /** Takes a message of the server. */
  message(bytes: Uint8Array): WispStatus {
    if (this.#gone) return GONE;
    const { engine } = this.#lan;
    // As a guest's frame: what comes alone is passed on at once, and more together.
    const alone = !engine.busy;
    let status = 0;
    let at = 0;
    do {
      const piece = bytes.length <= engine.arenaBytes ? bytes : bytes.subarray(at, at + engine.arenaBytes);
      at += piece.length;
      engine.bytes.set(piece, engine.arena);
      status = engine.exports.wisp_message(engine.now, this.number, piece.length, Number(at < bytes.length));
    } while (at < bytes.length);
    engine.wake();
    if (alone) engine.deliver();
    return statusOf(status);
  }

  status(): WispStatus {
    if (this.#gone) return GONE;
    const { engine } = this.#lan;
    return statusOf(engine.exports.wisp_status(engine.now, this.number));
  }

  /** The next message for the server, a copy: asked only while the WebSocket has room. */
  poll(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#gone) return undefined;
    const { engine } = this.#lan;
    const at = engine.exports.wisp_poll(engine.now, this.number);
    if (at === 0) return undefined;
    const length = engine.words[0]!;
    // What left a flow has made room in its window.
    engine.wake();
    return engine.bytes.slice(at, at + length) as Uint8Array<ArrayBuffer>;
  }

  server(): WispServer | undefined {
    if (this.#gone) return undefined;
    const { engine } = this.#lan;
    if (!engine.exports.wisp_server(this.number)) return undefined;
    const [major, minor, flags, motdBytes] = engine.words as unknown as [number, number, number, number];
    const motd = new TextDecoder().decode(engine.bytes.slice(engine.arena, engine.arena + motdBytes));
    const has = (bit: number) => (flags & bit) !== 0;
    return { version: `${major}.${minor}`, udp: has(1), confirms: has(2), halfClose: has(4), streamCredit: has(8), motd };
  }

  challenge(): WispChallenge | undefined {
    if (this.#gone) return undefined;
    const { engine } = this.#lan;
    if (!engine.exports.wisp_challenge(this.number)) return undefined;
    const [at, length, , sha512] = engine.words as unknown as [number, number, number, number];
    return { bytes: engine.bytes.slice(at, at + length) as Uint8Array<ArrayBuffer>, hash: sha512 ? 'SHA-512' : 'SHA-256' };
  }

  /** Answers the challenge; without a signature, that there is none. */
  sign(keyHash: Uint8Array, signature: Uint8Array): void {
    if (this.#gone) return;
    const { engine } = this.#lan;
    engine.bytes.set(keyHash, engine.arena);
    engine.bytes.set(signature, engine.arena + keyHash.length);
    engine.exports.wisp_sign(this.number, keyHash.length, signature.length);
    engine.wake();
  }

  takeFlow(index: number, generation: number): void {
    if (this.#gone) return;
    const { engine } = this.#lan;
    engine.exports.wisp_relay(engine.now, this.number, index, generation);
    engine.wake();
  }

  /** Asks the resolvers a query that waits, and answers it. */
  query(id: number): void {
    if (this.#gone) return;
    const { engine } = this.#lan;
    engine.exports.wisp_query(engine.now, this.number, id >>> 0, Math.floor(id / 2 ** 32));
    engine.wake();
  }

  /** Takes it out of the LAN: its connections are reset, and what waits is refused. */
  remove(): void {
    this.#lan.turnEnds.delete(this.#ready);
    if (this.#gone) return;
    this.#removed = true;
    const { engine } = this.#lan;
    engine.exports.wisp_remove(engine.now, this.number);
    engine.wake();
  }

  get #gone(): boolean {
    return this.#removed || this.#lan.engine.failure !== undefined;
  }
}

const GONE: WispStatus = { state: 'down', reason: '', pause: false };

function statusOf(bits: number): WispStatus {
  const reason = (bits >> 8) & 0xff;
  return { state: STATES[bits & 0xff]!, reason: REASONS.get(reason) ?? `reason 0x${reason.toString(16)}`, pause: (bits & 0x1_0000) !== 0 };
}

function resolverBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(RESOLVER_BYTES);
  const [host = '', port = '53'] = text.split(':');
  const number = Number(port);
  if (putAddress(host, bytes, 1) !== 4 || !Number.isInteger(number) || number < 1 || number > 65_535) {
    throw new NetworkError('EINVAL', { message: `not the IPv4 address of a resolver: ${text}` });
  }
  bytes[0] = 4;
  bytes[17] = number & 255;
  bytes[18] = number >> 8;
  return bytes;
}
