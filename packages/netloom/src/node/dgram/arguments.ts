/**
 * The argument forms of `socket.send` and `socket.bind`, brought to one.
 *
 * @module
 */
import { invalidType, portOf, usageError } from '../errors.ts';

/** What may be sent: one piece, or several as one datagram. */
export type Message = string | NodeJS.ArrayBufferView | readonly (string | NodeJS.ArrayBufferView)[];

/** How `send` calls back. */
export type SendCallback = (error: Error | null, bytes: number) => void;

/** What `bind` takes. */
export type BindOptions = { port?: number | undefined; address?: string | undefined; exclusive?: boolean | undefined; fd?: number | undefined };

export type Sending = { data: Buffer; port: number | undefined; address: string | undefined; callback: SendCallback | undefined };

/** `send(msg[, offset, length][, port][, address][, callback])`; a connected socket takes neither port nor address. */
export function sendArguments(values: readonly unknown[], connected: boolean): Sending {
  const [message, first, second, third, fourth, fifth] = values;
  const whole = bytesOf(message);
  // Told apart as Node does: by what stands where the other form has its port.
  const sliced = connected ? typeof second === 'number' : Boolean(fourth) || (Boolean(third) && typeof third !== 'function');
  const data = sliced ? slice(whole, first, second) : whole;
  const [port, address, last] = sliced
    ? [third, fourth, fifth]
    : connected && typeof first === 'function'
      ? [undefined, undefined, first]
      : [first, second, third];
  const callback = [port, address, last].find((value) => typeof value === 'function') as SendCallback | undefined;
  if (connected) {
    if ((port && port !== callback) || (address && address !== callback)) throw usageError('ERR_SOCKET_DGRAM_IS_CONNECTED', 'Already connected', Error);
    return { data, port: undefined, address: undefined, callback };
  }
  const host = address === callback ? undefined : address;
  const number = portOf(port, 'Port', false);
  if (host !== undefined && host !== null && typeof host !== 'string') throw invalidType('address', 'of type string', host);
  return { data, port: number, address: (host as string) || undefined, callback };
}

function slice(data: Buffer, offset: unknown, length: unknown): Buffer {
  if (typeof offset !== 'number') throw invalidType('offset', 'of type number', offset);
  if (typeof length !== 'number') throw invalidType('length', 'of type number', length);
  if (offset > data.length || offset < 0) throw usageError('ERR_BUFFER_OUT_OF_BOUNDS', '"offset" is outside of buffer bounds', RangeError);
  if (offset + length > data.length || length < 0) throw usageError('ERR_BUFFER_OUT_OF_BOUNDS', '"length" is outside of buffer bounds', RangeError);
  return data.subarray(offset, offset + length);
}

/** A copy, as the caller may use its own again at once. */
function bytesOf(message: unknown): Buffer {
  if (Array.isArray(message)) return Buffer.concat(message.map(bytesOf));
  if (typeof message === 'string') return Buffer.from(message);
  if (ArrayBuffer.isView(message)) return Buffer.from(new Uint8Array(message.buffer, message.byteOffset, message.byteLength));
  throw invalidType('buffer', 'of type string or an instance of Buffer, TypedArray, or DataView', message);
}

/** `bind([port][, address][, callback])`, `bind(options[, callback])`. */
export function bindArguments(values: readonly unknown[]): [options: BindOptions, callback: (() => void) | undefined] {
  const callback = typeof values.at(-1) === 'function' ? (values.at(-1) as () => void) : undefined;
  const [first, second] = values;
  if (typeof first === 'object' && first !== null) {
    const options = first as BindOptions;
    if (options.fd !== undefined) throw usageError('ERR_INVALID_ARG_VALUE', 'A network stack has no file descriptors');
    return [{ port: options.port === undefined ? 0 : portOf(options.port, 'Port'), address: options.address }, callback];
  }
  const port = typeof first === 'function' || first === undefined || first === null ? 0 : portOf(first, 'Port');
  return [{ port, address: typeof second === 'string' && second !== '' ? second : undefined }, callback];
}
