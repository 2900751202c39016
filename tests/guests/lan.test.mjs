// Two guests: on one LAN they find each other, on two they do not, and one may serve the other's lease.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Guest, nics } from "./guest.mjs";
import { startRelay } from "./relay.mjs";

const MIB = 1 << 20;
// In the quick tier each card meets the other once; in full every pair.
const pairs = process.env.NETLOOM_FULL ? nics.flatMap((one) => nics.map((two) => [one, two])) : [["virtio", "ne2k"]];
const ADDRESSES = ["10.9.0.1", "10.9.0.2"];

async function guests(cards, urls) {
  const all = [];
  for (const [index, nic] of cards.entries()) all.push(await Guest.restore(nic, urls[index]));
  return all;
}

async function addressed(all) {
  for (const [index, guest] of all.entries()) {
    await guest.must(`ip addr flush dev eth0; ip addr add ${ADDRESSES[index]}/24 broadcast 10.9.0.255 dev eth0`);
  }
}

for (const cards of pairs) {
  describe(`${cards.join(" and ")} on one LAN`, { timeout: 400_000 }, () => {
    let relay, one, two;

    before(async () => {
      relay = await startRelay("--no-dhcp", "--no-dns", "--no-gateway");
      [one, two] = await guests(cards, [relay.url, relay.url]);
      await addressed([one, two]);
      // v86 connects with the guest's first frame: this is each guest's.
      await one.run("arping -c 1 -w 1 -I eth0 10.9.0.99");
      await two.run("arping -c 1 -w 1 -I eth0 10.9.0.99");
    });

    after(async () => {
      await one?.destroy();
      await two?.destroy();
      await relay?.stop();
    });

    test("they find each other by ARP", async () => {
      assert.match(await one.must(`arping -c 1 -w 10 -I eth0 ${ADDRESSES[1]}`), new RegExp(two.mac, "i"));
      assert.match(await two.must(`ping -c 3 -W 5 ${ADDRESSES[0]}`), /3 packets received/);
    });

    test("a broadcast reaches the other", async () => {
      await two.must("echo 0 >/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts");
      assert.match(await one.must("ping -c 1 -W 10 10.9.0.255"), new RegExp(`from ${ADDRESSES[1].replaceAll(".", "\\.")}`));
    });

    test("data moves both ways", async () => {
      for (const [server, client, address] of [[one, two, ADDRESSES[0]], [two, one, ADDRESSES[1]]]) {
        await server.must(`head -c ${2 * MIB} /dev/urandom >/www/file; httpd -p 80 -h /www`);
        const sent = await server.must("sha256sum </www/file");
        assert.equal(await client.must(`wget -q -O - http://${address}/file | sha256sum`), sent);
      }
    });

    test("each serves the other's lease", async () => {
      for (const [server, client] of [[one, two], [two, one]]) {
        await addressed([one, two]);
        const address = ADDRESSES[server === one ? 0 : 1];
        await server.must(
          "printf 'start 10.9.0.50\\nend 10.9.0.60\\ninterface eth0\\noption subnet 255.255.255.0\\noption lease 3600\\n' >/etc/udhcpd.conf; " +
            ": >/var/lib/misc/udhcpd.leases; udhcpd /etc/udhcpd.conf",
        );
        await client.must("ip addr flush dev eth0");
        assert.match(await client.lease(), /^10\.9\.0\.(5\d|60)$/);
        assert.match(await client.must(`ping -c 1 -W 5 ${address}`), /1 packets received/);
        await server.must("killall udhcpd");
      }
    });
  });
}

describe("two LANs", { timeout: 300_000 }, () => {
  test("guests of different LANs do not meet", async () => {
    const relay = await startRelay("--lan", "other");
    const [one, two] = await guests(nics, [relay.url, relay.lan("other")]);
    try {
      // Each is online, and both LANs have the same subnet: the gateway answers ARP for what is outside.
      for (const guest of [one, two]) {
        assert.match(await guest.lease(), /^192\.168\.86\./);
        await guest.must("ping -c 1 -W 5 192.168.86.1");
      }
      await one.must("ip addr flush dev eth0; ip addr add 192.168.86.201/24 dev eth0");
      await two.must("ip addr flush dev eth0; ip addr add 192.168.86.202/24 dev eth0");
      assert.notEqual((await one.run("arping -c 3 -w 3 -I eth0 192.168.86.202")).status, 0);
      assert.notEqual((await two.run("ping -c 1 -W 2 192.168.86.201")).status, 0);
    } finally {
      await one.destroy();
      await two.destroy();
      await relay.stop();
    }
  });
});
