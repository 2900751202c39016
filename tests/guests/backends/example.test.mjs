// The example of a LAN in two tabs, in headless Chromium: names, transfers between tabs, and a guest's server in a frame of another origin.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { serveLan } from "../../../examples/v86-lan/serve.mjs";
import { launch } from "../../npm/chromium.mjs";

/** Where the picture of the documentation goes, if it is to be taken anew. */
const picture = process.env.NETLOOM_PICTURE && fileURLToPath(new URL("../../../docs/v86-lan.png", import.meta.url));

describe("a LAN of three guests in two tabs", { timeout: 600_000 }, () => {
  let site, browser, first, second;
  const errors = [];

  async function tab(context, guests) {
    const page = await context.newPage();
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(`${site.url}&guests=${guests}`);
    const ended = page.waitForSelector("body[data-state]", { timeout: 120_000 });
    await ended.catch(async (error) => {
      throw new Error(`${error.message}\n${await page.textContent("#guests")}`);
    });
    assert.equal(await page.getAttribute("body", "data-state"), "ready", errors.join("\n"));
    return page;
  }

  const run = async (page, name, command) => {
    const before = (await page.textContent(`#${name} pre`)).length;
    const status = await page.evaluate(([name, command]) => globalThis.guests[name].run(command), [name, command]);
    return { status, output: (await page.textContent(`#${name} pre`)).slice(before) };
  };

  before(async () => {
    site = await serveLan();
    browser = await launch();
    const context = await browser.newContext({ viewport: { width: 1200, height: 900 } });
    first = await tab(context, "web,alice");
    second = await tab(context, "bob");
  });
  after(async () => {
    await browser?.close();
    await site?.close();
  });

  test("each guest has a lease of its own", async () => {
    const leases = [];
    for (const [page, name] of [[first, "web"], [first, "alice"], [second, "bob"]]) {
      leases.push(/lease (192\.168\.86\.\d+)\//.exec(await page.textContent(`#${name} pre`))[1]);
    }
    assert.equal(new Set(leases).size, 3, leases.join(" "));
  });

  test("guests find each other by name, in one tab and across", async () => {
    for (const [page, name, other] of [[first, "alice", "web"], [second, "bob", "web"], [second, "bob", "alice"], [first, "web", "bob"]]) {
      const { status, output } = await run(page, name, `ping -c 2 -W 10 ${other}.lan`);
      assert.equal(status, 0, output);
    }
  });

  test("a guest's server answers the other tab", async () => {
    const { status, output } = await run(second, "bob", "wget -q -O - http://web.lan/");
    assert.equal(status, 0, output);
    assert.match(output, /Hello from the guest/);
  });

  test("a frame of another origin shows the guest's server", async () => {
    const frame = first.frameLocator("#frame iframe");
    await frame.getByRole("heading", { name: "Hello from the guest" }).waitFor({ timeout: 60_000 });
    const source = await first.getAttribute("#frame iframe", "src");
    assert.notEqual(new URL(source).origin, new URL(site.url).origin);
    if (picture) {
      await mkdir(fileURLToPath(new URL(".", `file://${picture}`)), { recursive: true });
      await first.screenshot({ path: picture });
    }
  });

  test("no page had an error", () => assert.deepEqual(errors, []));
});
