/**
 * The argument forms of `net.connect` and `server.listen`, brought to one.
 *
 * @module
 */
import type { LookupFunction, OnReadOpts } from 'node:net';
import { invalidType, portOf, usageError } from '../errors.ts';

/** What `connect` takes, as of Node. */
export type ConnectOptions = {
  /** 1 to 65,535. */
  port: number | string;
  /** An address or a name. Default `localhost`. */
  host?: string | undefined;
  localAddress?: string | undefined;
  localPort?: number | undefined;
  family?: number | undefined;
  hints?: number | undefined;
  /** Asks for the addresses of names. Default: the one of `createNet`, or else the transport's own. */
  lookup?: LookupFunction | undefined;
  /** Milliseconds of idleness after which the socket emits `timeout`. */
  timeout?: number | undefined;
  noDelay?: boolean | undefined;
  keepAlive?: boolean | undefined;
  keepAliveInitialDelay?: number | undefined;
  onread?: OnReadOpts | undefined;
};

/** What `listen` takes, as of Node. */
export type ListenOptions = {
  /** 0 to 65,535; 0, the default, takes a free one. */
  port?: number | string | undefined;
  /** The one address to listen on. Default: all. */
  host?: string | undefined;
  /** Connections that may wait to be accepted. Default 511. */
  backlog?: number | undefined;
  signal?: AbortSignal | undefined;
  path?: string | undefined;
};

type Callback = (...values: unknown[]) => void;

/** Options and callback of `connect(options[, cb])`, `connect(port[, host][, cb])`. */
export function connectArguments(values: readonly unknown[]): [options: ConnectOptions, callback: Callback | undefined] {
  const [options, callback] = normalize(values);
  if (options['port'] === undefined || options['port'] === null) {
    // With a port it is another path: that of a request, which `http.request` leaves in the options of its connection.
    if (options['path'] !== undefined && options['path'] !== null) throw noPath(options['path']);
    throw usageError('ERR_MISSING_ARGS', 'The "options" or "port" or "path" argument must be specified');
  }
  if (typeof options['port'] !== 'number' && typeof options['port'] !== 'string') {
    throw invalidType('options.port', 'one of type number or string', options['port']);
  }
  portOf(options['port'], 'Port');
  for (const name of ['host', 'localAddress'] as const) {
    if (options[name] !== undefined && options[name] !== null && typeof options[name] !== 'string') {
      throw invalidType(`options.${name}`, 'of type string', options[name]);
    }
  }
  if (options['lookup'] !== undefined && typeof options['lookup'] !== 'function') {
    throw invalidType('options.lookup', 'of type function', options['lookup']);
  }
  return [options as ConnectOptions, callback];
}

/** Options and callback of `listen([port[, host[, backlog]]][, cb])`, `listen(options[, cb])`. */
export function listenArguments(values: readonly unknown[]): [options: ListenOptions, callback: Callback | undefined] {
  const [first, ...rest] = values;
  const callback = typeof values.at(-1) === 'function' ? (values.at(-1) as Callback) : undefined;
  if (typeof first === 'object' && first !== null) {
    const options = first as ListenOptions & { fd?: unknown; _handle?: unknown };
    if (options.path !== undefined) throw noPath(options.path);
    if (options.port === undefined && (options.fd !== undefined || options._handle !== undefined || !('port' in options))) {
      throw usageError('ERR_INVALID_ARG_VALUE', 'The argument \'options\' must have the property "port"');
    }
    return [{ ...options, port: options.port === undefined ? 0 : portOf(options.port, 'options.port') }, callback];
  }
  if (first === undefined || first === null || typeof first === 'function') return [{ port: 0 }, callback];
  if (isPath(first)) throw noPath(first);
  const host = rest.find((value) => typeof value === 'string') as string | undefined;
  const backlog = rest.find((value) => typeof value === 'number') as number | undefined;
  return [{ port: portOf(first, 'options.port'), host, backlog }, callback];
}

function normalize(values: readonly unknown[]): [Record<string, unknown>, Callback | undefined] {
  const [first, second] = values;
  const callback = typeof values.at(-1) === 'function' ? (values.at(-1) as Callback) : undefined;
  if (typeof first === 'object' && first !== null) return [first as Record<string, unknown>, callback];
  if (isPath(first)) throw noPath(first);
  return [{ port: typeof first === 'function' ? undefined : first, ...(typeof second === 'string' ? { host: second } : {}) }, callback];
}

function isPath(value: unknown): boolean {
  return typeof value === 'string' && !(value.trim() !== '' && Number(value) >= 0);
}

function noPath(path: unknown): Error {
  return usageError('ERR_INVALID_ARG_VALUE', `The argument 'path' is a socket of the file system, which a network stack has not. Received '${String(path)}'`);
}
