// What guests talk to outside: servers on this host, each on a free port.
import { createHash } from "node:crypto";
import dgram from "node:dgram";
import http from "node:http";
import net from "node:net";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import { Worker } from "node:worker_threads";

/** Bytes that do not repeat within any window and do not compress: a xorshift generator's. */
export function noise(length, seed = 1) {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed;
  for (let at = 0; at < words.length; at += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  return Buffer.from(words.buffer, 0, length);
}

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** An address of this host that is not loopback. */
export function hostAddress() {
  const all = Object.values(networkInterfaces()).flat();
  const found = all.find(({ family, internal }) => family === "IPv4" && !internal);
  if (!found) throw new Error("this host has no IPv4 address beside loopback; add one: ip link add dummy0 type dummy");
  return found.address;
}

async function listening(server, address) {
  server.listen(0, address);
  await once(server, "listening");
  return server.address().port;
}

function closer(server, sockets) {
  return async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
}

function tracked(server) {
  const sockets = new Set();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  return sockets;
}

/** Serves `body` to every GET, and answers a POST with the SHA-256 of what was posted. */
export async function webServer(body, address = "0.0.0.0") {
  const server = http.createServer((request, response) => {
    const hash = createHash("sha256");
    request.on("data", (chunk) => hash.update(chunk));
    request.on("end", () => {
      const answer = request.method === "POST" ? Buffer.from(hash.digest("hex")) : request.method === "OPTIONS" ? Buffer.alloc(0) : body;
      // A page of any origin may fetch from it.
      response.setHeader("access-control-allow-origin", "*");
      response.setHeader("access-control-allow-headers", "*");
      response.setHeader("content-length", answer.length);
      response.end(answer);
    });
  });
  // The default ends a connection 5 s after the kernel took the answer, and Node's fetch then drops what a slow reader has not read.
  server.keepAliveTimeout = 0;
  const sockets = tracked(server);
  return { port: await listening(server, address), stop: closer(server, sockets) };
}

/** A TCP server that hands each connection to `handle`; `options` are those of `net.createServer`. */
export async function tcpServer(handle, address, options = {}) {
  const server = net.createServer(options, handle);
  const sockets = tracked(server);
  return { port: await listening(server, address), stop: closer(server, sockets) };
}

/** Reads until the guest has closed its half, then answers with the SHA-256 of what it got. */
export async function hashAfterEnd(address = "127.0.0.1") {
  const handle = (socket) => {
    const hash = createHash("sha256");
    socket.on("data", (chunk) => hash.update(chunk));
    socket.on("end", () => socket.end(`${hash.digest("hex")}\n`));
  };
  return tcpServer(handle, address, { allowHalfOpen: true });
}

/** Sends `body` and closes its half at once; `received` is what the guest sent until it closed its own. */
export async function endFirst(body, address = "127.0.0.1") {
  let settle;
  const received = new Promise((resolve, reject) => (settle = { resolve, reject }));
  const handle = (socket) => {
    const chunks = [];
    socket.end(body);
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("end", () => settle.resolve(Buffer.concat(chunks)));
    socket.on("error", settle.reject);
  };
  return { ...(await tcpServer(handle, address, { allowHalfOpen: true })), received };
}

/** A port of this host's loopback where nothing listens. */
export async function closedPort() {
  const server = net.createServer();
  const port = await listening(server, "127.0.0.1");
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/**
 * A port that answers no SYN: its listener has a backlog of one and never accepts, and the backlog is full.
 * The kernel drops further SYNs, as a firewall would.
 */
export async function blackHole(address = "127.0.0.1") {
  const source = `
    const { parentPort } = require("node:worker_threads");
    const server = require("node:net").createServer();
    server.listen({ port: 0, host: "${address}", backlog: 1 }, () => {
      parentPort.postMessage(server.address().port);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const worker = new Worker(source, { eval: true });
  const [port] = await once(worker, "message");
  const fillers = Array.from({ length: 8 }, () => net.connect(port, "127.0.0.1"));
  let connected = 0;
  await new Promise((resolve) => {
    for (const socket of fillers) {
      socket.on("error", () => {});
      // The kernel takes one more than the backlog.
      socket.once("connect", () => (connected += 1) === 2 && resolve());
    }
  });
  return {
    port,
    async stop() {
      for (const socket of fillers) socket.destroy();
      await worker.terminate();
    },
  };
}

const TYPES = { A: 1, AAAA: 28 };

/** The answer to a DNS query: the records of `names`, and NXDOMAIN for any other name (RFC 1035 4.1). */
export function answer(query, names) {
  let at = 12;
  const labels = [];
  while (query[at]) {
    labels.push(query.toString("latin1", at + 1, at + 1 + query[at]));
    at += 1 + query[at];
  }
  const end = at + 5;
  const type = query.readUInt16BE(at + 1);
  const entry = names[labels.join(".").toLowerCase()];
  const records = (entry ?? []).filter((record) => TYPES[record.type] === type);
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(0x8180 | (entry ? 0 : 3), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  header.writeUInt32BE(0, 8);
  const body = records.map(({ data }) => {
    const fixed = Buffer.alloc(12);
    fixed.writeUInt16BE(0xc00c, 0);
    fixed.writeUInt16BE(type, 2);
    fixed.writeUInt16BE(1, 4);
    fixed.writeUInt32BE(60, 6);
    fixed.writeUInt16BE(data.length, 10);
    return Buffer.concat([fixed, Buffer.from(data)]);
  });
  return Buffer.concat([header, query.subarray(12, end), ...body]);
}

/** A DNS server for `names` on one port of loopback, over UDP and TCP; `--dns` takes its address. */
export async function dnsServer(names) {
  const tcp = net.createServer((socket) => {
    let held = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      held = Buffer.concat([held, chunk]);
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        const reply = answer(held.subarray(2, 2 + held.readUInt16BE(0)), names);
        const length = Buffer.alloc(2);
        length.writeUInt16BE(reply.length);
        socket.write(Buffer.concat([length, reply]));
        held = held.subarray(2 + held.readUInt16BE(0));
      }
    });
  });
  const sockets = tracked(tcp);
  const port = await listening(tcp, "127.0.0.1");
  const udp = dgram.createSocket("udp4");
  udp.on("message", (query, { port, address }) => udp.send(answer(query, names), port, address));
  udp.bind(port, "127.0.0.1");
  await once(udp, "listening");
  const close = closer(tcp, sockets);
  return {
    address: `127.0.0.1:${port}`,
    async stop() {
      udp.close();
      await close();
    },
  };
}
