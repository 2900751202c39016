/**
 * Errors with the codes that Node's `net`, `dgram` and `dns` give, so that one test suits both.
 *
 * @module
 */

/** What may go wrong, as Node names it. */
export type ErrorCode =
  /** The port is in use already. */
  | 'EADDRINUSE'
  /** The local address is not one of the stack's. */
  | 'EADDRNOTAVAIL'
  /** This end closed the connection, or the stack was closed. */
  | 'ECONNABORTED'
  /** The target refused the connection. */
  | 'ECONNREFUSED'
  /** The peer reset the connection. */
  | 'ECONNRESET'
  /** The target or its router did not answer, or said that it cannot be reached. */
  | 'EHOSTUNREACH'
  /** An argument is out of range. */
  | 'EINVAL'
  /** The datagram is longer than a packet carries. */
  | 'EMSGSIZE'
  /** No route leads to the target. */
  | 'ENETUNREACH'
  /** The name has no address. */
  | 'ENOTFOUND'
  /** The name server did not answer usefully; another try may. */
  | 'EAI_AGAIN'
  /** This side of the connection is closed for writing. */
  | 'EPIPE'
  /** The peer did not answer in time. */
  | 'ETIMEDOUT'
  /** The stack's WebAssembly instance failed; nothing of it works any more. */
  | 'ERR_STACK_DEAD';

/** An error of the network. */
export class NetworkError extends Error {
  override readonly name = 'NetworkError';
  /** What went wrong. */
  readonly code: ErrorCode;
  /** The operation: `connect`, `listen`, `bind`, `send`, `read`, `write`, `ping` or `lookup`. */
  readonly syscall: string | undefined;
  /** The address of the other end, if one was meant. */
  readonly address: string | undefined;
  /** The port of the other end, if one was meant. */
  readonly port: number | undefined;

  /** Without `message`, it reads as Node's: `connect ECONNREFUSED 10.0.0.1:80`. */
  constructor(code: ErrorCode, about: { syscall?: string; address?: string; port?: number; message?: string; cause?: unknown } = {}) {
    const { syscall, address, port, message, cause } = about;
    const host = address?.includes(':') && port !== undefined ? `[${address}]` : address;
    const target = host === undefined ? undefined : port === undefined ? host : `${host}:${port}`;
    super(message ?? [syscall, code, target].filter((part) => part !== undefined).join(' '), cause === undefined ? undefined : { cause });
    this.code = code;
    this.syscall = syscall;
    this.address = address;
    this.port = port;
  }
}
