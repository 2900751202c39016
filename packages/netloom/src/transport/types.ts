/** A pair of streams, one each way. */
export type DuplexStream<R = Uint8Array, W = R> = {
  readonly readable: ReadableStream<R>;
  readonly writable: WritableStream<W>;
};

/** What a connection's socket may be told, when it is opened and later. */
export type SocketOptions = {
  /** Whether small writes leave at once instead of waiting for the acknowledgment of earlier ones (Nagle, RFC 9293 3.7.4). Default true. */
  noDelay?: boolean;
  /** Milliseconds of silence after which the peer is asked whether it is still there, 1,000 or more; `false` never asks. Default 7,200,000 (RFC 9293 3.8.4). */
  keepAlive?: number | false;
  /** Largest receive buffer in bytes, 4,096 or more, taken as bytes arrive. Default 4 MiB, of which a link without delay uses 256 KiB. */
  receiveBufferSize?: number;
  /** Largest send buffer in bytes, 4,096 or more, taken as bytes are written. Default as `receiveBufferSize`. */
  sendBufferSize?: number;
};

/** Where a connection goes. */
export type StreamConnectOptions = SocketOptions & {
  /** An IPv4 or IPv6 address, or a name that the stack's name server knows. */
  host: string;
  /** 1 to 65,535. */
  port: number;
  /** Address of this end, one of the stack's. Default: the one of the interface that leads there. */
  localAddress?: string;
  /** Port of this end. Default: a free one of 49,152 to 65,535 (RFC 6335). */
  localPort?: number;
  /** Milliseconds until an unanswered connect fails with `ETIMEDOUT`. Default: what TCP's retransmissions take (RFC 6298), some minutes at most. */
  timeout?: number;
  /** Gives up the connect; after that it has no effect. */
  signal?: AbortSignal;
};

/** What a listener takes. */
export type StreamListenOptions = SocketOptions & {
  /** The one address to listen on. Default: all of the stack's. */
  host?: string;
  /** 1 to 65,535, or 0 for a free one. */
  port: number;
  /** Connections that may wait to be accepted, 1 or more; the rest must try again after a second (RFC 6298). Default 1,024. */
  backlog?: number;
  /** Closes the listener. */
  signal?: AbortSignal;
};

/** A stream of bytes each way, as TCP has it: each direction ends by itself. */
export interface StreamConnection extends DuplexStream<Uint8Array>, AsyncDisposable {
  /** Bytes of the peer, one chunk for what arrived together; ends when the peer says that it sends no more. It is a byte stream: BYOB readers fill their own buffers. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Bytes to the peer. `close` ends this direction alone (FIN), `abort` resets the connection. */
  readonly writable: WritableStream<Uint8Array>;
  /** Address and port of this end. */
  readonly localAddress: string;
  readonly localPort: number;
  /** Address and port of the peer. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Settles when both directions have ended; rejects with why it broke off. Need not be observed. */
  readonly closed: Promise<void>;
  /** Reads into a buffer of the caller, without a stream between: resolves with the bytes read, 0 at the end. Not while `readable` is locked. */
  readInto(buffer: Uint8Array, options?: { signal?: AbortSignal }): Promise<number>;
  /** Writes without a stream between; resolves when all bytes are in the send buffer. Not while `writable` is locked. */
  write(bytes: Uint8Array, options?: { signal?: AbortSignal }): Promise<void>;
  /** Changes options of the socket. */
  setOptions(options: SocketOptions): void;
  /** Closes both directions in order: what was written is still sent, what arrives is dropped. Resolves at once; pending and later reads and writes reject. */
  close(): Promise<void>;
  /** Breaks off: RST to the peer. */
  reset(): void;
  /** Iterates over what `readable` gives. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array>;
}

/** Connections of others, in the order in which they arrived. */
export interface StreamListener extends AsyncDisposable {
  /** The address listened on; `0.0.0.0` or `::` for all. */
  readonly address: string;
  readonly port: number;
  /** The next connection; `undefined` once the listener is closed. */
  accept(options?: { signal?: AbortSignal }): Promise<StreamConnection | undefined>;
  /** Ends the iteration; connections not accepted are reset, the port is free at once. */
  close(): Promise<void>;
  /** Iterates over connections; ending the iteration early keeps the listener open. */
  [Symbol.asyncIterator](): AsyncIterableIterator<StreamConnection>;
}

/** Who opens and accepts connections: `stack.tcp`, or anything like it. */
export interface StreamTransport {
  /** Opens a connection. Rejects with a `NetworkError` that says why there is none, and with the signal's reason. */
  connect(options: StreamConnectOptions): Promise<StreamConnection>;
  /** Accepts connections from now on. Rejects with `EADDRINUSE`, `EADDRNOTAVAIL` and `EINVAL`. */
  listen?(options: StreamListenOptions): Promise<StreamListener>;
}

/** A message, with the other end's address: whom it is from when received, whom it is for when sent. */
export type Datagram = {
  host: string;
  port: number;
  data: Uint8Array;
};

/** What a socket of datagrams binds to. */
export type DatagramSocketOptions = {
  /** The one local address. Default: all of the stack's. */
  host?: string;
  /** Local port; 0 or none for a free one. */
  port?: number;
  /** Name of the interface that it sends by and hears from alone, whatever the routes say. */
  interface?: string;
  /** Bytes of datagrams that may wait to be read; what comes on top is dropped. Default 256 KiB. */
  receiveBufferSize?: number;
  /** Closes the socket. */
  signal?: AbortSignal;
};

/** A socket of datagrams, as UDP has it. */
export interface DatagramSocket extends DuplexStream<Datagram>, AsyncDisposable {
  /** Address and port of this end. */
  readonly localAddress: string;
  readonly localPort: number;
  /** Sends one datagram without a stream between. Rejects with `EMSGSIZE` beyond 65,507 bytes (IPv4) and with `ENETUNREACH` without a route. Not while `writable` is locked. */
  send(datagram: Datagram): Promise<void>;
  /** The next datagram; `undefined` once the socket is closed. Not while `readable` is locked. */
  receive(options?: { signal?: AbortSignal }): Promise<Datagram | undefined>;
  /** Closes the socket; its port is free at once. */
  close(): Promise<void>;
  /** Iterates over what `readable` gives. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Datagram>;
}

/** Who opens sockets of datagrams: `stack.udp`, or anything like it. */
export interface DatagramTransport {
  /** Opens a socket. Rejects with `EADDRINUSE`, `EADDRNOTAVAIL` and `EINVAL`. */
  open(options?: DatagramSocketOptions): Promise<DatagramSocket>;
}
