/** The functions of the module, as `crates/netloom-tls-wasm` exports them. Times are seconds since 1970. */
export type TlsExports = {
  readonly memory: WebAssembly.Memory;
  arena(): number;
  arena_bytes(): number;
  left(): number;
  left_bytes(): number;
  panic_pointer(): number;
  panic_length(): number;

  generate(now: number, nameBytes: number): number;
  import(now: number, pemBytes: number): number;
  export_pem(): number;
  certificate_pem(): number;
  certificate_der(): number;

  open(now: number, hostBytes: number): number;
  handle_records(connection: number, now: number, bytes: number): number;
  take_plaintext(connection: number): number;
  take_outgoing(connection: number): number;
  write(connection: number, bytes: number): number;
  finish(connection: number): void;
  close(connection: number): void;
  state(connection: number): number;
  server_name(connection: number): number;
};

/** Bytes of entropy before the text that an authority is made of. */
export const SEED_BYTES = 32;

/** How far a connection is. */
export const STATE = { handshaking: 0, open: 1, peerClosed: 2 } as const;
