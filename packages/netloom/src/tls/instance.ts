/** One instance of the module: its memory, and what a trap makes of it. */
import { NetworkError } from '../errors.ts';
import { SEED_BYTES, type TlsExports } from './abi.ts';

export class TlsInstance {
  readonly #exports: TlsExports;
  readonly #arena: number;
  /** Bytes that the arena takes at once. */
  readonly arenaBytes: number;
  #failure: NetworkError | undefined;

  constructor(module: WebAssembly.Module) {
    this.#exports = new WebAssembly.Instance(module).exports as unknown as TlsExports;
    this.#arena = this.#exports.arena();
    this.arenaBytes = this.#exports.arena_bytes();
  }

  /** Runs a call. A trap ends the instance: it throws here and from then on. */
  run<T>(call: (exports: TlsExports) => T): T {
    if (this.#failure) throw this.#failure;
    try {
      return call(this.#exports);
    } catch (cause) {
      const message = this.#textAt(this.#exports.panic_pointer(), this.#exports.panic_length());
      throw (this.#failure = new NetworkError('ERR_STACK_DEAD', { message: `the TLS module failed: ${message || cause}`, cause }));
    }
  }

  /** Begins: puts entropy and a text into the arena. */
  begin(text: string, call: (exports: TlsExports, bytes: number) => number): void {
    const bytes = new TextEncoder().encode(text);
    if (SEED_BYTES + bytes.length > this.arenaBytes)
      throw new NetworkError('EINVAL', { message: `an authority has at most ${this.arenaBytes - SEED_BYTES} bytes` });
    const arena = new Uint8Array(this.#exports.memory.buffer, this.#arena);
    crypto.getRandomValues(arena.subarray(0, SEED_BYTES));
    arena.set(bytes, SEED_BYTES);
    if (!this.run((exports) => call(exports, bytes.length))) throw new NetworkError('EINVAL', { message: this.leftText() });
  }

  /** Puts bytes into the arena, of which it takes `arenaBytes`. */
  put(bytes: Uint8Array): void {
    new Uint8Array(this.#exports.memory.buffer).set(bytes, this.#arena);
  }

  /** A copy of what the latest call left. */
  left(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#exports.memory.buffer, this.#exports.left(), this.#exports.left_bytes()).slice();
  }

  leftText(): string {
    return this.#textAt(this.#exports.left(), this.#exports.left_bytes());
  }

  #textAt(at: number, length: number): string {
    return new TextDecoder().decode(new Uint8Array(this.#exports.memory.buffer, at, length));
  }
}
