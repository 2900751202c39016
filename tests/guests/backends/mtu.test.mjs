// Large packets on virtio: DHCP offers the MTU of `net_device`, the guest takes it, and transfers work at every value, where v86's own hang.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { sha256 } from "../servers.mjs";
import { nodePlace } from "./places.mjs";
import { SCHEMES, startWorld } from "./world.mjs";

const MTUS = process.env.NETLOOM_FULL ? [576, 1280, 1500, 1501, 4096, 9000, 16384, 32768, 65521, 65535] : [576, 65535];
const schemes = process.env.NETLOOM_FULL ? ["wisp", "fetch"] : ["fetch"];

describe("virtio", { timeout: 900_000 }, () => {
  let world, place;

  before(async () => {
    world = await startWorld(process.env.NETLOOM_FULL ? undefined : 512 << 10);
    place = await nodePlace();
  });
  after(() => world?.stop());

  for (const scheme of schemes) {
    for (const mtu of MTUS) {
      test(`${scheme} with an MTU of ${mtu}`, async () => {
        const way = SCHEMES[scheme](world);
        const guest = await place.restore("virtio", { ...way.target, mtu }, { device: { mtu } });
        try {
          await guest.probeCard();
          // -O mtu: busybox asks for the option only if told.
          await guest.must("udhcpc -i eth0 -n -q -f -t 5 -T 2 -O mtu");
          assert.equal((await guest.must("cat /sys/class/net/eth0/mtu")).trim(), `${mtu}`);
          await guest.must(way.download);
          assert.equal((await guest.must("sha256sum </tmp/body")).split(" ")[0], sha256(world.body));
          const head = `printf 'POST / HTTP/1.1\\r\\nHost: ${way.host}\\r\\nConnection: close\\r\\nContent-Length: ${world.body.length}\\r\\n\\r\\n'`;
          assert.match(await guest.must(`{ ${head}; cat /tmp/body; } | ${way.upload}`), new RegExp(sha256(world.body)));
        } finally {
          await guest.destroy();
        }
      });
    }
  }
});
