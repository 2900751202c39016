// A guest of v86 on the network that a page gives it: netloom's stack in the same process, joined to the guest's card.
// Postgres is Debian's, on the host; the guest's psql reaches it through the stack.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { Guest, images, nics } from "./guest.mjs";
import { noise, sha256 } from "./servers.mjs";

// The package's sources are TypeScript.
const npm = createRequire(new URL("../../packages/netloom/package.json", import.meta.url));
await import(pathToFileURL(npm.resolve("tsx/esm")));
const source = (path) => import(`../../packages/netloom/${path}`);
const { connectStreams, createStack, patch } = await source("src/index.ts");
const { createDhcp } = await source("src/dhcp/index.ts");
const { createDns } = await source("src/dns/index.ts");
const { createHttp } = await source("src/http/index.ts");
const { createV86NetworkStream } = await source("src/v86/index.ts");
const { forward, startPostgres } = await source("test/node/servers.ts");

const PAGE = "192.168.86.1";
const NAME = "page.test";
const BODY = noise(2 << 20);
const psql = gzipSync(readFileSync(join(images, "psql.cpio")), { level: 1 });

/** A stack with everything that the guest needs, and the guest; `join` tells how the two are connected. */
async function pageWithGuest(nic, join) {
  const stack = await createStack();
  const tap = await stack.interfaces.createTap({ ip: `${PAGE}/24`, burst: nic === "ne2k" ? 8 : 0 });
  const dhcp = await createDhcp(stack);
  const leases = await dhcp.serve({
    leaseRange: { start: "192.168.86.100", end: "192.168.86.110" },
    serverIdentifier: PAGE,
    netmask: "255.255.255.0",
    router: PAGE,
    dnsServers: [PAGE],
  });
  const dns = await createDns(stack);
  await dns.serve({ request: async ({ name, type }) => (name !== NAME ? undefined : type === "A" ? { type, ip: PAGE, ttl: 60 } : []) });
  const http = await createHttp(stack.tcp);
  const web = await http.serve({ port: 80 }, async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/body") return new Response(BODY);
    if (pathname === "/psql.cpio.gz") return new Response(psql);
    return new Response(`${request.method} ${pathname} ${(await request.arrayBuffer()).byteLength}`);
  });
  let card;
  const guest = await Guest.restore(nic, undefined, (emulator) => join((card = createV86NetworkStream(emulator)), tap));
  const close = async () => {
    await guest.destroy();
    // The emulator took the card with it; with streams, it is the pipe that sees the end.
    if (join === patch) assert.ok((await card.readable.getReader().read()).done);
    await web.close();
    await dhcp.close();
    await dns.close();
    await stack.close();
  };
  return { stack, guest, http, leases, close };
}

const cables = { virtio: patch, ne2k: connectStreams };

for (const nic of nics) {
  describe(`a page with a guest, ${nic} by ${cables[nic].name}`, { timeout: 400_000 }, () => {
    let page, address;

    before(async () => {
      page = await pageWithGuest(nic, cables[nic]);
    });
    after(() => page?.close());

    test("the page leases an address", async () => {
      address = await page.guest.lease();
      assert.equal(address, "192.168.86.100");
      assert.deepEqual([...page.leases.leases.values()].map(({ ip, mac }) => [ip, mac]), [[address, page.guest.mac]]);
    });

    test("the page answers names", async () => {
      assert.match(await page.guest.must(`nslookup ${NAME}`), new RegExp(PAGE));
      assert.notEqual((await page.guest.run("nslookup absent.test")).status, 0);
    });

    test("ping both ways", async () => {
      assert.match(await page.guest.must(`ping -c 3 -W 5 ${NAME}`), /3 packets received/);
      const session = await page.stack.ping.createSession({ host: address, timeout: 20_000 });
      const { host, payload } = await session.ping({ payload: BODY.subarray(0, 1000) });
      assert.equal(host, address);
      assert.ok(BODY.subarray(0, 1000).equals(payload));
      await session.close();
    });

    test("the guest asks the page's web server", async () => {
      assert.equal(await page.guest.must(`wget -q -O - http://${NAME}/hello`), "GET /hello 0");
      assert.match(await page.guest.must(`wget -q -O - http://${NAME}/body | sha256sum`), new RegExp(sha256(BODY)));
      assert.equal((await page.guest.run(`wget -q -O - http://${PAGE}:81/`)).status, 1);
    });

    test("the page asks the guest's web server", async () => {
      await page.guest.must("head -c 1048576 /dev/urandom >/www/file; echo '<h1>guest</h1>' >/www/index.html; httpd -p 80 -h /www");
      const index = await page.http.fetch(`http://${address}/`);
      assert.deepEqual([index.status, await index.text()], [200, "<h1>guest</h1>\n"]);
      const file = await page.http.fetch(`http://${address}/file`);
      const sum = await page.guest.must("sha256sum </www/file");
      assert.match(sum, new RegExp(sha256(Buffer.from(await file.arrayBuffer()))));
      assert.equal((await page.http.fetch(`http://${address}/absent`)).status, 404);
      await assert.rejects(page.http.fetch(`http://${address}:81/`), (error) => [error.code, error.cause?.code].includes("ECONNREFUSED"));
    });
  });
}

describe("a guest's psql", { timeout: 400_000 }, () => {
  let page, postgres, forwarded;

  before(async () => {
    [page, postgres] = await Promise.all([pageWithGuest("virtio", patch), startPostgres()]);
    forwarded = await forward(page.stack.tcp, 5432, postgres.target);
    await page.guest.lease();
    await page.guest.must(`mkdir -p /psql; cd /psql; wget -q -O - http://${NAME}/psql.cpio.gz | gunzip | cpio -i`);
  });
  after(async () => {
    forwarded?.close();
    await page?.close();
    await postgres?.stop();
  });

  async function ask(query, how) {
    const program = "PGPASSWORD=secret ./ld-linux.so.2 --library-path . ./psql -X -A -t";
    const answer = await page.guest.must(`cd /psql; ${program} "host=${NAME} user=netloom dbname=postgres ${how}" -c "${query}"`);
    return answer.trim();
  }

  test("reaches Postgres", async () => {
    assert.equal(await ask("select 6 * 7", "sslmode=disable"), "42");
    const lines = (await ask("select number, repeat('x', 1000) from generate_series(1, 300) as number", "sslmode=disable")).split("\n");
    assert.equal(lines.length, 300);
    assert.equal(lines.at(-1), `300|${"x".repeat(1000)}`);
  });

  test("reaches Postgres by TLS", async () => {
    assert.equal(await ask("select ssl from pg_stat_ssl where pid = pg_backend_pid()", "sslmode=require"), "t");
  });
});
