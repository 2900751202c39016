/** A message of the peer that breaks the rules of HTTP or WebSocket, or that exceeds a limit. It is the `cause` of the `TypeError` that `fetch` rejects with. */
export class HttpProtocolError extends Error {
  override readonly name = 'HttpProtocolError';
  /** The status with which a server answers such a request. */
  readonly status: number;

  constructor(message: string, status = 400) {
    super(message);
    this.status = status;
  }
}

/** What `fetch` rejects with for a scheme that it cannot serve. */
export function unsupportedProtocol(protocol: string): TypeError {
  return new TypeError(`unsupported protocol: ${protocol}`);
}
