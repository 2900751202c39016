/**
 * What the parts of a stack share.
 */
import { putAddress, type Family } from './engine/address.ts';
import type { Exports } from './engine/abi.ts';
import type { Engine } from './engine/engine.ts';
import { NetworkError } from './errors.ts';

export type Context = {
  readonly engine: Engine;
  /** The address of a host: itself, or what the name server says. */
  resolve(host: string, signal?: AbortSignal): Promise<string>;
  /** Writes an address to the arena at an offset; its family. */
  put(address: string, offset: number): Family;
  /** MTU of the interface that has an address. */
  mtuOf(address: string): number;
  /** Number of the interface of a name. */
  interfaceOf(name: string): number;
  /** Throws if nothing works any more, or the signal has aborted. */
  check(signal?: AbortSignal): void;
};

/** Writes an address to the arena. @throws NetworkError `EINVAL` if it is none */
export function putInArena(engine: Engine<Exports>, address: string, offset: number): Family {
  const family = putAddress(address, engine.bytes, engine.arena + offset);
  if (family === 0) throw new NetworkError('EINVAL', { message: `not an address: ${address}` });
  return family;
}
