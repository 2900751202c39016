// The packed package in pages: bundled by esbuild, by Vite, served by Vite as one develops, and without any bundler.
import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import test, { after, before } from 'node:test';
import { build as bundle } from 'esbuild';
import { build as viteBuild, createServer as viteServer } from 'vite';
import { launch, serve } from '../chromium.mjs';
import { clean, project } from '../package/packed.mjs';

const TEXT = 'through the stack';
const app = new URL('app/', import.meta.url).pathname;
const html = (script, head = '') => `<!doctype html><title>app</title><link rel="icon" href="data:,">${head}<script type="module" src="${script}"></script>`;

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());
after(clean);

/** A project with the packed package and the page's code. */
async function pageFolder(t) {
  const path = await project(t);
  await cp(app, `${path}/app`, { recursive: true });
  return path;
}

/** Loads a page; resolves with what its code came to, once it has, and with the paths that it fetched. */
async function outcome(t, address) {
  const page = await browser.newPage();
  t.after(() => page.close());
  const fetched = [];
  const errors = [];
  page.on('request', (request) => fetched.push(new URL(request.url()).pathname));
  page.on('pageerror', (error) => errors.push(String(error)));
  await page.goto(address);
  const found = await page
    .waitForFunction(() => globalThis.outcome, undefined, { timeout: 60_000 })
    .then(
      (handle) => handle.jsonValue(),
      (error) => `${error}\n${errors.join('\n')}`,
    );
  return { found, fetched };
}

async function served(t, path, pages = {}) {
  const server = await serve(path, pages);
  t.after(server.close);
  return server.origin;
}

for (const [name, wasm] of [
  ['inline', false],
  ['by-url', true],
]) {
  test(`esbuild, the module ${name}`, async (t) => {
    const path = await pageFolder(t);
    const options = { bundle: true, format: 'esm', platform: 'browser', minify: true, loader: { '.wasm': 'file' }, logLevel: 'error' };
    await bundle({ ...options, entryPoints: [`${path}/app/${name}.js`], outfile: `${path}/out/app.js` });
    const origin = await served(t, `${path}/out`, { '/index.html': html('/app.js') });
    const { found, fetched } = await outcome(t, `${origin}/index.html`);
    assert.equal(found, TEXT);
    assert.equal(
      fetched.some((one) => one.endsWith('.wasm')),
      wasm,
    );
  });
}

test('esbuild with splitting fetches one module alone', async (t) => {
  const path = await pageFolder(t);
  await bundle({
    bundle: true,
    format: 'esm',
    splitting: true,
    minify: true,
    logLevel: 'error',
    entryPoints: [`${path}/app/inline.js`],
    outdir: `${path}/out`,
  });
  const origin = await served(t, `${path}/out`, { '/index.html': html('/inline.js') });
  const { found, fetched } = await outcome(t, `${origin}/index.html`);
  assert.equal(found, TEXT);
  assert.deepEqual(
    fetched.filter((one) => one.includes('baseline')),
    [],
  );
  assert.equal(fetched.filter((one) => one.includes('simd128')).length, 1);
});

for (const [name, wasm] of [
  ['inline', false],
  ['by-url-vite', true],
]) {
  test(`Vite, the module ${name}`, async (t) => {
    const path = await pageFolder(t);
    await writeFile(`${path}/index.html`, html(`/app/${name}.js`));
    await viteBuild({ root: path, configFile: false, logLevel: 'error' });
    const { found, fetched } = await outcome(t, `${await served(t, `${path}/dist`)}/index.html`);
    assert.equal(found, TEXT);
    assert.equal(
      fetched.some((one) => one.endsWith('.wasm')),
      wasm,
    );
  });

  test(`Vite as one develops, the module ${name}`, async (t) => {
    const path = await pageFolder(t);
    await writeFile(`${path}/index.html`, html(`/app/${name}.js`));
    const server = await viteServer({ root: path, configFile: false, logLevel: 'error', server: { port: 0, host: '127.0.0.1' } });
    t.after(() => server.close());
    await server.listen();
    const { found } = await outcome(t, `http://127.0.0.1:${server.httpServer.address().port}/`);
    assert.equal(found, TEXT);
  });
}

const MAP = '<script type="importmap">{"imports":{"netloom":"/node_modules/netloom/dist/index.js"}}</script>';

test('no bundler, the module inline', async (t) => {
  const origin = await served(t, await pageFolder(t), { '/index.html': html('/app/inline.js', MAP) });
  assert.equal((await outcome(t, `${origin}/index.html`)).found, TEXT);
});

test('no bundler, the module by URL', async (t) => {
  const script = `import { main } from '/app/app.js';
    main({ wasm: '/node_modules/netloom/dist/netloom.wasm' }).then((text) => (globalThis.outcome = text), (error) => (globalThis.outcome = String(error.stack)));`;
  const origin = await served(t, await pageFolder(t), { '/index.html': html('/by-url.js', MAP), '/by-url.js': script });
  const { found, fetched } = await outcome(t, `${origin}/index.html`);
  assert.equal(found, TEXT);
  assert.ok(fetched.includes('/node_modules/netloom/dist/netloom.wasm'));
});

test('a worker, bundled by Vite', async (t) => {
  const path = await pageFolder(t);
  await writeFile(`${path}/index.html`, html('/page.js'));
  await writeFile(
    `${path}/page.js`,
    `const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });\nworker.onmessage = ({ data }) => (globalThis.outcome = data);`,
  );
  await writeFile(`${path}/worker.js`, `import { main } from './app/app.js';\nmain().then(postMessage, (error) => postMessage(String(error.stack)));`);
  await viteBuild({ root: path, configFile: false, logLevel: 'error', worker: { format: 'es' } });
  assert.equal((await outcome(t, `${await served(t, `${path}/dist`)}/index.html`)).found, TEXT);
});
