// TLS of a guest, by Node's (OpenSSL) over a connection of the ideal guest.
import { once } from "node:events";
import { Duplex } from "node:stream";
import tls from "node:tls";

/** What a card sends in one segment. */
const SEGMENT_BYTES = 1460;

/** A connection of the ideal guest as a stream of Node's, of what comes after its first `from` bytes. */
function duplexOf(connection, from) {
  const stream = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      for (let at = 0; at < chunk.length; at += SEGMENT_BYTES) connection.write(chunk.subarray(at, at + SEGMENT_BYTES));
      done();
    },
    final(done) {
      connection.end();
      done();
    },
  });
  const receive = connection.receive.bind(connection);
  let given = from;
  let ended = false;
  const give = () => {
    if (connection.length > given) stream.push(connection.bytes().subarray(given));
    given = connection.length;
    if ((connection.finished || connection.reset) && !ended) stream.push(null);
    ended ||= connection.finished || connection.reset;
  };
  connection.receive = (segment) => {
    receive(segment);
    give();
  };
  give();
  return stream;
}

/** Does the handshake as a guest that trusts `ca`, after the first `from` bytes of the connection; rejects with what it says of the certificate. */
export async function secured(connection, { from = 0, ...options }) {
  const socket = tls.connect({ socket: duplexOf(connection, from), ALPNProtocols: ["h2", "http/1.1"], ...options });
  await once(socket, "secureConnect");
  let text = "";
  socket.on("data", (chunk) => (text += chunk.toString("latin1")));
  return {
    socket,
    /** Resolves with all that came once `pattern` is in it. */
    async untilText(pattern) {
      while (!pattern.test(text)) {
        if (socket.readableEnded) throw new Error(`never came: ${pattern} in ${JSON.stringify(text.slice(-300))}`);
        await Promise.race([once(socket, "data"), once(socket, "end")]);
      }
      return text;
    },
  };
}
