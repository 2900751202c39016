// Debian's Chromium, headless, and a server of files for its pages.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, normalize } from 'node:path';
import process from 'node:process';
import { chromium } from 'playwright-core';

const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.map': 'application/json',
};

/** Starts the browser; `await using` closes it. `NETLOOM_JS_FLAGS` are flags of its V8. */
export async function launch() {
  // The browser's own sandbox wants a user other than root.
  const args = process.getuid?.() === 0 ? ['--no-sandbox', '--disable-dev-shm-usage'] : [];
  if (process.env.NETLOOM_JS_FLAGS) args.push(`--js-flags=${process.env.NETLOOM_JS_FLAGS}`);
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args });
}

/** Serves a folder, and pages of text by their paths, on a free port of the loopback; resolves with its address and how to close it. */
export async function serve(folder, pages = {}) {
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
    const page = pages[path];
    try {
      const body = page ?? (await readFile(folder + path));
      response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { origin: `http://127.0.0.1:${server.address().port}`, close };
}
