// v86's three example pages, remade on ours, in headless Chromium.
import assert from "node:assert/strict";
import { test } from "node:test";
import { serve } from "../../../examples/shared/serve.mjs";
import { launch } from "../../npm/chromium.mjs";
import { nics } from "../guest.mjs";

const LIMIT = { timeout: 300_000 };

/** A browser on the site of the examples; `open` opens a page of it. */
async function site(context) {
  const { origin, close } = await serve("v86");
  context.after(close);
  const browser = await launch();
  context.after(() => browser.close());
  const session = await browser.newContext();
  const errors = [];
  const open = async (path) => {
    const page = await session.newPage();
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(`${origin}/${path}`);
    return page;
  };
  return { open, errors };
}

/** Types a command, and waits until its output has a text. */
async function type(page, guest, command, expected) {
  const input = page.locator(`${guest} input`).first();
  await input.and(page.locator(":enabled")).waitFor(LIMIT);
  await input.fill(command);
  await input.press("Enter");
  await page.locator(`${guest} pre`).first().filter({ hasText: expected }).waitFor(LIMIT);
}

const address = (last) => `ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:0${last}; ifconfig eth0 10.5.0.${last} up; echo at ''10.5.0.${last}`;

/** Cards that a page is tried with: all in full, else one, as the matrix has both on every scheme. */
const cards = (one) => (process.env.NETLOOM_FULL ? nics : [one]);

for (const nic of cards("virtio")) {
  test(`two emulators with a crossover cable: ${nic}`, { timeout: 400_000 }, async (context) => {
    const { open, errors } = await site(context);
    const page = await open(`two-instances.html?nic=${nic}`);
    await type(page, "#left", address(2), "at 10.5.0.2");
    await type(page, "#right", address(3), "at 10.5.0.3");
    await type(page, "#left", "ping -c 3 10.5.0.3", "3 packets transmitted, 3 packets received");
    await type(page, "#right", "ping -c 3 10.5.0.2", "3 packets transmitted, 3 packets received");
    assert.deepEqual(errors, []);
  });
}

for (const nic of cards("ne2k")) {
  test(`two tabs with a guest each: ${nic}`, { timeout: 400_000 }, async (context) => {
    const { open, errors } = await site(context);
    const [one, two] = [await open(`broadcast-network.html?nic=${nic}`), await open(`broadcast-network.html?nic=${nic}`)];
    await type(one, "#guest", address(2), "at 10.5.0.2");
    await type(two, "#guest", address(3), "at 10.5.0.3");
    await type(two, "#guest", "echo 'Hello from the other tab.' >/www/index.html; httpd -h /www; echo serving''!", "serving!");
    await type(one, "#guest", "wget -q -O - http://10.5.0.3/", "Hello from the other tab.");
    assert.deepEqual(errors, []);
  });
}

for (const nic of cards("virtio")) {
  test(`a terminal to a port of the guest: ${nic}`, { timeout: 400_000 }, async (context) => {
    const { open, errors } = await site(context);
    const page = await open(`tcp-terminal.html?nic=${nic}`);
    await type(page, "#guest", "ip link set eth0 up; udhcpc -n -q", "lease of 192.168.86.100 obtained");
    await page.click("#connect");
    await page.locator("#log", { hasText: "Probing failed" }).waitFor(LIMIT);
    await type(page, "#guest", "nc -ll -p 1234 -e cat & echo listening''!", "listening!");
    await page.click("#connect");
    await page.locator("#log", { hasText: "> Connected" }).waitFor(LIMIT);
    await page.fill("#line", "Hello from the page.");
    await page.press("#line", "Enter");
    await page.locator("#log", { hasText: "Hello from the page." }).waitFor(LIMIT);
    await page.click("#connect");
    await page.locator("#log", { hasText: "> Closed" }).waitFor(LIMIT);
    assert.deepEqual(errors, []);
  });
}
