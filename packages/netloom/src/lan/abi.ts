/** The functions of the LAN's module beyond those that a host's has too. */
import type { Exports } from '../engine/abi.ts';

export type LanExports = Exports & {
  start(
    flags: number,
    mtu: number,
    lease: number,
    dnsTimeout: number,
    dialTimeout: number,
    idle: number,
    flowsPerGuest: number,
    bufferBytes: number,
    settingsBytes: number,
  ): number;
  set_wall_clock(now: number, unix: number): void;

  open_port(mtu: number, queueBytes: number, burst: number, macs: number, flags: number): number;
  close_port(port: number): void;
  translate(port: number, other: number): void;

  describe(index: number, generation: number): number;
  accept_flow(now: number, index: number, generation: number): void;
  refuse(now: number, index: number, generation: number, why: number): void;
  connect(now: number, family: number, port: number): number;

  peek_query(low: number, high: number): number;
  answer(now: number, low: number, high: number, bytes: number): void;

  wisp_add(
    userBytes: number,
    passwordBytes: number,
    hasKey: number,
    resolvers: number,
    creditBytes: number,
    backlogBytes: number,
    pauseBytes: number,
    dialTimeout: number,
    linger: number,
  ): number;
  wisp_remove(now: number, number: number): void;
  wisp_dial(now: number, number: number): void;
  wisp_up(now: number, number: number): void;
  wisp_down(now: number, number: number): void;
  wisp_message(now: number, number: number, length: number, more: number): number;
  wisp_status(now: number, number: number): number;
  wisp_poll(now: number, number: number): number;
  wisp_relay(now: number, number: number, index: number, generation: number): void;
  wisp_query(now: number, number: number, low: number, high: number): void;
  wisp_server(number: number): number;
  wisp_challenge(number: number): number;
  wisp_sign(number: number, hashBytes: number, signatureBytes: number): void;

  list_neighbors(now: number, skip: number): number;
  neighbors_age(): number;
};

/** Flags of `start`. */
export const LAN_FLAG = { gateway: 1, dhcp: 2, dns: 4, dnsEverywhere: 8, ntp: 16, answerPings: 32 } as const;

/** Kinds of settings, which follow the seed of `start`. */
export const SETTING = {
  net: 0,
  mac: 1,
  pool: 2,
  fixed: 3,
  dhcpDomain: 4,
  nameServers: 5,
  dnsDomain: 6,
  record: 7,
  wildcard: 8,
  ipv6: 9,
  echoPort: 10,
} as const;

/** Where settings begin in the arena. */
export const SEED_BYTES = 32;

/** Flags of `open_port`. */
export const PORT_FLAG = { multicastToUnicast: 1, isolated: 2 } as const;

/** Flows' protocols, as `describe` numbers them. */
export const PROTOCOLS = ['tcp', 'udp', 'ping'] as const;

/** Why flows are refused, as `refuse` numbers it. */
export const REFUSALS = ['refused', 'unreachable', 'timeout', 'denied'] as const;

/** Length of a neighbour in the arena. */
export const NEIGHBOR_BYTES = 91;
