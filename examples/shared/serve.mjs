// Serves the pages of a folder of examples, with the package, v86 and the guest's images that they load.
// Before: `cargo xtask guest` (the images) and `cargo xtask js` (the package).
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, normalize } from 'node:path';
import process from 'node:process';
import { pipeline } from 'node:stream';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const images = process.env.NETLOOM_GUEST_DIR ?? `${root}target/guest`;
/** Where the files of each folder of the site are. */
const FOLDERS = [
  ['/netloom/', `${root}packages/netloom/dist/`],
  ['/v86/', `${root}tests/guests/node_modules/v86/build/`],
  ['/images/', `${images}/`],
  ['/shared/', `${root}examples/shared/`],
];
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm' };

/** Serves an example on the loopback; port 0 takes a free one. */
export async function serve(example, port = 0) {
  const folders = [...FOLDERS, ['/', `${root}examples/${example}/`]];
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, 'http://localhost').pathname);
    const [prefix, folder] = folders.find(([prefix]) => path.startsWith(prefix));
    const file = folder + (path === '/' ? 'index.html' : path.slice(prefix.length));
    try {
      const { size } = await stat(file);
      response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream', 'content-length': size });
      pipeline(createReadStream(file), response, () => {});
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { origin: `http://127.0.0.1:${server.address().port}`, close };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [example, port = '8000'] = process.argv.slice(2);
  if (!example) throw new Error('usage: node examples/shared/serve.mjs v86|v86-guest [PORT]');
  const { origin } = await serve(example, Number(port));
  console.log(`the page is at ${origin}/`);
}
