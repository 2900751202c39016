// The relay's CORS proxy in headless Chromium: what pages may read by it, and what those that it shows may not.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import process from "node:process";
import { Readable, pipeline } from "node:stream";
import { after, before, describe, test } from "node:test";
import { launch, serve } from "../npm/chromium.mjs";
import { certificate } from "./certificate.mjs";
import { startRelay } from "./relay.mjs";

const MIB = 1 << 20;
const DOWNLOAD_BYTES = (process.env.NETLOOM_FULL ? 1024 : 256) * MIB;
const UPLOAD_BYTES = (process.env.NETLOOM_FULL ? 256 : 32) * MIB;
/** What the relay may take beside what it took before, whatever passes. */
const MEMORY_BYTES = 16 * MIB;

/** What the page asks for, none of which says that it may be read. `each` is called at every piece of a body. */
async function webServer() {
  const seen = [];
  const web = { seen, each: () => {} };
  const server = createServer(async (request, response) => {
    seen.push(`${request.method} ${request.url}`);
    response.on("error", () => {});
    switch (request.url) {
      case "/hash": {
        const hash = createHash("sha256");
        for await (const chunk of request) {
          web.each(chunk);
          hash.update(chunk);
        }
        response.end(hash.digest("hex"));
        break;
      }
      case "/large": {
        response.writeHead(200, { "content-length": DOWNLOAD_BYTES });
        const chunk = Buffer.alloc(MIB, 7);
        const pieces = function* () {
          for (let sent = 0; sent < DOWNLOAD_BYTES; sent += MIB) {
            web.each(chunk);
            yield chunk;
          }
        };
        pipeline(Readable.from(pieces()), response, () => {});
        break;
      }
      case "/redirect":
        response.writeHead(302, { location: "/target" }).end();
        break;
      case "/document":
        response.setHeader("content-type", "text/html");
        response.end("<p id=text>shown</p><script>new Image().src = '/ran'; parent.postMessage('ran', '*')</script>");
        break;
      default:
        response.setHeader("x-header", "readable");
        response.end(`${request.method} ${request.url} ${request.headers["x-own"] ?? ""}`);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  web.origin = `http://127.0.0.1:${server.address().port}`;
  web.stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return web;
}

describe("the CORS proxy in Chromium", { timeout: 300_000 }, () => {
  let web, relay, site, browser, page, proxy;
  before(async () => {
    web = await webServer();
    relay = await startRelay("--cors", "--allow", "127.0.0.1");
    proxy = relay.url.replace("ws://", "http://");
    site = await serve("", { "/": "<!doctype html><title>page</title>", "/frame.html": "<!doctype html>" });
    browser = await launch();
    page = await browser.newPage();
    await page.goto(`${site.origin}/frame.html`);
  });
  after(async () => {
    await browser?.close();
    for (const server of [site, web]) await (server?.stop ?? server?.close)?.();
    await relay?.stop();
  });

  test("the page itself may not read the target", async () => {
    assert.equal(await page.evaluate((url) => fetch(url).then(String, () => "refused"), web.origin), "refused");
  });

  test("every form of URL, with a preflight", async () => {
    const url = `${web.origin}/path?a=b%26c`;
    const encoded = encodeURIComponent(url);
    for (const form of [url, encoded, `?url=${encoded}`, `?${encoded}`]) {
      for (const prefix of [proxy, `${proxy}cors/`]) {
        const got = await page.evaluate(async (asked) => {
          const response = await fetch(asked, { method: "PUT", headers: { "x-own": "sent" }, body: "x" });
          return [response.status, response.headers.get("x-header"), response.headers.get("x-final-url"), await response.text()];
        }, prefix + form);
        assert.deepEqual(got, [200, "readable", url, "PUT /path?a=b%26c sent"], prefix + form);
      }
    }
    assert.ok(!web.seen.some((line) => line.startsWith("OPTIONS")), "preflights are answered by the relay");
  });

  test("redirects and errors", async () => {
    const read = (path) => page.evaluate((url) => fetch(url).then(async (it) => `${it.status} ${await it.text()}`), proxy + path);
    assert.equal(await read(`${web.origin}/redirect`), "200 GET /target ");
    assert.equal(await read("favicon.ico"), "404 Invalid host: favicon.ico");
    assert.match(await read("http://127.0.0.1:1/"), /^404 Not found because of proxy error: /);
    assert.match(await read("http://169.254.169.254/"), /^403 This relay does not reach that target: /);
  });

  /** Notes at every piece of a body what the relay takes; answers the most beyond what it takes now. */
  const watched = (relay) => {
    const before = relay.memory();
    let peak = before;
    web.each = () => (peak = Math.max(peak, relay.memory()));
    return () => peak - before;
  };

  test("an upload and a download, in flat memory", async () => {
    const hash = createHash("sha256").update(Buffer.alloc(UPLOAD_BYTES, 5)).digest("hex");
    const grown = watched(relay);
    const upload = ([url, length]) =>
      fetch(url, { method: "POST", body: new Blob([new Uint8Array(length).fill(5)]) }).then((it) => it.text());
    assert.equal(await page.evaluate(upload, [`${proxy}${web.origin}/hash`, UPLOAD_BYTES]), hash);
    const download = async (url) => {
      let [length, other] = [0, 0];
      for await (const chunk of (await fetch(url)).body) {
        length += chunk.length;
        if (chunk[0] !== 7 || chunk.at(-1) !== 7) other += 1;
      }
      return [length, other];
    };
    assert.deepEqual(await page.evaluate(download, `${proxy}${web.origin}/large`), [DOWNLOAD_BYTES, 0]);
    assert.ok(grown() < MEMORY_BYTES, `the relay grew by ${grown()} bytes`);
  });

  test("an upload that the page writes while it is sent", async () => {
    // Chromium streams uploads by HTTP/2 alone, and that by TLS.
    const files = certificate();
    const secure = await startRelay("--cors", "--allow", "127.0.0.1", ...files.flags);
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    try {
      const writer = await context.newPage();
      await writer.goto(`${site.origin}/frame.html`);
      const grown = watched(secure);
      const each = web.each;
      let arrived = 0;
      let wake = () => {};
      web.each = (chunk) => {
        each();
        arrived += chunk.length;
        wake();
      };
      // The page writes its next piece when the target has the one before.
      await writer.exposeFunction("arrival", async (length) => {
        while (arrived < length) await new Promise((resolve) => (wake = resolve));
      });
      const upload = async ([url, length, pieceLength]) => {
        const piece = new Uint8Array(pieceLength).fill(5);
        let sent = 0;
        const body = new ReadableStream({
          async pull(controller) {
            await arrival(sent);
            if (sent === length) return controller.close();
            controller.enqueue(piece.slice());
            sent += piece.length;
          },
        });
        return (await fetch(url, { method: "POST", body, duplex: "half" })).text();
      };
      const url = `https://localhost:${new URL(secure.url).port}/${web.origin}/hash`;
      const hash = createHash("sha256").update(Buffer.alloc(UPLOAD_BYTES, 5)).digest("hex");
      assert.equal(await writer.evaluate(upload, [url, UPLOAD_BYTES, MIB]), hash);
      assert.ok(grown() < MEMORY_BYTES, `the relay grew by ${grown()} bytes`);
    } finally {
      await context.close();
      await secure.stop();
      files.stop();
    }
  });

  test("a document that the proxy shows runs no script", async () => {
    const shown = await browser.newPage();
    const response = await shown.goto(`${proxy}${web.origin}/document`);
    assert.equal(response.headers()["content-security-policy"], "sandbox");
    assert.equal(await shown.locator("#text").textContent(), "shown");
    await shown.close();
    const said = page.evaluate(
      (url) =>
        new Promise((resolve) => {
          const frame = document.createElement("iframe");
          let ran = false;
          addEventListener("message", () => (ran = true));
          frame.onload = () => resolve(ran);
          frame.src = url;
          document.body.append(frame);
        }),
      `${proxy}cors/${web.origin}/document`,
    );
    assert.equal(await said, false);
    assert.ok(!web.seen.includes("GET /ran"));
  });

  test("what runs with such a document's origin reaches nothing else of the relay", async () => {
    // A frame that may run scripts and has, like the proxied document, an origin that is none.
    const outcomes = await page.evaluate(
      ([proxy, target]) =>
        new Promise((resolve) => {
          const script = async () => {
            const read = (path, options) => fetch(new URL(path, proxy), options).then((it) => it.text()).catch(() => "refused");
            const socket = (path) =>
              new Promise((settle) => {
                const opened = new WebSocket(String(new URL(path, proxy)).replace("http", "ws"));
                opened.onopen = () => settle("open");
                opened.onerror = () => settle("refused");
              });
            const message = { method: "POST", headers: { "content-type": "application/dns-message" }, body: "x" };
            parent.postMessage(
              {
                origin: self.origin,
                health: await read("healthz"),
                page: await read(""),
                dns: await read("dns-query", message),
                control: await read("api/lans"),
                forward: await read("services/forwarder/expose", { method: "POST", body: "{}" }),
                metrics: await read("metrics"),
                lan: await socket(""),
                qemu: await socket("qemu"),
                wisp: await socket("wisp/"),
                guest: await read(guest),
                "guest's socket": await socket(guest),
                proxy: await read(`${proxy}${target}`),
              },
              "*",
            );
          };
          addEventListener("message", (event) => resolve(event.data), { once: true });
          const frame = document.createElement("iframe");
          frame.sandbox = "allow-scripts";
          const guest = new URL(proxy);
          guest.hostname = "first.localhost";
          const names = `const proxy = ${JSON.stringify(proxy)}, target = ${JSON.stringify(target)}, guest = ${JSON.stringify(guest)};`;
          frame.srcdoc = `<script>${names}(${script})()</script>`;
          document.body.append(frame);
        }),
      [proxy, `${web.origin}/x`],
    );
    const { origin, proxy: target, ...others } = outcomes;
    assert.deepEqual([origin, target], ["null", "GET /x "]);
    for (const [what, outcome] of Object.entries(others)) assert.equal(outcome, "refused", what);
  });
});
