// Our Wisp server before clients that others wrote: wisp-js in both versions, plain WebSockets, and v86's own backend with a Linux guest.
import assert from "node:assert/strict";
import dgram from "node:dgram";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { client as wisp } from "@mercuryworkshop/wisp-js/client";
import WebSocket from "ws";
import { Guest, nics } from "../guest.mjs";
import { startRelay } from "../relay.mjs";
import { closedPort, dnsServer, hostAddress, noise, sha256, tcpServer, webServer } from "../servers.mjs";
import { eventually, within } from "./limit.mjs";

const MIB = 1 << 20;
// What a guest would find at 127.0.0.1 is itself.
const HOST = hostAddress();
const BODY = noise((process.env.NETLOOM_FULL ? 16 : 4) * MIB);
/** What a guest's kernel puts into one segment. */
const SEGMENT_BYTES = 1460;

let relay, dns;
before(async () => {
  dns = await dnsServer({ "here.test": [{ type: "A", data: HOST.split(".").map(Number) }] });
  relay = await startRelay("--allow", HOST, "--dns", dns.address);
});
after(async () => {
  await relay?.stop();
  await dns?.stop();
});

const url = () => `${relay.url}wisp/`;

/** A TCP server on the address that guests dial. */
const listen = (handle, options) => tcpServer(handle, HOST, options);

/** A server that takes all until the end, or so many bytes; `received` is the hash of that. */
async function taker(length = Number.POSITIVE_INFINITY) {
  let settle;
  const received = new Promise((resolve) => (settle = resolve));
  const server = await listen((socket) => {
    const chunks = [];
    let left = length;
    const end = () => settle(sha256(Buffer.concat(chunks)));
    socket.on("data", (chunk) => chunks.push(chunk) && (left -= chunk.length) <= 0 && end()).on("end", end);
  });
  return { ...server, received };
}

const segments = (bytes) => Array.from({ length: Math.ceil(bytes.length / SEGMENT_BYTES) }, (_, at) => bytes.subarray(at * SEGMENT_BYTES, (at + 1) * SEGMENT_BYTES));

/** Collects what a stream receives; `until(length)` is all of it once it is so much, `ended` the reason of its end. */
function receiver(stream) {
  const chunks = [];
  let received = 0;
  let wake = () => {};
  const ended = new Promise((resolve) => (stream.onclose = resolve));
  stream.onmessage = (chunk) => {
    chunks.push(Buffer.from(chunk));
    received += chunk.length;
    wake();
  };
  const until = (length) => {
    const all = new Promise((resolve, reject) => {
      wake = () => received >= length && resolve(Buffer.concat(chunks.splice(0)));
      ended.then((reason) => reject(new Error(`closed with ${reason} after ${received} bytes`)));
      wake();
    });
    return within(all, `${length} bytes`);
  };
  return { until, ended: () => within(ended, "the end of a stream") };
}

for (const wisp_version of [1, 2]) {
  describe(`wisp-js, version ${wisp_version}`, { timeout: 300_000 }, () => {
    let connection;
    before(async () => {
      connection = new wisp.ClientConnection(url(), { wisp_version });
      await within(new Promise((resolve) => (connection.onopen = resolve)), "a connection");
    });
    after(() => connection?.close());

    test("both speak that version", () => {
      assert.equal(connection.wisp_version, wisp_version);
      assert.equal(connection.info_received, wisp_version === 2);
      assert.ok(connection.udp_enabled);
      assert.ok(connection.max_buffer_size >= 16);
    });

    test("a download arrives whole, and then its end", async () => {
      const server = await listen((socket) => socket.end(BODY));
      const stream = connection.create_stream(HOST, server.port);
      const { until, ended } = receiver(stream);
      assert.equal(sha256(await until(BODY.length)), sha256(BODY));
      assert.equal(await ended(), 2);
      await server.stop();
    });

    test("what is sent right before CLOSE arrives too", async () => {
      const server = await taker();
      const stream = connection.create_stream(HOST, server.port);
      stream.send(BODY.subarray(0, 1000));
      stream.close(2);
      assert.equal(await within(server.received, "the upload's end"), sha256(BODY.subarray(0, 1000)));
      await server.stop();
    });

    test("an upload in segments arrives whole", async () => {
      const server = await taker();
      const stream = connection.create_stream(HOST, server.port);
      for (const segment of segments(BODY)) stream.send(segment);
      // The client forgets at CLOSE what it had no credit for.
      await eventually(() => stream.send_buffer.length === 0, "credit for the upload");
      stream.close(2);
      assert.equal(await within(server.received, "the upload's end"), sha256(BODY));
      await server.stop();
    });

    test("fifty streams at once, each with its own", async () => {
      const server = await listen((socket) => socket.pipe(socket));
      const one = async (number) => {
        const body = noise(64 << 10, number + 1);
        const stream = connection.create_stream(HOST, server.port);
        const { until } = receiver(stream);
        for (const segment of segments(body)) stream.send(segment);
        assert.deepEqual(await until(body.length), body);
        stream.close(2);
      };
      await Promise.all(Array.from({ length: 50 }, (_, number) => one(number)));
      await server.stop();
    });

    test("a name is resolved by the relay", async () => {
      const server = await listen((socket) => socket.end("by name"));
      const stream = connection.create_stream("here.test", server.port);
      assert.equal(`${await receiver(stream).until(7)}`, "by name");
      await server.stop();
    });

    test("datagrams of all sizes", async () => {
      const server = dgram.createSocket("udp4", (data, { port, address }) => server.send(data, port, address));
      server.bind(0, HOST);
      await once(server, "listening");
      const stream = connection.create_stream(HOST, server.address().port, "udp");
      for (const length of [1, 10, 1200, 9000, 65_507]) {
        const data = noise(length, length);
        const { until } = receiver(stream);
        stream.send(data);
        assert.deepEqual(await until(length), data);
      }
      stream.close(2);
      server.close();
    });

    test("failures are told apart", async () => {
      const reasons = {
        refused: [HOST, await closedPort(), 0x44],
        "no such name": ["missing.test", 80, 0x42],
        metadata: ["169.254.169.254", 80, 0x48],
        loopback: ["127.0.0.1", 80, 0x48],
        "no port": [HOST, 0, 0x41],
      };
      for (const [what, [host, port, reason]] of Object.entries(reasons)) {
        assert.equal(await receiver(connection.create_stream(host, port)).ended(), reason, what);
      }
    });
  });
}

