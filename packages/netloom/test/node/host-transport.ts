/**
 * Transports over the host's own network, by `node:net` and `node:dgram`: a peer for tests that need no stack, and the other end of a
 * forward from a stack to a server of the host.
 *
 * @module
 */
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { NetworkError } from '../../src/errors.ts';
import type { ErrorCode } from '../../src/errors.ts';
import type { Datagram, DatagramSocket, DatagramTransport, StreamConnection, StreamListener, StreamTransport } from '../../src/transport/index.ts';

function networkError(error: unknown): NetworkError {
  const { code, syscall, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  return new NetworkError((code ?? 'ECONNABORTED') as ErrorCode, { syscall, address, port, cause: error });
}

/** TCP of the host. */
export const hostTcp: StreamTransport = {
  async connect({ host, port, localAddress, localPort, signal, noDelay = true }) {
    const socket = net.connect({ host, port, localAddress, localPort, noDelay, allowHalfOpen: true });
    signal?.addEventListener('abort', () => socket.destroy(), { once: true });
    try {
      await once(socket, 'connect', { signal });
    } catch (error) {
      socket.destroy();
      throw networkError(error);
    }
    return connection(socket);
  },
  async listen({ host, port, backlog, signal }) {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true });
    server.listen({ host: host ?? '0.0.0.0', port, backlog });
    try {
      await once(server, 'listening');
    } catch (error) {
      throw networkError(error);
    }
    signal?.addEventListener('abort', () => server.close(), { once: true });
    return listener(server);
  },
};

function listener(server: net.Server): StreamListener {
  const arrived: net.Socket[] = [];
  let wake = (): void => {};
  let open = true;
  server.on('connection', (socket) => {
    arrived.push(socket);
    wake();
  });
  const { address, port } = server.address() as net.AddressInfo;
  return {
    address,
    port,
    async accept() {
      for (;;) {
        const socket = arrived.shift();
        if (socket) return connection(socket);
        if (!open) return undefined;
        await new Promise<void>((done) => (wake = done));
      }
    },
    async close() {
      open = false;
      for (const socket of arrived.splice(0)) socket.resetAndDestroy();
      server.close();
      wake();
    },
    async *[Symbol.asyncIterator]() {
      for (let next; (next = await this.accept()); ) yield next;
    },
    async [Symbol.asyncDispose]() {
      await this.close();
    },
  };
}

function connection(socket: net.Socket): StreamConnection {
  let trouble: Error | undefined;
  const closed = new Promise<void>((done, failed) => {
    socket.once('close', () => (trouble ? failed(trouble) : done()));
  });
  closed.catch(() => {});
  socket.on('error', (error) => (trouble ??= networkError(error)));
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  const end = () => new Promise<void>((done, failed) => socket.end(() => (trouble ? failed(trouble) : done())));
  const write = (bytes: Uint8Array) =>
    new Promise<void>((done, failed) => socket.write(bytes.slice(), (error) => (error ? failed(trouble ?? networkError(error)) : done())));
  const self: StreamConnection = {
    localAddress: localAddress!,
    localPort: localPort!,
    remoteAddress: remoteAddress!,
    remotePort: remotePort!,
    closed,
    readable: new ReadableStream(
      {
        async pull(controller) {
          const bytes = new Uint8Array(65_536);
          const count = await self.readInto(bytes);
          if (count === 0) controller.close();
          else controller.enqueue(bytes.subarray(0, count));
        },
      },
      { highWaterMark: 0 },
    ),
    writable: new WritableStream({ write, close: end, abort: () => self.reset() }),
    async readInto(buffer) {
      for (;;) {
        const waiting = socket.readableLength;
        const bytes = waiting > 0 ? (socket.read(Math.min(buffer.length, waiting)) as Buffer | null) : null;
        if (bytes) {
          buffer.set(bytes);
          return bytes.length;
        }
        if (trouble) throw trouble;
        if (socket.readableEnded) return 0;
        if (socket.destroyed) throw new NetworkError('ECONNABORTED', { syscall: 'read' });
        socket.read(0);
        await new Promise<void>((done) => {
          const events = ['readable', 'end', 'close', 'error'];
          const wake = () => {
            for (const event of events) socket.off(event, wake);
            done();
          };
          for (const event of events) socket.on(event, wake);
        });
        // `end` is due once the buffer is empty, and only to a stream that is read.
        socket.read(0);
      }
    },
    write,
    setOptions: ({ noDelay, keepAlive }) => {
      if (noDelay !== undefined) socket.setNoDelay(noDelay);
      if (keepAlive !== undefined) socket.setKeepAlive(keepAlive !== false, keepAlive || 0);
    },
    async close() {
      socket.end();
      socket.destroySoon();
    },
    reset: () => void socket.resetAndDestroy(),
    [Symbol.asyncIterator]: () => self.readable[Symbol.asyncIterator]() as AsyncIterableIterator<Uint8Array>,
    [Symbol.asyncDispose]: () => self.close(),
  };
  return self;
}

/** UDP of the host. */
export const hostUdp: DatagramTransport = {
  async open({ host, port = 0, signal } = {}) {
    const socket = dgram.createSocket(host?.includes(':') ? 'udp6' : 'udp4');
    const arrived: Datagram[] = [];
    let wake = (): void => {};
    let open = true;
    socket.on('message', (data, from) => {
      arrived.push({ host: from.address, port: from.port, data: new Uint8Array(data) });
      wake();
    });
    socket.bind(port, host);
    try {
      await once(socket, 'listening');
    } catch (error) {
      throw networkError(error);
    }
    socket.on('error', () => {});
    const self: DatagramSocket = {
      localAddress: socket.address().address,
      localPort: socket.address().port,
      send: ({ host, port, data }) => new Promise((done, failed) => socket.send(data, port, host, (error) => (error ? failed(networkError(error)) : done()))),
      async receive() {
        for (;;) {
          const next = arrived.shift();
          if (next || !open) return next;
          await new Promise<void>((done) => (wake = done));
        }
      },
      async close() {
        if (!open) return;
        open = false;
        socket.close();
        wake();
      },
      readable: new ReadableStream(
        {
          async pull(controller) {
            const next = await self.receive();
            if (next) controller.enqueue(next);
            else controller.close();
          },
        },
        { highWaterMark: 0 },
      ),
      writable: new WritableStream({ write: (datagram: Datagram) => self.send(datagram) }),
      async *[Symbol.asyncIterator]() {
        for (let next; (next = await self.receive()); ) yield next;
      },
      [Symbol.asyncDispose]: () => self.close(),
    };
    signal?.addEventListener('abort', () => void self.close(), { once: true });
    return self;
  },
};
