/**
 * Whose behaviour is compared: Node's own modules, and ours over each transport. A test body is run on every one of them.
 *
 * @module
 */
import dgram from 'node:dgram';
import net from 'node:net';
import { test } from 'node:test';
import { createDgram, createNet } from '../../src/node/index.ts';
import { hostTcp, hostUdp } from './host-transport.ts';
import { createStacks, FAR, NEAR } from './stacks.ts';

/** One pair of ends. */
export type NetSubject = { name: string; client: typeof net; server: typeof net; host: string };
export type DgramSubject = { name: string; client: typeof dgram; server: typeof dgram; host: string; clientHost: string };

const { near, far } = await createStacks();
const ours = createNet(hostTcp) as unknown as typeof net;
const oursDgram = createDgram(hostUdp) as unknown as typeof dgram;

const nets: NetSubject[] = [
  { name: 'node', client: net, server: net, host: '127.0.0.1' },
  { name: 'netloom over the host', client: ours, server: ours, host: '127.0.0.1' },
  { name: 'netloom over two stacks', client: createNet(near.tcp) as unknown as typeof net, server: createNet(far.tcp) as unknown as typeof net, host: FAR },
];
const dgrams: DgramSubject[] = [
  { name: 'node', client: dgram, server: dgram, host: '127.0.0.1', clientHost: '127.0.0.1' },
  { name: 'netloom over the host', client: oursDgram, server: oursDgram, host: '127.0.0.1', clientHost: '127.0.0.1' },
  {
    name: 'netloom over two stacks',
    client: createDgram(near.udp) as unknown as typeof dgram,
    server: createDgram(far.udp) as unknown as typeof dgram,
    host: FAR,
    clientHost: NEAR,
  },
];

/** Runs a body on every `net`. */
export function netTest(what: string, body: (subject: NetSubject) => Promise<void>): void {
  for (const subject of nets) test(`${what}: ${subject.name}`, { timeout: 60_000 }, () => body(subject));
}

/** Runs a body on every `dgram`. */
export function dgramTest(what: string, body: (subject: DgramSubject) => Promise<void>): void {
  for (const subject of dgrams) test(`${what}: ${subject.name}`, { timeout: 60_000 }, () => body(subject));
}