describe("a WebSocket for one stream", { timeout: 120_000 }, () => {
  const open = async (path) => {
    const socket = new WebSocket(`${url()}${path}`);
    await within(once(socket, "open"), "a WebSocket");
    return socket;
  };

  test("bytes pass both ways, and the target's end is the WebSocket's", async () => {
    const server = await listen((socket) => {
      socket.write("first ");
      socket.once("data", (data) => socket.end(`then ${data}`));
    });
    const socket = await open(`${HOST}:${server.port}`);
    let text = "";
    socket.on("message", (data, isBinary) => {
      assert.ok(isBinary);
      text += data;
    });
    socket.send(Buffer.from("this"));
    await within(once(socket, "close"), "the end");
    assert.equal(text, "first then this");
    await server.stop();
  });

  test("a large body passes whole", async () => {
    const server = await listen((socket) => socket.end(BODY));
    const socket = await open(`${HOST}:${server.port}`);
    const chunks = [];
    socket.on("message", (data) => chunks.push(data));
    await within(once(socket, "close"), "the end");
    assert.equal(sha256(Buffer.concat(chunks)), sha256(BODY));
    await server.stop();
  });

  test("a target that is refused ends the WebSocket, and nothing else", async () => {
    const socket = new WebSocket(`${url()}${HOST}:${await closedPort()}`);
    socket.on("error", () => {});
    await within(once(socket, "close"), "the end");
    const server = await listen((socket) => socket.end("alive"));
    const another = await open(`${HOST}:${server.port}`);
    const [said] = await within(once(another, "message"), "a message");
    assert.equal(`${said}`, "alive");
    await server.stop();
  });
});

// What the cards differ in is not the relay's.
for (const nic of process.env.NETLOOM_FULL ? nics : ["virtio"]) {
  describe(`v86's own backend with a Linux guest, ${nic}`, { timeout: 600_000 }, () => {
    let guest, web;
    const body = BODY.subarray(0, MIB);
    before(async () => {
      web = await webServer(body);
      guest = await Guest.restore(nic, url().replace("ws://", "wisp://"), undefined, { dns_method: "static" });
    });
    after(async () => {
      await guest?.destroy();
      await web?.stop();
    });

    test("a lease", async () => {
      assert.equal(await guest.lease(), "192.168.86.100");
    });

    test("a download arrives whole", async () => {
      await guest.must(`wget -q -O /tmp/body http://${HOST}:${web.port}/`);
      assert.equal((await guest.must("sha256sum </tmp/body")).split(" ")[0], sha256(body));
    });

    test("an upload arrives whole", async () => {
      const server = await taker(body.length);
      // Held open: with its guest's end v86 forgets what it has not sent yet, before any server.
      await guest.must("mkfifo /tmp/open");
      await guest.must(`{ cat /tmp/body; cat /tmp/open; } | nc ${HOST} ${server.port} >/dev/null & echo $! >/tmp/nc`);
      assert.equal(await within(server.received, "the upload", 120_000), sha256(body));
      await guest.must(": >/tmp/open; kill $(cat /tmp/nc)");
      await server.stop();
    });

    test("many small requests, a connection each", async () => {
      const one = `wget -q -O /dev/null --spider http://${HOST}:${web.port}/`;
      await guest.must(`i=0; while [ $i -lt 10 ]; do ${one} || exit 1; i=$((i+1)); done`);
    });

    test("a refused port ends the connection", async () => {
      const { status } = await guest.run(`wget -q -O /dev/null -T 20 http://${HOST}:${await closedPort()}/`);
      assert.notEqual(status, 0);
    });
  });
}
