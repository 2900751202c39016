// One side's figures with an ideal guest: frames made and read in JavaScript, without an emulator's processor. The last line is the figures.
import process from 'node:process';
import { ours, own } from '../../tests/guests/backends/subjects.mjs';
import { download, FastGuest, upload } from './fast.mjs';

const MIB = 1 << 20;
const CHUNK = new Uint8Array(64 << 10).fill(97);
const PORT = 4000;
const { side, mtu, quick } = JSON.parse(process.argv[2]);
const bytes = (quick ? 32 : 128) * MIB;
const turns = quick ? 1 : 5;

const subject = await (side === 'own' ? own : ours)({ relay_url: 'fetch', mtu });
const guest = new FastGuest(subject.emulator, mtu);
const figures = {};
// A guest that waits for an acknowledgment keeps no process.
setInterval(() => {}, 60_000);

// The page's own fetch: the body costs nothing but the reading.
subject.network.fetch = async () => {
  let left = bytes;
  const pull = (controller) => {
    if (left <= 0) return controller.close();
    left -= CHUNK.length;
    controller.enqueue(CHUNK);
  };
  return new Response(new ReadableStream({ pull }, { highWaterMark: 0 }));
};
await measure('download', () => download(guest, '192.168.87.1', 80, 'GET /body HTTP/1.0\r\nHost: body.test\r\n\r\n', bytes));

let received = 0;
let wake = () => {};
subject.emulator.add_listener('tcp-connection', (connection) => {
  if (connection.sport !== PORT) return;
  connection.on('data', (data) => {
    received += data.length;
    if (received >= bytes) wake();
  });
  connection.accept();
});
await measure('upload', async () => {
  received = 0;
  const all = new Promise((resolve) => (wake = resolve));
  await upload(guest, '192.168.86.1', PORT, bytes);
  await all;
});
console.log(JSON.stringify({ figures }));
process.exit(0);

async function measure(what, run) {
  const rates = [];
  await run();
  const began = process.cpuUsage();
  for (let turn = 0; turn < turns; turn += 1) {
    const start = performance.now();
    await run();
    rates.push(bytes / 1e3 / (performance.now() - start));
  }
  const { user, system } = process.cpuUsage(began);
  figures[what] = { value: rates.sort((one, two) => one - two)[turns >> 1], unit: 'MB/s' };
  figures[`${what}, processor`] = { value: (user + system) / 1e6 / ((turns * bytes) / 1e9), unit: 'CPU s/GB' };
}
