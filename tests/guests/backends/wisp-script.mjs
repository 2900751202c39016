// A Wisp server whose every word a test says: it answers nothing by itself, but for the greeting that it was told.
// Packets as in the Wisp protocol, 1.2 and the draft of 2: type, stream (little-endian), payload.
import { once } from "node:events";
import { WebSocketServer } from "ws";
import { within } from "./limit.mjs";

export const CONNECT = 1;
export const DATA = 2;
export const CONTINUE = 3;
export const CLOSE = 4;
export const INFO = 5;

const u32 = (value) => [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24];
const text = new TextDecoder();

/** Starts a server; `credit: null` keeps the greeting back, `confirms` speaks version 2 with confirmation of streams. */
export async function startWispScript({ credit = 128, confirms = false } = {}) {
  const handleProtocols = (offered) => offered.values().next().value ?? false;
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols });
  await once(server, "listening");
  const waits = new Set();
  const wake = () => waits.forEach((wait) => wait());
  const all = { sessions: [], packets: [] };
  all.first = (find) =>
    new Promise((resolve) => {
      const check = () => {
        const found = find();
        if (!found) return;
        waits.delete(check);
        resolve(found);
      };
      waits.add(check);
      check();
    });
  server.on("connection", (socket) => {
    const session = new Session(socket);
    all.sessions.push(session);
    socket.on("error", () => {});
    socket.on("message", (data) => {
      const packet = read(data);
      all.packets.push({ ...packet, session });
      // A client that speaks 2 answers with its own INFO, and then gets its credit.
      if (packet.type === INFO && credit !== null) session.send(CONTINUE, 0, u32(credit));
      wake();
    });
    if (confirms && socket.protocol) session.send(INFO, 0, [2, 0, 1, ...u32(0), 5, ...u32(0)]);
    else if (credit !== null) session.send(CONTINUE, 0, u32(credit));
    wake();
  });
  return {
    url: `wisp://127.0.0.1:${server.address().port}/`,
    sessions: all.sessions,
    packets: all.packets,
    /** The first packet that `matches`, once it has come. */
    packet: (matches, what) => within(all.first(() => all.packets.find(matches)), what),
    /** The session of that number, once it is there. */
    session: (number = 0) => within(all.first(() => all.sessions[number]), `session ${number}`),
    async stop() {
      for (const client of server.clients) client.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

class Session {
  constructor(socket) {
    this.socket = socket;
  }

  send(type, stream, payload = []) {
    const body = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
    this.socket.send(Uint8Array.from([type, ...u32(stream), ...body]));
  }

  credit(stream, packets) {
    this.send(CONTINUE, stream, u32(packets));
  }

  data(stream, payload) {
    this.send(DATA, stream, payload);
  }

  closeStream(stream, reason) {
    this.send(CLOSE, stream, [reason]);
  }
}

function read(data) {
  const packet = { type: data[0], stream: data.readUInt32LE(1), payload: data.subarray(5) };
  if (packet.type !== CONNECT) return { ...packet, text: text.decode(packet.payload) };
  return { ...packet, kind: data[5], port: data.readUInt16LE(6), host: text.decode(data.subarray(8)) };
}
