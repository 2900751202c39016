/**
 * Connections that begin: what the module left of one, and the wait until its peer has answered.
 */
import type { Exports } from '../engine/abi.ts';
import { addressText } from '../engine/address.ts';
import type { Engine } from '../engine/engine.ts';
import { NetworkError } from '../errors.ts';
import type { SocketOptions } from '../transport/types.ts';
import { TcpConnection, type Ends } from './connection.ts';

/** Called when a connection stands, or with why it does not. */
export type Established = (failure?: unknown) => void;

/** The connection that the latest call opened. `mtuOf` tells the MTU towards a peer from this end's address. */
export function connectionOf(engine: Engine<Exports>, mtuOf: (address: string) => number, options: SocketOptions, established?: Established): TcpConnection {
  const { words, bytes, arena } = engine;
  const [index, generation, localPort, remotePort, localFamily, remoteFamily] = words as unknown as [number, number, number, number, number, number];
  const ends: Ends = {
    localAddress: addressText(bytes, arena, localFamily),
    localPort,
    remoteAddress: addressText(bytes, arena + 16, remoteFamily),
    remotePort,
  };
  return new TcpConnection(engine, index, generation, ends, mtuOf(ends.localAddress), options, established);
}

/** Waits until the connection that `open` makes stands, for so many milliseconds at most. */
export function whenEstablished(
  engine: Engine<Exports>,
  { signal, timeout }: { signal?: AbortSignal | undefined; timeout?: number | undefined },
  open: (established: Established) => TcpConnection,
): Promise<TcpConnection> {
  return new Promise((resolve, reject) => {
    engine.hold();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const abort = () => connection.breakOff(signal?.reason);
    const connection = open((failure) => {
      engine.release();
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      if (failure === undefined) resolve(connection);
      else reject(failure);
    });
    signal?.addEventListener('abort', abort);
    if (timeout !== undefined) {
      const late = new NetworkError('ETIMEDOUT', { syscall: 'connect', address: connection.remoteAddress, port: connection.remotePort });
      timer = setTimeout(() => connection.breakOff(late), timeout);
    }
    engine.wake();
  });
}
