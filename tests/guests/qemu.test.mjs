// Linux in QEMU itself on a LAN with one in v86: over TCP and a unix socket, and in WebSocket messages as pages of container2wasm send
// what their QEMU says.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import WebSocket from "ws";
import { Guest } from "./guest.mjs";
import { Qemu } from "./qemu.mjs";
import { startC2wNet, startRelay } from "./relay.mjs";
import { hashAfterEnd, noise, sha256, webServer } from "./servers.mjs";

const MIB = 1 << 20;
const SIZE = (process.env.NETLOOM_FULL ? 16 : 2) * MIB;
const HOST = "192.168.86.254";
const MAC = "52:54:00:00:00:0a";

/**
 * What a page of container2wasm is between its QEMU, which connects to `port`, and c2w-net: each length and each frame that QEMU writes is a
 * message of its own, and what comes is written as it came.
 */
async function page(url) {
  const server = net.createServer((qemu) => {
    const socket = new WebSocket(url, "binary");
    let bytes = Buffer.alloc(0);
    const send = () => {
      while (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE()) {
        const end = 4 + bytes.readUInt32BE();
        for (const part of [bytes.subarray(0, 4), bytes.subarray(4, end)]) socket.send(part);
        bytes = bytes.subarray(end);
      }
    };
    qemu.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (socket.readyState === WebSocket.OPEN) send();
    });
    socket.on("open", send);
    socket.on("message", (message) => qemu.write(message));
    socket.on("error", (error) => qemu.destroy(error));
    socket.on("close", () => qemu.destroy());
    qemu.on("error", () => {});
    qemu.on("close", () => socket.close());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: server.address().port, close: () => server.close() };
}

describe("QEMU", { timeout: 600_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "netloom-"));
  const closing = [() => rmSync(folder, { recursive: true })];
  const body = noise(SIZE);
  let relay, c2w, web, sink, forward, v86, byTcp, byUnix;

  before(async () => {
    web = await webServer(body);
    closing.push(web.stop);
    sink = await hashAfterEnd();
    closing.push(sink.stop);
    relay = await startRelay(
      ...["--host-loopback", "--qemu-listen", "127.0.0.1:0", "--qemu-listen", `unix:${join(folder, "lan.sock")}`],
      ...["--forward", `127.0.0.1:0=${MAC}:80`],
    );
    closing.push(relay.stop);
    c2w = await startC2wNet("--listen-ws", "-p", "127.0.0.1:0:80", "127.0.0.1:0");
    closing.push(c2w.stop);
    const container = await page(c2w.url);
    closing.push(container.close);
    // What the relay says is to be pasted.
    const [tcp, unix] = (await relay.says(/in QEMU: -netdev (\S+)/g, 2)).map(([, netdev]) => netdev);
    [[, forward]] = await relay.says(/forwarding (\S+) to/g);
    const random = ["02", ...randomBytes(5).toString("hex").match(/../g)].join(":");
    const machines = [
      new Qemu("-netdev", tcp, "-device", `virtio-net-pci,netdev=n0,mac=${MAC}`),
      new Qemu(
        ...["-netdev", unix, "-device", "ne2k_pci,netdev=n0,mac=52:54:00:00:00:0b"],
        // The older way to say the same.
        ...["-netdev", `socket,id=n1,connect=127.0.0.1:${container.port}`, "-device", `virtio-net-pci,netdev=n1,mac=${random}`],
      ),
    ];
    closing.push(...machines.map((machine) => () => machine.destroy()));
    [byTcp, byUnix] = await Promise.all(machines.map((machine) => Guest.booting(machine)));
    v86 = await Guest.restore("virtio", relay.url);
    closing.push(() => v86.destroy());
    for (const guest of [byTcp, byUnix, v86]) guest.address = await guest.lease();
  });

  after(async () => {
    for (const close of closing.reverse()) await close();
  });

  test("all are on one LAN", async () => {
    assert.equal(new Set([byTcp.address, byUnix.address, v86.address]).size, 3);
    for (const [one, two] of [[v86, byTcp], [byTcp, v86], [v86, byUnix], [byUnix, byTcp]]) {
      assert.match(await one.must(`ping -c 3 -W 5 ${two.address}`), /3 packets received/);
    }
    for (const guest of [byTcp, byUnix]) await guest.must("ping -c 1 -W 5 192.168.86.1");
  });

  test("files move between them, both ways", async () => {
    for (const [server, client] of [[byTcp, v86], [v86, byTcp], [v86, byUnix], [byUnix, v86], [byTcp, byUnix]]) {
      await server.must(`[ -e /www/file ] || { head -c ${SIZE} /dev/urandom >/www/file; httpd -p 80 -h /www; }`);
      const sent = await server.must("sha256sum </www/file");
      assert.equal(await client.must(`wget -q -O - http://${server.address}/file | sha256sum`), sent);
    }
  });

  test("files come from outside and go there", async () => {
    for (const guest of [byTcp, byUnix]) {
      const got = await guest.must(`wget -q -O /tmp/body http://${HOST}:${web.port}/ && sha256sum </tmp/body`);
      assert.equal(got.split(" ")[0], sha256(body));
      const told = await guest.must(`nc ${HOST} ${sink.port} </tmp/body`);
      assert.equal(told.trim(), sha256(body));
    }
  });

  const fetched = async (place) => sha256(Buffer.from(await (await fetch(`http://${place}/file`)).arrayBuffer()));

  test("a forward reaches a guest by its card, also when its address changes", async () => {
    await byTcp.must(`head -c ${SIZE} /dev/urandom >/www/file; killall httpd; httpd -p 80 -h /www`);
    const [sent] = (await byTcp.must("sha256sum </www/file")).split(" ");
    assert.equal(await fetched(forward), sent);
    await byTcp.must("ip addr flush dev eth0; ip addr add 192.168.86.77/24 dev eth0; arping -U -c 1 -I eth0 192.168.86.77");
    assert.equal(await fetched(forward), sent);
  });

  test("a page of container2wasm has c2w-net's network, and -p reaches it whatever its card", async () => {
    const lease = await byUnix.must("udhcpc -i eth1 -n -q -f -t 5 -T 2");
    assert.match(lease, /lease 192\.168\.127\.2\/\S+ router 192\.168\.127\.1 dns 192\.168\.127\.1/);
    const got = await byUnix.must(`wget -q -O - http://192.168.127.254:${web.port}/ | sha256sum`);
    assert.equal(got.split(" ")[0], sha256(body), "the host's loopback, as c2w-net has it");
    const [[, published]] = await c2w.says(/forwarding (\S+) to/g);
    await byUnix.must(`[ -e /www/file ] || head -c ${SIZE} /dev/urandom >/www/file; killall httpd; httpd -p 80 -h /www`);
    const [sent] = (await byUnix.must("sha256sum </www/file")).split(" ");
    assert.equal(await fetched(published), sent);
  });
});
