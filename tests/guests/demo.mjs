// `cargo xtask demo`: a Linux guest in v86 goes online through `netloom relay`, and you can join. `--once` ends after the transcript.
import { once } from "node:events";
import { Guest } from "./guest.mjs";
import { startRelay } from "./relay.mjs";
import { dnsServer, noise, sha256, webServer } from "./servers.mjs";

const SIZE = 8 << 20;
const STEP = 1 << 20;
const HOST = "192.168.86.254";
const only = process.argv.includes("--once");

async function shown(guest, command) {
  console.log(`guest$ ${command}`);
  const output = await guest.must(command);
  if (output.trim()) console.log(output.trim().replace(/^/gm, "       "));
  return output;
}

function expect(condition, what) {
  if (!condition) throw new Error(`demo: ${what}`);
}

/** Downloads in the background, and reports as the file grows. */
async function download(guest, url, body) {
  console.log(`guest$ wget ${url}`);
  await guest.must(`rm -f /tmp/body /tmp/status; { wget -q -O /tmp/body ${url}; echo $? >/tmp/status; } &`);
  const begin = performance.now();
  let size = 0;
  for (let next = STEP; size < body.length; next += STEP) {
    const goal = Math.min(next, body.length);
    // Ends when the file has grown, or when wget has.
    const wait = `while size=$(stat -c %s /tmp/body 2>/dev/null || echo 0); [ $size -lt ${goal} ] && [ ! -s /tmp/status ]; do sleep 0.1; done; stat -c %s /tmp/body`;
    const now = Number(await guest.must(wait));
    if (now < goal && now === size) break;
    size = now;
    const rate = size / 1000 / (performance.now() - begin);
    console.log(`       ${(size / STEP).toFixed(1)} of ${body.length / STEP} MiB, ${rate.toFixed(1)} MB/s`);
  }
  const said = await guest.must("while [ ! -s /tmp/status ]; do sleep 0.1; done; sha256sum </tmp/body");
  const hash = /[0-9a-f]{64}/.exec(said)?.[0];
  expect(hash === sha256(body), "the download differs from what the server sent");
  console.log(`       SHA-256 ${hash}: equal`);
}

async function main() {
  const dns = await dnsServer({ "hello.demo": [{ type: "A", data: HOST.split(".").map(Number) }] });
  const body = noise(SIZE);
  const web = await webServer(body, "127.0.0.1");
  const relay = await startRelay("--host-loopback", "--dns", dns.address);
  console.log(`relay: listening on ${relay.url}, unprivileged, no TAP, no configuration`);
  console.log("v86: restoring a Linux guest with a virtio network card");
  const guest = await Guest.restore("virtio", relay.url);

  const address = /lease ([\d.]+)\//.exec(await shown(guest, "udhcpc -i eth0 -n -q -f"))?.[1];
  expect(address, "no lease");
  expect(/3 packets received/.test(await shown(guest, "ping -c 3 -W 5 192.168.86.1")), "the gateway does not answer");
  expect((await shown(guest, "nslookup hello.demo")).includes(HOST), "the name is not resolved");
  await download(guest, `http://hello.demo:${web.port}/`, body);

  if (!only) {
    console.log(`
The guest stays online. To join it from v86, in a page or in Node:

    net_device: { type: "virtio", relay_url: "${relay.url}" }

Then run udhcpc in your guest and ping ${address}:
Type a command for the guest and Enter; Ctrl-C ends.`);
    const ended = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
    process.stdin.setEncoding("utf8").on("data", async (line) => {
      if (line.trim()) console.log((await guest.run(line.trim())).output);
    });
    await ended;
  }
  await guest.destroy();
  await relay.stop();
  await web.stop();
  await dns.stop();
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error.message);
    process.exit(1);
  },
);
