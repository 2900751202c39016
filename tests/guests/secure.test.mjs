// A guest of v86 in headless Chromium, over TLS and by a token, through the page's own v86 and nothing of ours in it.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { serve } from "../../examples/shared/serve.mjs";
import { launch } from "../npm/chromium.mjs";
import { certificate } from "./certificate.mjs";
import { nics } from "./guest.mjs";
import { program, startRelay } from "./relay.mjs";

test("a page joins by wss with a token, until it is revoked", { timeout: 400_000 }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "netloom-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = ["--tokens", join(folder, "tokens.toml")];
  const token = (...words) => execFileSync(program, ["token", ...words, ...file], { encoding: "utf8" }).trim();
  const alice = token("create", "alice");
  const files = certificate();
  context.after(() => files.stop());
  const relay = await startRelay(...files.flags, ...file, "--log", "debug");
  context.after(() => relay.stop());
  assert.match(relay.url, /^wss:/);
  const site = await serve("../tests/guests/backends/page");
  context.after(() => site.close());
  const browser = await launch();
  context.after(() => browser.close());
  const session = await browser.newContext({ ignoreHTTPSErrors: true });
  const open = async () => {
    const page = await session.newPage();
    await page.goto(`${site.origin}/`);
    return page;
  };
  const page = await open();

  /** How a WebSocket of the page ends, or that it opened. */
  const outcome = (url) =>
    page.evaluate(
      (url) =>
        new Promise((resolve) => {
          const socket = new WebSocket(url);
          socket.onopen = () => resolve("open");
          socket.onclose = ({ code }) => resolve(code);
        }),
      url,
    );
  assert.deepEqual([await outcome(relay.url), await outcome(`${relay.url}t/nlt_wrong/`)], [1006, 1006]);
  assert.deepEqual([await outcome(`${relay.url}t/${alice}/`), await outcome(`${relay.url}?token=${alice}`)], ["open", "open"]);

  for (const nic of nics) {
    const own = await open();
    const start = async ({ nic, relay_url }) => {
      const { startGuest } = await import("/shared/guest.js");
      return startGuest(nic, undefined, { relay_url });
    };
    const guest = await own.evaluateHandle(start, { nic, relay_url: `${relay.url}t/${alice}/` });
    const run = (command) => guest.evaluate((guest, command) => guest.run(command), command);
    const leased = await run("udhcpc -i eth0 -n -q -f -t 5 -T 2");
    assert.match(leased.output, /lease (of )?192\.168\.86\./);
    assert.match((await run("ping -c 3 -W 5 192.168.86.1")).output, /3 packets received/);
    await own.close();
  }
  const closed = page.evaluate(
    (url) =>
      new Promise((resolve) => {
        const socket = new WebSocket(url);
        socket.onopen = () => (document.title = "open");
        socket.onclose = ({ code }) => resolve(code);
      }),
    `${relay.url}t/${alice}/`,
  );
  await page.waitForFunction(() => document.title === "open");
  token("revoke", "alice");
  assert.equal(await closed, 1008);
  assert.equal(await outcome(`${relay.url}t/${alice}/`), 1006);
  assert.ok(!relay.said().includes(alice), "the relay shows a token");
});
