// Transfers of v86's guests outlive what happens to their connection and to the relay. The guests reconnect by v86's own adapter.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Guest, nics } from "./guest.mjs";
import { lineTo } from "./line.mjs";
import { startRelay, startRelayAt } from "./relay.mjs";
import { hashAfterEnd, noise, sha256, tcpServer } from "./servers.mjs";

const MIB = 1 << 20;
const HOST = "192.168.86.254";
const full = Boolean(process.env.NETLOOM_FULL);
const OUTAGE_MS = 10_000;
const RELOADS = 8;
/** An outage makes a command long. */
const patient = { limitMs: 900_000 };

/** Serves `body` by HTTP; `connections` counts who connected. */
async function fileServer(body) {
  const server = {
    connections: 0,
    ...(await tcpServer((socket) => {
      server.connections += 1;
      socket.once("data", () => {
        socket.write(`HTTP/1.0 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
        socket.end(body);
      });
    }, "127.0.0.1")),
  };
  return server;
}

/** Takes what is to be done after a test, the last first: a guest that outlives its relay would wait to reconnect. */
function afterwards(context) {
  const steps = [];
  context.after(async () => {
    for (const step of steps.reverse()) await step();
  });
  return (step) => steps.push(step);
}

const firstWord = (text) => text.trim().split(/\s+/)[0];
const download = (url) => `wget -q -O - ${url} | sha256sum`;

// Two at a time: most of an outage is waiting.
describe("a transfer goes on", { timeout: 1_800_000, concurrency: 2 }, () => {
  // Once the relay sees the end of the connection, once it has to find out.
  for (const [nic, isNoticed, size] of [["virtio", true, full ? 64 : 16], ["ne2k", false, full ? 64 : 2]]) {
    test(`${nic}: without network for 10 s, ${isNoticed ? "" : "not "}noticed by the relay, ${size} MiB`, async (context) => {
      const after = afterwards(context);
      const body = noise(size * MIB);
      const server = await fileServer(body);
      after(() => server.stop());
      const relay = await startRelay("--host-loopback");
      after(() => relay.stop());
      const line = await lineTo(relay.url);
      after(() => line.stop());
      const guest = await Guest.restore(nic, line.url);
      after(() => guest.destroy());
      const address = await guest.lease();

      const hash = guest.must(download(`http://${HOST}:${server.port}/`), patient);
      await line.passes(body.length / 2);
      await line.breaks(OUTAGE_MS, { isNoticed });
      assert.equal(firstWord(await hash), sha256(body));
      assert.equal(server.connections, 1);
      assert.equal((await relay.says(/has come back for/g)).length, 1);
      assert.equal(await guest.lease(), address);
    });
  }

  for (const [serving, loading] of full ? nics.flatMap((one) => nics.map((two) => [one, two])) : [nics]) {
    test(`${serving} to ${loading}: the relay is killed and started again`, async (context) => {
      const after = afterwards(context);
      const size = (full ? 16 : 2) * MIB;
      const guests = [];
      let relay = await startRelay();
      after(() => relay.stop());
      after(async () => {
        for (const guest of guests) await guest.destroy();
      });
      let sent = 0;
      let reached = () => {};
      const count = (emulator) =>
        emulator.add_listener("net0-send", (frame) => {
          sent += frame.length;
          reached();
        });
      for (const [nic, plug] of [[serving, count], [loading]]) guests.push(await Guest.restore(nic, relay.url, plug));
      const [server, client] = guests;
      const address = await server.lease();
      await client.lease();
      await server.must(`head -c ${size} /dev/urandom >/www/file; httpd -p 80 -h /www`);
      const hash = await server.must("sha256sum </www/file");

      const half = sent + size / 2;
      const isHalfway = new Promise((resolve) => (reached = () => sent >= half && resolve()));
      const received = client.must(download(`http://${address}/file`), patient);
      await isHalfway;
      await relay.kill();
      relay = await startRelayAt(new URL(relay.url).host);
      assert.equal(await received, hash);
    });
  }

  for (const nic of full ? nics : ["virtio"]) {
    test(`${nic}: the configuration changes, a download and an upload at work`, async (context) => {
      const after = afterwards(context);
      const body = noise((full ? 32 : 4) * MIB);
      const upload = (full ? 8 : 1) * MIB;
      const folder = mkdtempSync(join(tmpdir(), "netloom-"));
      after(() => rmSync(folder, { recursive: true }));
      const file = join(folder, "netloom.toml");
      /** What the file says at its n-th reload, and what the relay says of it. */
      const kinds = [
        ["", /reload: egress: changed/g],
        ['deny = ["192.0.2.0/24"]\nrecords = { "new.lan" = "192.168.86.9" }\nresume_s = 60', /reload: LAN default: changed/g],
        ['[[lan]]\nname = "more"\nsubnet = "10.2.0.0/24"', /reload: LAN more: added/g],
        ["[lsten]", /reload: .*all stays as it is/g],
        ['[limits.client]\nflows = 100\n[egress]\ndeny = ["198.51.100.0/24"]', /reload: egress: changed/g],
      ];
      const write = (text) => writeFileSync(file, `[[lan]]\nname = "default"\nhost_loopback = true\n${text}\n`);
      write("");
      const relay = await startRelay("--config", file);
      after(() => relay.stop());
      const line = await lineTo(relay.url);
      after(() => line.stop());
      const [down, up] = [await fileServer(body), await hashAfterEnd()];
      after(() => Promise.all([down.stop(), up.stop()]));
      const guest = await Guest.restore(nic, line.url);
      after(() => guest.destroy());
      await guest.lease();
      await guest.must(`head -c ${upload} /dev/urandom >/tmp/up`);

      const both = guest.must(
        `nc ${HOST} ${up.port} </tmp/up >/tmp/answer & ${download(`http://${HOST}:${down.port}/`)}; wait $!; cat /tmp/answer; sha256sum </tmp/up`,
        patient,
      );
      for (let reload = 1; reload <= RELOADS; reload += 1) {
        await line.passes(body.length / (RELOADS + 2));
        const [text, said] = kinds[reload % kinds.length];
        const before = [...relay.said().matchAll(said)].length;
        write(text);
        relay.signal("SIGHUP");
        await relay.says(said, before + 1);
      }
      const [downloaded, answered, uploaded] = (await both).trim().split(/\s+-?\s*/);
      assert.equal(downloaded, sha256(body));
      assert.equal(answered, uploaded);
      assert.equal(down.connections, 1);
    });
  }
});
