// Our Wisp client against other people's servers, with a stack for a guest: bytes both ways, outcomes, half-close, datagrams, names.
import assert from "node:assert/strict";
import dgram from "node:dgram";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import WebSocket from "ws";
import { startRelay } from "../relay.mjs";
import { answer, closedPort, hostAddress, noise, sha256, tcpServer } from "../servers.mjs";
import { wispJs, wispPython } from "./peers.mjs";

const { attachNetwork } = await import("../../../packages/netloom/dist/v86/index.js");
const { createStack } = await import("../../../packages/netloom/dist/index.js");

// Its own loopback is all that a guest would find at 127.0.0.1.
const HOST = hostAddress();
const PYTHON = process.env.NETLOOM_WISP_PYTHON;
const BODY = noise((process.env.NETLOOM_FULL ? 32 : 4) << 20);

/** A stack whose tap is the card of an emulator that runs nothing. */
async function plugIn(url) {
  const stack = await createStack();
  const tap = await stack.interfaces.createTap({ ip: "192.168.86.100/24" });
  stack.routes.add({ destination: "0.0.0.0/0", via: "192.168.86.1" });
  const listeners = [];
  tap.onFrames((frames) => frames.forEach((frame) => listeners.forEach((listener) => listener(frame))));
  const emulator = {
    bus: { send: (event, frame) => event === "net0-receive" && tap.send(frame) },
    add_listener: (event, listener) => event === "net0-send" && listeners.push(listener),
    remove_listener: () => {},
  };
  const network = attachNetwork(emulator, { type: "virtio", relay_url: url }, { WebSocket });
  await network.ready;
  const stop = async () => {
    network.destroy();
    await stack.close();
  };
  return { stack, network, stop };
}

const listen = (handle, options) => tcpServer(handle, HOST, options);

async function readAll(connection) {
  const chunks = [];
  for await (const chunk of connection) chunks.push(chunk.slice());
  return Buffer.concat(chunks);
}

/** Our own server, which knows what our client knows beyond the protocol. */
async function netloom() {
  const { url, stop } = await startRelay("--allow", HOST);
  return { url: `${url.replace("ws://", "wisp://")}wisp/`, stop };
}

const PEERS = { netloom, "wisp-js": wispJs, ...(PYTHON ? { "wisp-python": () => wispPython(PYTHON) } : {}) };

for (const [name, start] of Object.entries(PEERS)) {
  describe(name, () => {
    let peer, guest;
    before(async () => {
      peer = await start();
      guest = await plugIn(peer.url);
    });
    after(async () => {
      await guest?.stop();
      await peer?.stop();
    });
    const connect = (port) => guest.stack.tcp.connect({ host: HOST, port });

    test("a download arrives whole, and ends", async () => {
      const server = await listen((socket) => socket.end(BODY));
      const received = await readAll(await connect(server.port));
      assert.equal(sha256(received), sha256(BODY));
      await server.stop();
    });

    test("an upload arrives whole, and the server hears its end", async () => {
      const chunks = [];
      let ended;
      const end = new Promise((resolve) => (ended = resolve));
      const server = await listen((socket) => socket.on("data", (chunk) => chunks.push(chunk)).on("end", ended));
      const connection = await connect(server.port);
      await connection.write(BODY);
      await connection.writable.close();
      await end;
      assert.equal(sha256(Buffer.concat(chunks)), sha256(BODY));
      await server.stop();
    });

    test("both ways at once", async () => {
      const server = await listen((socket) => socket.pipe(socket));
      const connection = await connect(server.port);
      const sent = connection.write(BODY);
      let received = 0;
      for await (const chunk of connection) {
        assert.deepEqual(Buffer.from(chunk), BODY.subarray(received, received + chunk.length));
        received += chunk.length;
        if (received === BODY.length) break;
      }
      await sent;
      await server.stop();
    });

    test("a refused connect is refused", async () => {
      const port = await closedPort();
      // Without confirmation it may stand for a moment.
      await assert.rejects(async () => readAll(await connect(port)), ({ code }) => ["ECONNREFUSED", "EHOSTUNREACH", "ECONNRESET"].includes(code));
    });

    test("an answer comes after the guest has closed its half", async () => {
      const server = await listen((socket) => {
        socket.once("data", async (data) => {
          // A few round trips of the guest later.
          for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate);
          socket.end(`answer to ${data}`);
        });
      }, { allowHalfOpen: true });
      const connection = await connect(server.port);
      await connection.write(Buffer.from("question"));
      await connection.writable.close();
      assert.equal(`${await readAll(connection)}`, "answer to question");
      await server.stop();
    });

    test("a hundred connects at once", async () => {
      const server = await listen((socket) => socket.once("data", (data) => socket.end(data)));
      const one = async (number) => {
        const connection = await connect(server.port);
        await connection.write(Buffer.from(`number ${number}`));
        assert.equal(`${await readAll(connection)}`, `number ${number}`);
      };
      await Promise.all(Array.from({ length: 100 }, (_, number) => one(number)));
      await server.stop();
    });

    test("datagrams of all sizes", async () => {
      const server = dgram.createSocket("udp4", (data, { port, address }) => server.send(data, port, address));
      server.bind(0, HOST);
      await once(server, "listening");
      const socket = await guest.stack.udp.open();
      const answers = socket[Symbol.asyncIterator]();
      for (const length of [1, 100, 1400, 9000]) {
        const data = noise(length, length);
        await socket.send({ host: HOST, port: server.address().port, data });
        assert.deepEqual(Buffer.from((await answers.next()).value.data), data);
      }
      await answers.return();
      server.close();
    });

    test("a guest asks a resolver beyond the server", async () => {
      const server = dgram.createSocket("udp4", (query, { port, address }) => {
        server.send(answer(query, { "answer.test": [{ type: "A", data: [198, 51, 100, 7] }] }), port, address);
      });
      server.bind(0, HOST);
      await once(server, "listening");
      const query = Buffer.from("123401000001000000000000" + "06616e737765720474657374000001" + "0001", "hex");
      const socket = await guest.stack.udp.open();
      await socket.send({ host: HOST, port: server.address().port, data: query });
      for await (const { data } of socket) {
        assert.deepEqual([...data.slice(0, 2), ...data.slice(-4)], [0x12, 0x34, 198, 51, 100, 7]);
        break;
      }
      server.close();
    });
  });
}
