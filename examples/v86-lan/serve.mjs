// Serves this page, and beside it the origin of its guests' pages: node examples/v86-lan/serve.mjs [PORT]
// Before: `cargo xtask guest` (the guest's images) and `cargo xtask js` (the package).
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { serve } from '../shared/serve.mjs';

const ORIGIN = '../packages/netloom/dist/v86/serve/origin';

/** Serves on the loopback, on this port and the next; 0 takes free ones. `url` is the first tab's. */
export async function serveLan(port = 0) {
  const [pages, frames] = [await serve('v86-lan', port), await serve(ORIGIN, port && port + 1)];
  // Two origins of one site: a browser gives a frame of another site no service worker.
  const url = `http://page.netloom.localhost:${new URL(pages.origin).port}/?frames=${new URL(frames.origin).port}`;
  return { url, close: () => Promise.all([pages.close(), frames.close()]) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await serveLan(Number(process.argv[2] ?? 8000));
  console.log(`the page is at ${url}`);
}
