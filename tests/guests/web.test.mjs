// A web server in a guest of v86, reached from outside: by a port of the host and, in Chromium, by its host name, its WebSocket included; also
// after the guest came back with another card and another address.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, serve } from "../npm/chromium.mjs";
import { Guest } from "./guest.mjs";
import { startRelay } from "./relay.mjs";
import { sha256 } from "./servers.mjs";

const SIZE = (process.env.NETLOOM_FULL ? 4096 : 256) << 10;

/** A WebSocket server in the guest's shell: the handshake, then every short message back as it came. */
const SOCKET = String.raw`#!/bin/sh
while read -r line; do
  line=$(printf %s "$line" | tr -d '\r')
  [ -z "$line" ] && break
  case "$line" in [Ss]ec-[Ww]eb[Ss]ocket-[Kk]ey:*) key=${"$"}{line#*: };; esac
done
hash=$(printf '%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11' "$key" | sha1sum | cut -c1-40 | sed 's/../\\x&/g')
printf 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n' "$(printf "$hash" | base64)"
while set -- $(dd bs=1 count=6 2>/dev/null | od -An -tu1 -v); [ $# = 6 ]; do
  length=$(($2 & 127))
  out=$(printf '\\x%02x\\x%02x' $1 $length)
  at=0
  for byte in $(dd bs=1 count=$length 2>/dev/null | od -An -tu1 -v); do
    case $((at % 4)) in 0) mask=$3;; 1) mask=$4;; 2) mask=$5;; 3) mask=$6;; esac
    out=$out$(printf '\\x%02x' $((byte ^ mask)))
    at=$((at + 1))
  done
  printf "$out"
done`;

const PAGE = `<!doctype html><title>a guest</title><script src=/script.js></script>`;
const SCRIPT = `document.title = "by the guest: " + location.host`;

/** A guest that serves a page, a file and a WebSocket, with a lease under a name. */
async function server(url, name) {
  const guest = await Guest.restore("virtio", url);
  const said = await guest.must(`udhcpc -i eth0 -n -q -f -t 5 -T 2 -x hostname:${name}`);
  guest.address = /lease (\d+\.\d+\.\d+\.\d+)\//.exec(said)[1];
  await guest.must(`printf '%s' '${PAGE}' >/www/index.html; printf '%s' '${SCRIPT}' >/www/script.js`);
  await guest.must(`cat >/socket.sh <<'END'\n${SOCKET}\nEND\nchmod +x /socket.sh`);
  await guest.must(`httpd -p 80 -h /www; (while :; do nc -l -p 3000 -e /socket.sh; done) >/dev/null 2>&1 &`);
  [guest.hash] = (await guest.must(`head -c ${SIZE} /dev/urandom >/www/body; sha256sum /www/body`)).split(" ");
  return guest;
}

describe("a guest's web server", { timeout: 600_000 }, () => {
  const closing = [];
  let relay, port, guest, forward, named, browser, site;

  const host = (name) => `${name}.localhost:${port}`;

  before(async () => {
    relay = await startRelay("--forward", "127.0.0.1:0=first:80", "--forward", "127.0.0.1:0=web:80");
    closing.push(relay.stop);
    port = new URL(relay.url).port;
    [[, forward], [, named]] = await relay.says(/forwarding (\S+) to/g, 2);
    guest = await server(relay.url, "web");
    closing.push(() => guest.destroy());
    site = await serve("", { "/page.html": "<!doctype html><title>elsewhere</title>" });
    closing.push(site.close);
    browser = await launch();
    closing.push(() => browser.close());
  });
  after(async () => {
    for (const close of closing.reverse()) await close();
  });

  const fetched = async (place) => sha256(Buffer.from(await (await fetch(`http://${place}/body`)).arrayBuffer()));

  /** What a page of the guest finds in Chromium: its script's title, a file and what its WebSocket sends back. */
  async function shown(name) {
    const page = await browser.newPage();
    try {
      await page.goto(`http://${host(name)}/`);
      const title = await page.title();
      const found = await page.evaluate(async (socketHost) => {
        const file = await (await fetch("/body")).arrayBuffer();
        const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", file));
        const socket = new WebSocket(`ws://${socketHost}/`);
        const told = await new Promise((resolve, reject) => {
          socket.onopen = () => socket.send("hello, guest");
          socket.onmessage = ({ data }) => data.text?.().then(resolve) ?? resolve(data);
          socket.onclose = ({ code }) => reject(new Error(`the WebSocket closed with ${code}`));
        });
        socket.onclose = null;
        socket.close();
        return { hash: Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join(""), told };
      }, host(`3000.${name}`));
      return { title, ...found };
    } finally {
      await page.close();
    }
  }

  test("by forwards", async () => {
    for (const place of [forward, named]) assert.equal(await fetched(place), guest.hash);
  });

  test("by its host name in Chromium, with its script, a file and its WebSocket", async () => {
    for (const name of ["web", guest.address.replaceAll(".", "-")]) {
      const { title, hash, told } = await shown(name);
      assert.deepEqual([title, hash, told], [`by the guest: ${host(name)}`, guest.hash, "hello, guest"]);
    }
  });

  test("a page of this host may connect, and reads what the guest lets it", async () => {
    const page = await browser.newPage();
    await page.goto(`${site.origin}/page.html`);
    const told = await page.evaluate(async ([url, socketUrl]) => {
      const read = await fetch(url).then(() => "read", () => "refused");
      // The guest's server takes one connection after the other, and refuses between two.
      let opened = "refused";
      for (let attempt = 0; attempt < 50 && opened === "refused"; attempt++) {
        opened = await new Promise((resolve) => {
          const socket = new WebSocket(socketUrl);
          socket.onopen = () => resolve("opened");
          socket.onerror = () => resolve("refused");
        });
      }
      return [read, opened];
    }, [`http://${host("first")}/body`, `${relay.url}`.replace("127.0.0.1", "3000.first.localhost")]);
    // This page is on this host's loopback too, which may connect; what it may read is for the guest to say.
    assert.deepEqual(told, ["refused", "opened"]);
    await page.close();
  });

  test("also when it is back with another card and another address", async () => {
    const before = guest.address;
    guest.destroy();
    guest = await server(relay.url, "web");
    assert.notEqual(guest.address, before);
    for (const place of [forward, named]) assert.equal(await fetched(place), guest.hash);
    assert.equal((await shown("web")).told, "hello, guest");
  });
});
