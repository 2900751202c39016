/** A message of the peer that breaks the rules of HTTP or WebSocket, or that exceeds a limit. It is the `cause` of the `TypeError` that `fetch` rejects with. */
export class HttpProtocolError extends Error {
  override readonly name = 'HttpProtocolError';
  /** The status with which a server answers such a request. */
  readonly status: number;
  /** The line of a head that is not what it should be, if it was one. */
  readonly line: string | undefined;

  constructor(message: string, status = 400, line?: string) {
    super(message);
    this.status = status;
    this.line = line;
  }
}

/** What `fetch` rejects with for a scheme that it cannot serve. */
export function unsupportedProtocol(protocol: string): TypeError {
  return new TypeError(`unsupported protocol: ${protocol}`);
}
