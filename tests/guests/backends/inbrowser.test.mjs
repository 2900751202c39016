// Guests beside each other: on `none` in one page, on `inbrowser` across pages, with v86's own, with a gateway's leases and names, and clones of one state.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { Guest, nics } from "../guest.mjs";
import { chromiumPlace, nodePlace } from "./places.mjs";

const LENGTH = (process.env.NETLOOM_FULL ? 16 : 1) << 20;
/** Where it is not the transfer that is new. */
const LITTLE = process.env.NETLOOM_FULL ? LENGTH : 256 << 10;
let network = 100;
/** A network of its own for each test: its number is the channel's. */
const fresh = (more) => ({ relay_url: "inbrowser", id: (network += 1), ...more });

async function address(guest, ip) {
  await guest.must(`ip addr flush dev eth0; ip addr add ${ip}/24 broadcast 10.5.0.255 dev eth0; ip link set eth0 up`);
}

/** What `server` serves arrives whole at `client`. */
async function transfers(server, client, host, length = LITTLE) {
  await server.must(`head -c ${length} /dev/urandom >/www/file; httpd -p 80 -h /www`);
  const sent = await server.must("sha256sum </www/file");
  assert.equal(await client.must(`wget -q -O - http://${host}/file | sha256sum`), sent);
}

for (const [name, open] of Object.entries({ Node: nodePlace, Chromium: chromiumPlace })) {
  describe(`two guests in ${name}`, { timeout: 600_000 }, () => {
    let place;
    const guests = [];
    const restore = async (...args) => {
      const guest = await place.restore(...args);
      guests.push(guest);
      return guest;
    };

    before(async () => (place = await open()));
    // A guest that does nothing takes a tenth of a processor.
    afterEach(async () => {
      for (const guest of guests.splice(0)) await guest.destroy();
    });
    after(() => place.close());

    test("none joins those of one page with one id, and nobody else", async () => {
      const target = { relay_url: "none", id: 7 };
      const one = await restore(nics[0], target);
      const two = await restore(nics[1], target, { beside: one });
      const stranger = await restore(nics[0], { ...target, id: 8 }, { beside: one });
      await address(one, "10.5.0.2");
      await address(two, "10.5.0.3");
      await address(stranger, "10.5.0.4");
      assert.match(await one.must("ping -c 2 -W 10 10.5.0.3"), /2 packets received/);
      await transfers(one, two, "10.5.0.2");
      await transfers(two, one, "10.5.0.3");
      await two.must("nc -l -p 1234 -e sha256sum >/dev/null 2>&1 & until grep -q :04D2 /proc/net/tcp*; do sleep 0.1; done");
      assert.match(await one.must("printf hello | nc 10.5.0.3 1234"), /^2cf24dba5fb0a30e26e83b2ac5b9e29e/);
      assert.match((await one.run("nc 10.5.0.3 1235")).output, /refused/);
      assert.match((await one.run("nc 10.5.0.4 80")).output, /No route to host/);
      assert.notEqual((await one.run("udhcpc -i eth0 -n -q -f -t 2 -T 1")).status, 0);
    });

    test("each finds the other, and data moves both ways", async () => {
      const target = fresh();
      const [one, two] = [await restore(nics[0], target), await restore(nics[1], target)];
      await address(one, "10.5.0.2");
      await address(two, "10.5.0.3");
      assert.match(await one.must("ping -c 2 -W 10 10.5.0.3"), /2 packets received/);
      await transfers(one, two, "10.5.0.2", LENGTH);
      await transfers(two, one, "10.5.0.3", LENGTH);
    });

    test("a gateway leases addresses and knows the guests' names", async () => {
      const target = fresh({ gateway: true });
      const [one, two] = [await restore(nics[0], target), await restore(nics[1], target)];
      const lease = (guest, host) => guest.must(`udhcpc -i eth0 -n -q -f -t 5 -T 2 -x hostname:${host}`);
      await lease(one, "web");
      await lease(two, "client");
      assert.match(await two.must("ping -c 2 -W 10 web.lan"), /2 packets received/);
      await transfers(one, two, "web.lan");
    });

    test("clones of one state share a LAN, by translation", async () => {
      const target = fresh({ mac_address_translation: true, gateway: true });
      const [one, two] = [await restore(nics[0], target, { clone: true }), await restore(nics[0], target, { clone: true })];
      const mac = (guest) => guest.must("cat /sys/class/net/eth0/address");
      assert.equal(await mac(one), await mac(two));
      await one.must("ip link set eth0 up");
      await two.must("ip link set eth0 up");
      const [first, second] = [await one.lease(), await two.lease()];
      assert.notEqual(first, second);
      assert.match(await one.must(`ping -c 2 -W 10 ${second}`), /2 packets received/);
      await transfers(one, two, first);
    });
  });
}

for (const nic of nics) {
  describe(`a clone of a ${nic} guest alone`, { timeout: 300_000 }, () => {
    for (const translation of [false, true]) {
      test(`it is online ${translation ? "with" : "without"} translation`, async () => {
        const place = await nodePlace();
        const target = { relay_url: "fetch", mac_address_translation: translation };
        const guest = await place.restore(nic, target, { clone: true });
        try {
          await guest.must("ip link set eth0 up");
          await guest.lease();
          assert.match(await guest.must("ping -c 2 -W 10 192.168.86.1"), /2 packets received/);
        } finally {
          await guest.destroy();
        }
      });
    }
  });
}

test("ours and v86's own inbrowser meet on one channel", { timeout: 300_000 }, async () => {
  const place = await nodePlace();
  // v86's own reaches its card on network 0 alone.
  const one = await place.restore("virtio", { relay_url: "inbrowser" });
  const two = await Guest.restore("ne2k", "inbrowser");
  try {
    await address(one, "10.5.0.2");
    await address(two, "10.5.0.3");
    assert.match(await one.must("ping -c 2 -W 10 10.5.0.3"), /2 packets received/);
    await transfers(two, one, "10.5.0.3");
    await transfers(one, two, "10.5.0.2");
  } finally {
    await one.destroy();
    await two.destroy();
  }
});
