// The relay's DNS over HTTPS, asked by v86's own wisp backend for a Linux guest.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { Guest } from "../guest.mjs";
import { startRelay } from "../relay.mjs";
import { dnsServer, hostAddress, noise, sha256, webServer } from "../servers.mjs";

const HOST = hostAddress();
const BODY = noise(1 << 20);

/** v86 asks by https alone: TLS in front of the relay, with a certificate of its own. */
async function tlsFront(relay) {
  const folder = mkdtempSync(join(tmpdir(), "netloom-"));
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => join(folder, name));
  const subject = ["-subj", "/CN=localhost", "-days", "2", "-nodes", "-keyout", key, "-out", cert];
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", ...subject], { stdio: "pipe" });
  const asked = [];
  const server = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
    const to = http.request(new URL(request.url, relay), { method: request.method, headers: { ...request.headers, host: relay.host } });
    to.on("response", (answer) => {
      asked.push(`${request.method} ${request.url} ${answer.statusCode} ${answer.headers["content-type"]}`);
      answer.pipe(response.writeHead(answer.statusCode, answer.headers));
    });
    request.pipe(to);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = () => {
    rmSync(folder, { recursive: true });
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { host: `localhost:${server.address().port}`, asked, stop };
}

describe("names by the relay's DNS over HTTPS", { timeout: 600_000 }, () => {
  let dns, relay, front, web, guest;
  before(async () => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
    dns = await dnsServer({ "here.test": [{ type: "A", data: HOST.split(".").map(Number) }] });
    relay = await startRelay("--allow", HOST, "--dns", dns.address);
    front = await tlsFront(new URL(relay.url.replace("ws://", "http://")));
    web = await webServer(BODY);
    const device = { dns_method: "doh", doh_server: front.host };
    guest = await Guest.restore("virtio", `${relay.url}wisp/`.replace("ws://", "wisp://"), undefined, device);
    await guest.lease();
  });
  after(async () => {
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    await guest?.destroy();
    for (const server of [web, front, relay, dns]) await server?.stop();
  });

  test("a name is found and reached", async () => {
    await guest.must(`wget -q -O /tmp/body http://here.test:${web.port}/`);
    assert.equal((await guest.must("sha256sum </tmp/body")).split(" ")[0], sha256(BODY));
    assert.ok(front.asked.length > 0);
    for (const line of front.asked) assert.equal(line, "POST /dns-query 200 application/dns-message");
  });

  test("a name that is not there is not found", async () => {
    const { status } = await guest.run(`wget -q -O /dev/null -T 20 http://absent.test:${web.port}/`);
    assert.notEqual(status, 0);
  });
});
