// Guests on every scheme with both cards, in Node and in Chromium: lease, names, ping, transfers each way, refusals, half-close.
// In the quick tier each scheme meets each card, and each place each of both; in full every triple.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { nics } from "../guest.mjs";
import { sha256 } from "../servers.mjs";
import { chromiumPlace, nodePlace } from "./places.mjs";
import { SCHEMES, startWorld } from "./world.mjs";

const GATEWAY = "192.168.86.1";
const PLACES = { Node: nodePlace, Chromium: chromiumPlace };

const places = Object.keys(PLACES);
const triples = Object.keys(SCHEMES).flatMap((scheme, row) => nics.flatMap((nic, column) => places.map((place, plane) => ({ scheme, nic, place, odd: (row + column + plane) % 2 }))));
const rows = triples.filter(({ odd }) => process.env.NETLOOM_FULL || odd === 0);

let world;
const opened = {};

before(async () => {
  world = await startWorld();
  for (const [name, open] of Object.entries(PLACES)) opened[name] = await open();
});

after(async () => {
  for (const place of Object.values(opened)) await place.close();
  await world?.stop();
});

for (const { scheme, nic, place } of rows) {
  describe(`${scheme}, ${nic}, in ${place}`, { timeout: process.env.NETLOOM_FULL ? 3_600_000 : 600_000 }, () => {
    let guest, way;

    before(async () => {
      way = SCHEMES[scheme](world);
      guest = await opened[place].restore(nic, way.target);
    });
    after(() => guest?.destroy());

    test("a lease", async () => {
      assert.match(await guest.must("udhcpc -i eth0 -n -q -f"), /lease 192\.168\.86\.\d+\/24 router 192\.168\.86\.1 dns 192\.168\.86\.1/);
      if (way.active) assert.equal(await guest.active(), way.active);
    });

    test("ping", async () => {
      assert.match(await guest.must(`ping -c 3 -W 5 ${GATEWAY}`), /3 packets received/);
      // As v86's users expect where the page is the gateway.
      if (way.gateway) assert.match(await guest.must("ping -c 1 -W 5 1.2.3.4"), /1 packets received/);
    });

    test("names", async () => {
      assert.match(await guest.must("nslookup answer.test"), way.names ? /198\.51\.100\.7/ : /192\.168\.87\.1/);
      if (way.names) assert.notEqual((await guest.run("nslookup missing.test")).status, 0);
    });

    test("a download arrives whole", async () => {
      await guest.must(way.download);
      assert.equal((await guest.must("sha256sum </tmp/body")).split(" ")[0], sha256(world.body));
    });

    test("an upload arrives whole", async () => {
      const head = `printf 'POST / HTTP/1.1\\r\\nHost: ${way.host}\\r\\nConnection: close\\r\\nContent-Length: ${world.body.length}\\r\\n\\r\\n'`;
      const answer = await guest.must(`{ ${head}; cat /tmp/body; } | ${way.upload}`);
      assert.match(answer, /^HTTP\/1\.1 200/);
      assert.match(answer, new RegExp(sha256(world.body)));
    });

    test("a refused port is refused", async () => {
      const { output, status } = await guest.run(`nc ${way.address ?? "192.168.87.1"} ${world.refused} </dev/zero`);
      assert.notEqual(status, 0, output);
      assert.match(output, way.refusal ?? /refused|reset|Broken pipe/);
    });

    test("a port that answers nothing is never taken for a server, and holds nobody up", { skip: isHttp(scheme) }, async () => {
      const dial = `timeout 3 nc ${way.address} ${world.hole.port} </dev/zero >/tmp/hole 2>&1`;
      // In a shell of its own: the guest's tells of jobs that have ended, whatever runs then.
      const { output } = await guest.run(`(${dial} & ping -c 1 -W 5 ${GATEWAY}; wait $!; echo "ended with $?"; cat /tmp/hole)`);
      assert.match(output, /1 packets received/);
      assert.doesNotMatch(output, /refused|ended with 0/);
    });

    test("a web server that is not there is an error of HTTP", { skip: !isHttp(scheme) }, async () => {
      const { output } = await guest.run(`wget -O - --header 'Host: ${way.absent}' http://192.168.87.1/`);
      // Ours, or cors-anywhere's.
      assert.match(output, /error: HTTP\/1\.1 (502|404)/);
    });

    test("half-closing leaves the answer's way open", { skip: !isUplink(scheme) }, async () => {
      const length = 256 << 10;
      const answer = await guest.must(`head -c ${length} /tmp/body | nc ${way.address} ${world.hash.port}`);
      assert.equal(answer.trim(), sha256(world.body.subarray(0, length)));
    });

    test("the page reaches the guest", { skip: isUplink(scheme) }, async () => {
      await guest.must("httpd -p 8080 -h /www");
      assert.equal(await guest.probe(8080), true);
      assert.equal(await guest.probe(8081), false);
    });
  });
}

/** Whether the gateway is outside. Wisp carries no half-close: there the upload shows that an answer comes after the guest's. */
function isUplink(scheme) {
  return scheme === "wsproxy" || scheme === "netloom";
}

/** Whether HTTP alone goes out. */
function isHttp(scheme) {
  return scheme.startsWith("fetch");
}
