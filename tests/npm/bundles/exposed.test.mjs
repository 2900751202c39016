// A guest's HTTP server at a URL of another origin, in Chromium.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { serve } from '../chromium.mjs';
import { netloom, pagesOf } from './page.mjs';

const origin = `${netloom}dist/v86/serve/origin`;
const html = '<!doctype html><title>page</title><link rel="icon" href="data:,"><body><script type="module" src="/page.js"></script>';

const made = pagesOf('v86/serve/page.ts');

/** Two origins, of pages and of guests, and a page of the first. */
async function setUp(t, bridge = {}) {
  const servers = [await serve(made.folder, { '/index.html': html }), await serve(origin, bridge)];
  t.after(() => Promise.all(servers.map((server) => server.close())));
  // Two origins of one site: a browser that blocks what is of third parties gives others no service worker.
  const [pages, guests] = servers.map((server, number) => `http://${['page', 'guest'][number]}.netloom.localhost:${new URL(server.origin).port}`);
  const context = await made.browser.newContext();
  t.after(() => context.close());
  const open = async () => {
    const page = await context.newPage();
    await page.goto(`${pages}/index.html`);
    await page.waitForFunction(() => globalThis.expose);
    return page;
  };
  return { open, pages, guests, page: await open() };
}

const expose = (page, bridge, timeout) => page.evaluate(([url, limit]) => globalThis.expose(url, limit), [bridge, timeout]);

/** Opens an iframe in the page, and resolves with it once it is loaded. */
async function frameOf(page, url) {
  const count = page.frames().length;
  await page.evaluate(
    (src) =>
      new Promise((resolve) => {
        const frame = document.createElement('iframe');
        frame.onload = resolve;
        frame.src = src;
        document.body.append(frame);
      }),
    url,
  );
  return page.frames()[count];
}

test('a frame of another origin shows what the guest serves, and cannot touch the page', async (t) => {
  const { page, guests } = await setUp(t);
  const url = await expose(page, `${guests}/bridge.html`);
  assert.equal(url, `${guests}/`);
  const frame = await frameOf(page, url);
  const outcome = await (await frame.waitForFunction(() => globalThis.outcome)).jsonValue();
  assert.deepEqual(outcome, {
    parent: 'SecurityError',
    posted: 'POST ?a=b localhost:8080 1 hello',
    moved: [true, '/echo', 'GET  localhost:8080 null '],
    big: 4 << 20,
    broken: outcome.broken,
    missing: 404,
  });
  // Depending on what the frame had of it when it broke off.
  assert.match(outcome.broken, /Error$|failed/);
  // What the frame gave up is given up in the guest.
  await page.evaluate(() => globalThis.endless);
  await page.evaluate(() => globalThis.server.close());
  assert.equal(await frame.evaluate(async () => (await fetch('/echo')).status), 502);
});

test('with * in its host each guest has an origin of its own', async (t) => {
  const { page, guests } = await setUp(t);
  const bridge = `${guests.replace('guest.', '*.')}/bridge.html`;
  const urls = [await expose(page, bridge), await expose(page, bridge)];
  assert.notEqual(urls[0], urls[1]);
  for (const url of urls) {
    const frame = await frameOf(page, `${url}echo`);
    assert.equal(await frame.evaluate(() => document.body.textContent), 'GET  localhost:8080 null ');
  }
});

test('a second page takes the origin over', async (t) => {
  const { page, open, guests } = await setUp(t);
  await expose(page, `${guests}/bridge.html`);
  const second = await open();
  const url = await expose(second, `${guests}/bridge.html`);
  await page.evaluate(() => globalThis.ended[0]);
  const frame = await frameOf(second, `${url}echo`);
  assert.equal(await frame.evaluate(() => document.body.textContent), 'GET  localhost:8080 null ');
});

test('what cannot be exposed says why', async (t) => {
  const bridge = readFileSync(`${origin}/bridge.html`, 'utf8').replace('data-pages=""', 'data-pages="https://other.test"');
  const { page, pages, guests } = await setUp(t, { '/bridge.html': bridge });
  assert.equal(await expose(page, `${pages}/bridge.html`), 'EINVAL');
  assert.equal(await expose(page, `${guests}/bridge.html`), 'ECONNREFUSED');
  assert.equal(await expose(page, `${guests}/nothing.html`, 500), 'ETIMEDOUT');
  assert.equal(await page.evaluate(() => document.querySelectorAll('iframe').length), 0);
});
