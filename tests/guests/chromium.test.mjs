// The example page in headless Chromium: a Linux guest in v86, and its network, both in the page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { serve } from "../../examples/shared/serve.mjs";
import { launch } from "../npm/chromium.mjs";
import { nics } from "./guest.mjs";

for (const nic of nics) {
  test(`a page gives a guest its network: ${nic}`, { timeout: 400_000 }, async (context) => {
    const site = await serve("v86-guest");
    context.after(() => site.close());
    const browser = await launch();
    context.after(() => browser.close());
    const page = await browser.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(`${site.origin}/?nic=${nic}`);
    await page.waitForSelector("body[data-state]", { timeout: 300_000 });
    const transcript = await page.textContent("#transcript");
    for (const line of transcript.split("\n")) context.diagnostic(line);
    assert.equal(await page.getAttribute("body", "data-state"), "ready", transcript);
    for (const line of [
      /lease 192\.168\.86\.100\/.* router 192\.168\.86\.1 dns 192\.168\.86\.1/,
      /Name:\s+page\.test\s+Address: 192\.168\.86\.1/,
      /3 packets transmitted, 3 packets received/,
      /an answer from 192\.168\.86\.100 after [\d.]+ ms/,
      /Hello from the page; you asked for \/greeting\./,
      /fetch\('http:\/\/192\.168\.86\.100\/'\)\nHello from the guest\./,
    ]) {
      assert.match(transcript, line);
    }
    await page.fill("[name=command]", "wget -q -O - http://page.test/again");
    await page.press("[name=command]", "Enter");
    await page.getByText("you asked for /again.").waitFor({ timeout: 60_000 });
    assert.deepEqual(errors, []);
  });
}
