import { NetworkError } from '../errors.ts';
import type { SocketOptions } from '../transport/types.ts';

const KEEPALIVE_MS = 7_200_000;
const LEAST_KEEPALIVE_MS = 1000;
const BUFFER_BYTES = 4 << 20;
const LEAST_BUFFER_BYTES = 4096;
const MOST_BUFFER_BYTES = 1 << 30;

/** Options as the machine takes them: no delay, keepalive in microseconds, receive and send buffer in bytes. */
export function numbersOf(options: SocketOptions): [number, number, number, number] {
  const { noDelay = true, keepAlive = KEEPALIVE_MS, receiveBufferSize = BUFFER_BYTES, sendBufferSize = BUFFER_BYTES } = options;
  const keepalive = keepAlive === false ? 0 : inRange('keepAlive', keepAlive, LEAST_KEEPALIVE_MS, Number.MAX_SAFE_INTEGER / 1000) * 1000;
  return [
    noDelay ? 1 : 0,
    keepalive,
    inRange('receiveBufferSize', receiveBufferSize, LEAST_BUFFER_BYTES, MOST_BUFFER_BYTES),
    inRange('sendBufferSize', sendBufferSize, LEAST_BUFFER_BYTES, MOST_BUFFER_BYTES),
  ];
}

/** A number of an option, or the error that it is none. */
export function inRange(name: string, value: number, least: number, most: number): number {
  if (typeof value !== 'number' || !(value >= least && value <= most)) {
    throw new NetworkError('EINVAL', { message: `${name} must be ${least} to ${most}: ${value}` });
  }
  return Math.floor(value);
}

/** A port of an option. */
export function portOf(value: number, least: 0 | 1): number {
  if (!Number.isInteger(value)) throw new NetworkError('EINVAL', { message: `port must be a whole number: ${value}` });
  return inRange('port', value, least, 65_535);
}
