// One guest and the world: lease, names, transfers, refusals. Once per network card.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Guest, nics } from "./guest.mjs";
import { startRelay } from "./relay.mjs";
import { blackHole, closedPort, dnsServer, endFirst, hashAfterEnd, hostAddress, noise, sha256, webServer } from "./servers.mjs";

const MIB = 1 << 20;
const GATEWAY = "192.168.86.1";
const HOST = "192.168.86.254";
const body = noise((process.env.NETLOOM_FULL ? 64 : 2) * MIB);

for (const nic of nics) {
  describe(nic, { timeout: 600_000 }, () => {
    let relay, dns, web, guest;

    before(async () => {
      dns = await dnsServer({
        "answer.test": [
          { type: "A", data: [198, 51, 100, 7] },
          { type: "AAAA", data: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7] },
        ],
      });
      web = await webServer(body);
      relay = await startRelay("--host-loopback", "--dns", dns.address);
      guest = await Guest.restore(nic, relay.url);
    });

    after(async () => {
      await guest?.destroy();
      await relay?.stop();
      await web?.stop();
      await dns?.stop();
    });

    test("a lease within two seconds", async () => {
      const { output, status, ms } = await guest.timed("udhcpc -i eth0 -n -q -f");
      assert.equal(status, 0, output);
      assert.match(output, /lease 192\.168\.86\.\d+\/24 router 192\.168\.86\.1 dns 192\.168\.86\.1/);
      assert.ok(ms <= 2000, `the lease took ${ms} ms`);
    });

    test("the gateway answers ping", async () => {
      assert.match(await guest.must(`ping -c 3 -W 5 ${GATEWAY}`), /3 packets transmitted, 3 packets received/);
    });

    test("names are resolved, both families", async () => {
      const output = await guest.must("nslookup answer.test");
      assert.match(output, /198\.51\.100\.7/);
      assert.match(output, /2001:db8::7/);
    });

    test("a name that does not exist is denied", async () => {
      const { output, status } = await guest.run("nslookup missing.test");
      assert.notEqual(status, 0);
      assert.match(output, /NXDOMAIN|can't find/);
    });

    test("names are resolved over TCP", async () => {
      const query = "\\000\\035\\022\\064\\001\\000\\000\\001\\000\\000\\000\\000\\000\\000\\006answer\\004test\\000\\000\\001\\000\\001";
      const output = await guest.must(`printf '${query}' | nc ${GATEWAY} 53 | tail -c 4 | hexdump -e '4/1 "%u "'`);
      assert.match(output.trim(), /^198 51 100 7$/);
    });

    test("a download arrives whole, from the host's loopback", async () => {
      await guest.must(`wget -q -O /tmp/body http://${HOST}:${web.port}/`);
      assert.equal((await guest.must("sha256sum </tmp/body")).split(" ")[0], sha256(body));
    });

    test("an upload arrives whole", async () => {
      // Busybox's wget posts text only.
      const head = `printf 'POST / HTTP/1.0\\r\\nContent-Length: ${body.length}\\r\\n\\r\\n'`;
      const answer = await guest.must(`{ ${head}; cat /tmp/body; } | nc ${HOST} ${web.port}`);
      assert.match(answer, /^HTTP\/1\.1 200 /);
      assert.equal(answer.trim().split(/\s+/).at(-1), sha256(body));
    });

    test("half-closing leaves the answer's way open", async () => {
      const server = await hashAfterEnd();
      try {
        const sent = `head -c ${MIB} /tmp/body`;
        assert.equal((await guest.must(`${sent} | nc ${HOST} ${server.port}`)).trim(), sha256(body.subarray(0, MIB)));
      } finally {
        await server.stop();
      }
    });

    test("the outside may close its half first", async () => {
      const [down, up] = [noise(300_000, 7), body.subarray(0, MIB)];
      const server = await endFirst(down);
      try {
        await guest.must("printf '#!/bin/sh\\ncat >/tmp/down; head -c 1048576 /tmp/body\\n' >/tmp/second && chmod +x /tmp/second");
        await guest.must(`nc ${HOST} ${server.port} -e /tmp/second`);
        assert.equal(sha256(await server.received), sha256(up));
        assert.equal((await guest.must("sha256sum </tmp/down")).split(" ")[0], sha256(down));
      } finally {
        await server.stop();
      }
    });

    test("a server at an address that is not loopback is reached by NAT", async () => {
      const server = await hashAfterEnd(hostAddress());
      try {
        const up = await guest.must(`head -c ${MIB} /tmp/body | nc ${hostAddress()} ${server.port}`);
        assert.equal(up.trim(), sha256(body.subarray(0, MIB)));
        const down = await guest.must(`wget -q -O - http://${hostAddress()}:${web.port}/ | head -c ${MIB} | sha256sum`);
        assert.equal(down.split(" ")[0], sha256(body.subarray(0, MIB)));
      } finally {
        await server.stop();
      }
    });

    test("a refused port is refused within a second", async () => {
      const { output, status, ms } = await guest.timed(`nc ${HOST} ${await closedPort()}`);
      assert.notEqual(status, 0);
      assert.match(output, /refused/);
      assert.ok(ms <= 1000, `the refusal took ${ms} ms`);
    });

    test("a black-holed port times out, and is never taken for open", async () => {
      const hole = await blackHole();
      try {
        // The guest gives up by itself after 15 s; the relay may tell it earlier.
        await guest.must("echo 3 >/proc/sys/net/ipv4/tcp_syn_retries");
        const { output, status, ms } = await guest.timed(`nc ${HOST} ${hole.port}`, { limitMs: 180_000 });
        assert.notEqual(status, 0);
        assert.doesNotMatch(output, /refused/);
        assert.ok(ms > 1000, `it ended after ${ms} ms: ${output}`);
      } finally {
        await hole.stop();
      }
    });

    test("a static address works", async () => {
      await guest.must("ip addr flush dev eth0; ip addr add 192.168.86.77/24 dev eth0; ip route add default via 192.168.86.1");
      await guest.must(`ping -c 1 -W 5 ${GATEWAY}`);
      await guest.must(`wget -q -O /tmp/again http://${HOST}:${web.port}/ && cmp /tmp/again /tmp/body`);
    });
  });
}

describe("a restored guest", { timeout: 300_000 }, () => {
  for (const nic of nics) {
    test(`${nic}: talks at once with the address it had`, async () => {
      const relay = await startRelay();
      const guest = await Guest.restore(nic, relay.url);
      try {
        await guest.must("ip addr add 192.168.86.50/24 dev eth0");
        assert.match(await guest.must(`ping -c 1 -W 5 ${GATEWAY}`), / 0% packet loss/);
      } finally {
        await guest.destroy();
        await relay.stop();
      }
    });
  }
});
