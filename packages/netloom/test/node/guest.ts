/**
 * A Linux network namespace whose one network card is a TAP device, joined to a tap of a stack.
 *
 * Node reaches the device without native code: socat holds it and carries each frame as one datagram of a loopback UDP socket.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);
// Room for the largest burst of frames, and for a frame of the largest MTU.
const SOCKET_BYTES = 4 << 20;

let guests = 0;
const alive = new Set<Guest>();
// A run that is broken off leaves nothing behind either.
process.once('exit', () => alive.forEach((guest) => guest.abandon()));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

/** What is joined to the device: a tap of a stack. */
export type Card = { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> };

export class Guest implements AsyncDisposable {
  /** Name of its namespace. */
  readonly name = `nl${process.pid}-${++guests}`;
  /** Name of its card. */
  readonly card = 'guest0';
  /** A folder of its own. */
  folder = '';
  readonly #children = new Set<ChildProcess>();
  #socket: Socket | undefined;

  /** Makes a namespace with a card joined to `tap`, up and without an address. */
  static async create(tap: Card, { resolvConf = '' } = {}): Promise<Guest> {
    const guest = new Guest();
    alive.add(guest);
    try {
      await guest.#make(tap, resolvConf);
    } catch (error) {
      await guest.close();
      throw error;
    }
    return guest;
  }

  async #make(tap: Card, resolvConf: string): Promise<void> {
    if (process.getuid?.() !== 0) throw new Error('network namespaces need root; run the same command as root');
    this.folder = await mkdtemp(join(tmpdir(), 'netloom-guest-'));
    // `ip netns exec` shows this file as /etc/resolv.conf.
    await mkdir(`/etc/netns/${this.name}`, { recursive: true });
    await writeFile(`/etc/netns/${this.name}/resolv.conf`, resolvConf);
    await run('ip', ['netns', 'add', this.name]);
    const socket = createSocket('udp4');
    this.#socket = socket;
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    socket.setRecvBufferSize(SOCKET_BYTES);
    const device = this.name.replace('-', 'x');
    const { port } = socket.address() as AddressInfo;
    const socat = this.#spawn('socat', [
      '-d',
      '-d',
      '-b',
      '70000',
      `TUN,tun-type=tap,iff-no-pi,tun-name=${device}`,
      `UDP4:127.0.0.1:${port},so-sndbuf=${SOCKET_BYTES}`,
    ]);
    await lineOf(socat, /starting data transfer loop/);
    const [, peer] = await lineOf(socat, /local address AF=2 127\.0\.0\.1:(\d+)/);
    this.#join(tap, socket, Number(peer));
    await run('ip', ['link', 'set', device, 'netns', this.name]);
    await this.exec('ip', ['link', 'set', device, 'name', this.card]);
    await this.exec('ip', ['link', 'set', 'lo', 'up']);
    await this.exec('ip', ['link', 'set', this.card, 'up']);
  }

  #join(tap: Card, socket: Socket, port: number): void {
    const writer = tap.writable.getWriter();
    socket.on('message', (frame) => void writer.write(new Uint8Array(frame)).catch(() => {}));
    const send = new WritableStream<Uint8Array>({ write: (frame) => void (this.#socket && socket.send(frame, port, '127.0.0.1')) });
    void tap.readable.pipeTo(send).catch(() => {});
  }

  /** Runs a program in the namespace to its end, and gives what it wrote. Rejects, with that in the message, if it fails. */
  async exec(program: string, args: string[]): Promise<string> {
    const { stdout } = await run('ip', ['netns', 'exec', this.name, program, ...args], { timeout: 60_000 });
    return stdout;
  }

  /** Starts a program in the namespace; it ends with the guest. */
  start(program: string, args: string[]): ChildProcess {
    // `ip` becomes the program: the child's number is its own.
    return this.#spawn('ip', ['netns', 'exec', this.name, program, ...args]);
  }

  #spawn(program: string, args: string[]): ChildProcess {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.add(child);
    written.set(child, listen(child));
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Ends its programs, and removes card and namespace. */
  async close(): Promise<void> {
    for (const child of this.#children) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) await once(child, 'exit');
    }
    this.#socket?.close();
    this.#socket = undefined;
    await run('ip', ['netns', 'del', this.name]).catch(() => {});
    await rm(`/etc/netns/${this.name}`, { recursive: true, force: true });
    if (this.folder) await rm(this.folder, { recursive: true, force: true });
    alive.delete(this);
  }

  /** As `close`, at once. */
  abandon(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    spawnSync('ip', ['netns', 'del', this.name]);
    spawnSync('rm', ['-rf', `/etc/netns/${this.name}`, ...(this.folder ? [this.folder] : [])]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

type Written = { lines: string[]; ended: string | undefined; heard: Set<() => void> };
const written = new WeakMap<ChildProcess, Written>();

function listen(child: ChildProcess): Written {
  const all: Written = { lines: [], ended: undefined, heard: new Set() };
  const hear = (): void => all.heard.forEach((check) => check());
  const end = (how: string): void => {
    all.ended = how;
    hear();
  };
  for (const input of [child.stdout!, child.stderr!]) {
    createInterface({ input }).on('line', (line) => {
      all.lines.push(line);
      hear();
    });
  }
  child.once('error', (error) => end(error.message));
  child.once('close', (code, signal) => end(`ended with ${code ?? signal}`));
  return all;
}

/** The first line that a program has written or will write, to either stream, that matches. Rejects if it ends without. */
export async function lineOf(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  const all = written.get(child)!;
  return new Promise((resolve, reject) => {
    const check = (): void => {
      const match = all.lines.map((line) => pattern.exec(line)).find(Boolean);
      if (match) resolve(match);
      else if (all.ended) reject(new Error(`${child.spawnargs.join(' ')} ${all.ended}:\n${all.lines.join('\n')}`));
      else return;
      all.heard.delete(check);
    };
    all.heard.add(check);
    check();
  });
}
