// The relay's DNS over HTTPS, on the port of its Wisp server: asked by v86's own wisp backend for a Linux guest, and by curl.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { certificate } from "../certificate.mjs";
import { Guest } from "../guest.mjs";
import { startRelay } from "../relay.mjs";
import { dnsServer, hostAddress, noise, sha256, webServer } from "../servers.mjs";

const HOST = hostAddress();
const BODY = noise(1 << 20);

describe("names by the relay's DNS over HTTPS", { timeout: 600_000 }, () => {
  let files, dns, relay, host, web, guest;
  before(async () => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
    files = certificate();
    // Nobody else knows this name.
    dns = await dnsServer({ "here.test": [{ type: "A", data: HOST.split(".").map(Number) }] });
    relay = await startRelay("--allow", HOST, "--dns", dns.address, ...files.flags);
    host = `localhost:${new URL(relay.url).port}`;
    web = await webServer(BODY);
  });
  after(async () => {
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    await guest?.destroy();
    for (const server of [web, relay, dns, files]) await server?.stop();
  });

  /** Fetches a URL by curl, its name by the relay; rejects with curl's error. */
  const curl = (...args) => {
    const doh = ["--doh-url", `https://${host}/dns-query`, "--doh-insecure"];
    return promisify(execFile)("curl", ["--silent", "--show-error", "--noproxy", "*", ...doh, ...args], { encoding: "buffer", maxBuffer: 2 * BODY.length });
  };

  test("curl finds a name and what is there", async () => {
    const { stdout } = await curl(`http://here.test:${web.port}/`);
    assert.equal(sha256(stdout), sha256(BODY));
  });

  test("curl is told that a name is not there", async () => {
    await assert.rejects(curl(`http://absent.test:${web.port}/`), /Could(n't| not) resolve/);
  });

  test("a guest on v86's own wisp backend finds a name and what is there", async () => {
    const device = { dns_method: "doh", doh_server: host };
    guest = await Guest.restore("virtio", `wisps://${host}/wisp/`, undefined, device);
    await guest.lease();
    await guest.must(`wget -q -O /tmp/body http://here.test:${web.port}/`);
    assert.equal((await guest.must("sha256sum </tmp/body")).split(" ")[0], sha256(BODY));
  });

  test("it is told that a name is not there", async () => {
    const { status } = await guest.run(`wget -q -O /dev/null -T 20 http://absent.test:${web.port}/`);
    assert.notEqual(status, 0);
  });
});
