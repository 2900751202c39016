// One side's figures with a Linux guest: downloads, uploads, requests, round trips. The last line is the figures as JSON.
import process from 'node:process';
import { Guest } from '../../tests/guests/guest.mjs';

const MIB = 1 << 20;
const LIMIT_MS = 90_000;
const { scheme, nic, mtu, side, servers, quick } = JSON.parse(process.argv[2]);
const bytes = (quick ? 4 : 16) * MIB;
const turns = quick ? 1 : 3;

/** Where the guest finds the servers, by scheme. */
const WAYS = {
  wsproxy: { relay_url: servers.relay, address: '192.168.86.254', port: servers.web },
  wisp: { relay_url: servers.wisp, address: servers.host, port: servers.web },
  fetch: { relay_url: 'fetch', address: '192.168.87.1', port: 80 },
};
const { relay_url, address, port } = WAYS[scheme];
const host = scheme === 'fetch' ? `${servers.web}.external` : `${address}:${port}`;
const device = { mtu };

const guest = await start();
await guest.must('udhcpc -i eth0 -n -q -f -t 5 -T 2');
if (mtu > 1500) await guest.must(`ip link set eth0 mtu ${mtu}`);
const figures = {};
const get = (size) => `wget -q -O /dev/null --header 'Host: ${host}' http://${address}:${port}/${size}`;
// Not head: busybox's takes each byte by itself, which is the most of what an upload then costs.
const post = (size) =>
  `{ printf 'POST / HTTP/1.1\\r\\nHost: ${host}\\r\\nConnection: close\\r\\nContent-Length: ${size}\\r\\n\\r\\n'; dd if=/dev/zero bs=65536 count=${size >> 16} 2>/dev/null; } | nc ${address} ${port} | grep -q 200`;

// The engine compiles what it will need.
if (await works(get(2 * MIB))) {
  figures['requests'] = { value: await requests(), unit: '/s' };
  await rate('download', get(bytes));
}
if (await works(post(MIB))) await rate('upload', post(bytes));
figures['ping'] = { value: await ping(), unit: 'ms' };
console.log(JSON.stringify({ figures: Object.fromEntries(Object.entries(figures).filter(([, { value }]) => value !== undefined)) }));
process.exit(0);

async function start() {
  const own = side === 'own';
  const { attachNetwork } = own ? {} : await import('../../packages/netloom/dist/v86/index.js');
  const plug = own ? undefined : (emulator) => attachNetwork(emulator, { type: nic, relay_url, ...device }, { WebSocket });
  const started = await Guest.restore(nic, own ? relay_url : undefined, plug, device);
  if (mtu > 1500) await started.probeCard();
  return started;
}

/** Whether a command ends well in time; a guest that hangs is done for. */
async function works(command) {
  try {
    return (await guest.run(command, { limitMs: LIMIT_MS })).status === 0;
  } catch {
    console.log(JSON.stringify({ figures }));
    process.exit(0);
  }
}

async function rate(what, command) {
  const rates = [];
  const began = process.cpuUsage();
  for (let turn = 0; turn < turns; turn += 1) {
    const start = performance.now();
    if (!(await works(command))) return;
    rates.push(bytes / 1e3 / (performance.now() - start));
  }
  const { user, system } = process.cpuUsage(began);
  figures[what] = { value: rates.sort((one, two) => one - two)[turns >> 1], unit: 'MB/s' };
  figures[`${what}, processor`] = { value: (user + system) / 1e6 / ((turns * bytes) / 1e9), unit: 'CPU s/GB' };
}

/** Requests of one byte each a second, a connection each. */
async function requests() {
  const count = quick ? 10 : 40;
  const start = performance.now();
  const done = await works(`i=0; while [ $i -lt ${count} ]; do ${get(1)} || exit 1; i=$((i+1)); done`);
  return done ? count / ((performance.now() - start) / 1000) : undefined;
}

async function ping() {
  const output = await guest.must('ping -q -c 20 -i 0.05 192.168.86.1 || ping -q -c 5 192.168.86.1', { limitMs: LIMIT_MS });
  return Number(/= [\d.]+\/([\d.]+)\//.exec(output)[1]);
}
