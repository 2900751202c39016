// Runs build/tests.js of the package in Chromium, in a window or in a worker.
import process from 'node:process';
import { launch, serve } from './chromium.mjs';

const PAGES = {
  '/window.html': '<!doctype html><title>tests</title><link rel="icon" href="data:,"><script type="module" src="/window.js"></script>',
  '/worker.html': '<!doctype html><title>tests</title><link rel="icon" href="data:,"><script type="module" src="/starter.js"></script>',
  '/window.js': `
    const query = new URLSearchParams(location.search);
    globalThis.NETLOOM_FULL = query.get('full');
    const { plan, run } = await import('/build/tests.js');
    const results = await run(query.get('only'), report);
    await report(plan(results));
    await done(results.failed.length === 0);`,
  '/worker.js': `
    const query = new URLSearchParams(location.search);
    globalThis.NETLOOM_FULL = query.get('full');
    const { plan, run } = await import('/build/tests.js');
    const results = await run(query.get('only'), (line) => postMessage({ line }));
    postMessage({ line: plan(results) });
    postMessage({ done: results.failed.length === 0 });`,
  '/starter.js': `
    const worker = new Worker('/worker.js' + location.search, { type: 'module' });
    worker.onerror = (event) => { report('not ok - the worker failed: ' + event.message); done(false); };
    worker.onmessage = ({ data }) => ('line' in data ? report(data.line) : done(data.done));`,
};

/** Runs the tests in a `window` or a `worker`; resolves with whether all passed. */
export async function runInChromium(where, only, root, limitSeconds) {
  const server = await serve(root, PAGES);
  const browser = await launch();
  let timer;
  try {
    const page = await browser.newPage();
    await page.exposeFunction('report', (line) => console.log(line));
    const ended = new Promise((resolve, reject) => {
      page.exposeFunction('done', resolve).catch(reject);
      page.on('crash', () => reject(new Error('the page crashed')));
      page.on('pageerror', reject);
      page.on('console', (message) => message.type() === 'error' && console.log(`# console: ${message.text()}`));
      timer = setTimeout(() => reject(new Error(`the page is not done after ${limitSeconds} s`)), limitSeconds * 1000);
    });
    const query = new URLSearchParams({ only, full: process.env.NETLOOM_FULL ?? '' });
    const [passed] = await Promise.all([ended, page.goto(`${server.origin}/${where}.html?${query}`)]);
    return passed;
  } catch (error) {
    console.log(`not ok - ${error.message}\n# fail 1`);
    return false;
  } finally {
    clearTimeout(timer);
    await browser.close();
    await server.close();
  }
}
