// What guests download from and upload to, for both sides alike; ends with its input. Its first line tells the ports.
import http from 'node:http';
import { hostAddress } from '../../tests/guests/servers.mjs';
import { wispJs } from '../../tests/guests/backends/peers.mjs';
import { startRelay } from '../../tests/guests/relay.mjs';
import process from 'node:process';

const chunk = Buffer.alloc(1 << 16, 'netloom ');

/** `GET /N` is N bytes; a POST is read to its end. */
const web = http.createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    let left = request.method === 'GET' ? Number(request.url.slice(1)) : 2;
    response.writeHead(200, { 'content-length': left });
    const more = () => {
      while (left > 0) {
        const part = chunk.subarray(0, Math.min(left, chunk.length));
        left -= part.length;
        if (!response.write(part) && left > 0) return response.once('drain', more);
      }
      response.end();
    };
    more();
  });
});
// Node's fetch drops what a slow reader has not read when the server ends an idle connection.
web.keepAliveTimeout = 0;
await new Promise((resolve) => web.listen(0, '0.0.0.0', resolve));
const [wisp, relay] = [await wispJs(), await startRelay('--host-loopback')];
console.log(JSON.stringify({ web: web.address().port, host: hostAddress(), wisp: wisp.url, relay: relay.url }));
process.stdin.resume();
process.stdin.on('end', async () => {
  await relay.stop();
  process.exit(0);
});
