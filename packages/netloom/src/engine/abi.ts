/**
 * The functions of the WebAssembly modules, as `crates/netloom-wasm` exports them. Times are microseconds.
 */

/** Those that a module has in either role. */
export type Exports = {
  readonly memory: WebAssembly.Memory;
  arena(): number;
  arena_bytes(): number;
  words(): number;
  words_length(): number;
  panic_pointer(): number;
  panic_length(): number;
  handle_timeout(now: number, rung: number): void;
  poll_timeout(): number;

  handle_frame(now: number, id: number, length: number): void;
  poll_interface(): number;
  poll_frame(now: number, id: number): number;
  discard_frames(now: number, id: number): void;

  set_options(now: number, index: number, generation: number, noDelay: number, keepalive: number, receiveBytes: number, sendBytes: number): void;
  peek(index: number, generation: number): number;
  take(now: number, index: number, generation: number, bytes: number): void;
  room(index: number, generation: number): number;
  write(now: number, index: number, generation: number, bytes: number): number;
  fin(now: number, index: number, generation: number): void;
  close_flow(now: number, index: number, generation: number): void;
  reset(index: number, generation: number): void;
  peek_datagram(index: number, generation: number): number;

  poll_events(): number;
  events_at_once(): number;
  flows(): number;
  drops(): number;
  drop_name(number: number): number;
};

/** Those of a host. */
export type HostExports = Exports & {
  start(forwarding: number, timestamps: number, cubic: number, rtoMin: number, bufferBytes: number): void;
  show_loopback(now: number): number;
  run_loopback(now: number, budgetFrames: number): number;

  open_interface(medium: number, mtu: number, queueBytes: number, burst: number, masquerade: number, addresses: number): number;
  close_interface(id: number): void;
  set_addresses(id: number, addresses: number): void;
  join_bridge(bridge: number, tap: number): number;
  leave_bridge(tap: number): void;
  set_offload(id: number, largeSegments: number, trusted: number): number;

  listen(family: number, port: number, backlog: number, noDelay: number, keepalive: number, receiveBytes: number, sendBytes: number): number;
  close_listener(index: number, generation: number): void;
  accept(index: number, generation: number): number;
  connect(
    now: number,
    localFamily: number,
    localPort: number,
    family: number,
    port: number,
    noDelay: number,
    keepalive: number,
    receiveBytes: number,
    sendBytes: number,
  ): number;

  open_udp(family: number, port: number, interfaceId: number, receiveBytes: number): number;
  open_ping(receiveBytes: number): number;
  send(now: number, index: number, generation: number, family: number, port: number, bytes: number): number;
  take_datagram(index: number, generation: number): void;
  close_socket(index: number, generation: number): void;

  add_route(interfaceId: number, family: number, prefix: number, viaFamily: number): number;
  remove_route(interfaceId: number, family: number, prefix: number, viaFamily: number): number;
  list_routes(skip: number): number;

  interface_counters(id: number): number;
};

/** What `open_interface` makes. */
export const MEDIUM = { loopback: 0, tun: 1, tap: 2, bridge: 3 } as const;

/** No interface, or any: 2³² − 1, which JavaScript gets signed. */
export const NO_INTERFACE = -1;

/** What calls answer. */
export const CODE = { ok: 0, inUse: 1, notLocal: 2, noPort: 3, noRoute: 4, tooLong: 5, full: 6 } as const;

/** Length of an event in words. */
export const EVENT_WORDS = 10;

/** The kinds of events. */
export const EVENT = {
  accepted: 0,
  established: 1,
  data: 2,
  fin: 3,
  writable: 4,
  reset: 5,
  closed: 6,
  datagram: 7,
  undelivered: 8,
  opened: 9,
  query: 10,
} as const;

/** Why a connection ended. */
export const REASON = { reset: 0, refused: 1, unreachable: 2, timeout: 3, interfaceClosed: 4 } as const;

/** Length of a route in the arena. */
export const ROUTE_BYTES = 40;

/** Length of an address with its prefix in the arena. */
export const NET_BYTES = 18;

/** Room before a packet of a tun. */
export const TUN_ROOM = 14;
