// A chain whose first backend is lost while the guest runs, and a guest that is taken from one network to another.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import WebSocket from "ws";
import { attachNetwork } from "../../../packages/netloom/dist/v86/index.js";
import { Guest } from "../guest.mjs";
import { startRelay } from "../relay.mjs";
import { hostAddress } from "../servers.mjs";
import { wispJs } from "./peers.mjs";

const LIMIT = { timeout: 300_000 };

async function webServer(context, text) {
  const server = createServer((_, response) => response.end(text)).listen(0, "0.0.0.0");
  context.after(() => server.close());
  await once(server, "listening");
  return server.address().port;
}

async function online(context, target) {
  let network;
  const guest = await Guest.restore("virtio", undefined, (emulator) => (network = attachNetwork(emulator, target, { WebSocket })));
  context.after(() => guest.destroy());
  await network.ready;
  await guest.lease();
  return { guest, network };
}

const until = async (network, url) => {
  while (network.active !== url) await once(network, "statechange");
};

test("a chain: when the Wisp server is lost, the guest's next request goes by fetch", LIMIT, async (context) => {
  const web = await webServer(context, "Hello from the web.");
  const wisp = await wispJs();
  const { guest, network } = await online(context, { relay_url: [wisp.url, "fetch"], dns_method: "static" });
  assert.equal(network.active, wisp.url);
  assert.equal(await guest.must(`wget -q -O - http://${hostAddress()}:${web}/`), "Hello from the web.");
  assert.deepEqual(network.backends.map(({ flows }) => flows), [1, 0]);
  await wisp.stop();
  await until(network, "fetch");
  assert.equal(await guest.must(`wget -q -O - http://${web}.external/`), "Hello from the web.");
  assert.equal(network.backends[1].flows, 1);
});

test("a guest is taken from fetch to the relay and back", LIMIT, async (context) => {
  const web = await webServer(context, "Hello from the web.");
  const relay = await startRelay("--host-loopback", "--origin", "*");
  context.after(() => relay.stop());
  const { guest, network } = await online(context, "fetch");
  assert.equal(await guest.must(`wget -q -O - http://${web}.external/`), "Hello from the web.");
  await network.switchTo(`netloom://${new URL(relay.url).host}`);
  await guest.lease();
  assert.equal(await guest.must(`wget -q -O - http://192.168.86.254:${web}/`), "Hello from the web.");
  network.enabled = false;
  assert.notEqual((await guest.run("ping -c 1 -W 1 192.168.86.254")).status, 0);
  network.enabled = true;
  assert.equal(await guest.must(`wget -q -O - http://192.168.86.254:${web}/`), "Hello from the web.");
  await network.switchTo("fetch");
  await guest.lease();
  assert.equal(await guest.must(`wget -q -O - http://${web}.external/`), "Hello from the web.");
});
