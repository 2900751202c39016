import { NetworkError } from '../errors.ts';
import type { HttpLimits } from './types.ts';

/** All of `HttpLimits`, decided. */
export type Limits = Required<HttpLimits>;

/** `given` over `defaults`. Throws `EINVAL` for what is no number of bytes, fields or milliseconds. */
export function limitsOf(given: HttpLimits, defaults: Partial<Limits>): Limits {
  const limits: Limits = { maxHeaderSize: 16384, maxHeaders: 128, headersTimeout: 300_000, bodyTimeout: 300_000, keepAliveTimeout: 4000, ...defaults };
  for (const name of Object.keys(limits) as (keyof Limits)[]) {
    const value = given[name];
    if (value === undefined) continue;
    // Timers hold 31 bits.
    if (!(Number.isInteger(value) && value >= 0 && value < 2 ** 31))
      throw new NetworkError('EINVAL', { message: `${name} is not a whole number from 0 to 2147483647` });
    limits[name] = value;
  }
  return limits;
}
