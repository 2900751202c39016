/**
 * Errors as Node itself makes them: its codes, its texts, its `errno`, so that code written for `node:net` finds what it looks for.
 *
 * @module
 */
import { getSystemErrorMap } from 'node:util';

/** An error of the system, as Node has it. */
export type SystemError = Error & { code: string; errno?: number; syscall?: string; address?: string; port?: number; hostname?: string };

type About = { address?: string | undefined; port?: number | undefined; cause?: unknown };

let numbers: Map<string, readonly [errno: number, text: string]> | undefined;

/** Number and text of a code, if the platform has it. */
function known(code: string): readonly [errno: number, text: string] | undefined {
  if (!numbers) {
    numbers = new Map();
    for (const [errno, [name, text]] of getSystemErrorMap()) numbers.set(name, [errno, text]);
  }
  // Node's own name for it.
  return numbers.get(code === 'ENOTFOUND' ? 'EAI_NONAME' : code);
}

function target({ address, port }: About): string {
  if (address === undefined) return '';
  return port === undefined || port === 0 ? ` ${address}` : ` ${address}:${port}`;
}

/** `connect ECONNREFUSED 10.0.0.1:80`; of `listen` also the text of the code, as Node has it there. */
export function systemError(syscall: string, code: string, about: About = {}): SystemError {
  const [errno, text] = known(code) ?? [];
  const why = syscall === 'listen' && text !== undefined ? `${code}: ${text}` : code;
  const error = new Error(`${syscall} ${why}${target(about)}`, about.cause === undefined ? undefined : { cause: about.cause }) as SystemError;
  if (errno !== undefined) error.errno = errno;
  error.code = code;
  error.syscall = syscall;
  if (about.address !== undefined) error.address = about.address;
  if (about.port !== undefined) error.port = about.port;
  return error;
}

/** `getaddrinfo ENOTFOUND name`. */
export function lookupError(code: string, hostname: string, cause?: unknown): SystemError {
  const error = systemError('getaddrinfo', code, { cause });
  error.message += ` ${hostname}`;
  error.hostname = hostname;
  return error;
}

/** What a transport rejected with, as Node would say it. What has no code of the system stays as it is. */
export function nodeError(error: unknown, syscall: string, about: { address?: string | undefined; port?: number | undefined } = {}): Error {
  const code = codeOf(error);
  if (code === undefined) return error instanceof Error ? error : new Error(String(error));
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return lookupError(code, about.address ?? '', error);
  if (known(code) === undefined) return error as Error;
  return systemError(syscall, code, { ...about, cause: error });
}

function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** An error with a code that tells of the caller's own mistake. */
export function usageError(code: string, message: string, Kind: ErrorConstructor = TypeError): Error & { code: string } {
  return Object.assign(new Kind(message), { code });
}

/** `value` as a port. */
export function portOf(value: unknown, name: string, allowZero = true): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < (allowZero ? 0 : 1) || number > 65_535) {
    throw usageError('ERR_SOCKET_BAD_PORT', `${name} should be ${allowZero ? '>=' : '>'} 0 and < 65536. Received ${shown(value)}.`, RangeError);
  }
  return number;
}

/** Throws unless `value` may be called or is missing. */
export function checkFunction(value: unknown, name: string): void {
  if (value !== undefined && typeof value !== 'function') throw invalidType(name, 'of type function', value);
}

/** The error for an argument of another type than Node takes. */
export function invalidType(name: string, expected: string, value: unknown): Error {
  const kind = name.includes('.') ? 'property' : 'argument';
  return usageError('ERR_INVALID_ARG_TYPE', `The "${name}" ${kind} must be ${expected}. Received ${shown(value)}`);
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object') return `an instance of ${value.constructor?.name ?? 'Object'}`;
  const text = typeof value === 'string' ? `'${value}'` : String(value);
  return `type ${typeof value} (${text})`;
}
