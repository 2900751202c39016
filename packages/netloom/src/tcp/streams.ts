/**
 * The streams of a connection: nothing is queued in them, so that what is not read stays in the receive buffer, and the peer stops.
 */
import type { TcpConnection } from './connection.ts';

/** A byte stream of what arrives. */
export function readableOf(connection: TcpConnection): ReadableStream<Uint8Array> {
  const source: UnderlyingByteSource = {
    type: 'bytes',
    start(controller) {
      connection.onFailure((error) => controller.error(error));
    },
    pull(controller) {
      if (give(connection, controller)) return undefined;
      return new Promise<void>((resolve) => {
        const wake = () => {
          if (give(connection, controller)) resolve();
          else connection.onArrival(wake);
        };
        connection.onArrival(wake);
      });
    },
    cancel() {
      connection.cancelReads();
    },
  };
  return new ReadableStream(source) as ReadableStream<Uint8Array>;
}

/** Gives what there is; false if the reader must wait. */
function give(connection: TcpConnection, controller: ReadableByteStreamController): boolean {
  const bytes = connection.nextBytes;
  if (connection.failed) return true;
  if (bytes === undefined) return false;
  const request = controller.byobRequest;
  if (bytes === 0) {
    controller.close();
    request?.respond(0);
  } else if (request?.view) {
    const { buffer, byteOffset, byteLength } = request.view;
    request.respond(connection.readNow(new Uint8Array(buffer, byteOffset, byteLength)) ?? 0);
  } else {
    const chunk = new Uint8Array(bytes);
    connection.readNow(chunk);
    controller.enqueue(chunk);
  }
  return true;
}

/** A stream of what is sent. */
export function writableOf(connection: TcpConnection): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    start(controller) {
      connection.onFailure((error) => controller.error(error));
    },
    write: (chunk) => connection.send(chunk),
    close: () => connection.finish(),
    abort: (reason) => connection.breakOff(reason),
  });
}
