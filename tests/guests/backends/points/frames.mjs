// Points 1, 8 to 11 and 19 of the checklist: frames, leases, names, and where guests are.
import assert from "node:assert/strict";
import { arp, echo, ethernet, SYN, tcp, udp } from "../frames.mjs";
import { HOLDS } from "./holds.mjs";
import { onFetch } from "./setup.mjs";

const ROUTER = "192.168.86.1";

/** Frames of all kinds, cut short at every length that a header can end at, and with fields that lie. */
function* garbage(guest) {
  const whole = [
    arp({ source: guest.mac, senderIp: guest.ip, targetIp: ROUTER }),
    echo(guest.packet(ROUTER)),
    udp({ ...guest.packet(ROUTER), sourcePort: 1, destinationPort: 53, payload: new Uint8Array(12) }),
    udp({ ...guest.packet("255.255.255.255"), sourcePort: 68, destinationPort: 67, payload: new Uint8Array(300) }),
    udp({ ...guest.packet(ROUTER), sourcePort: 1, destinationPort: 123, payload: new Uint8Array(48) }),
    tcp({ ...guest.packet(ROUTER), sourcePort: 1, destinationPort: 80, seq: 1, flags: SYN, mss: 1460 }),
  ];
  for (const frame of whole) for (let length = 0; length < frame.length; length += 1) yield frame.slice(0, length);
  for (const frame of whole) {
    for (let at = 12; at < Math.min(frame.length, 80); at += 1) {
      const changed = frame.slice();
      changed[at] ^= 0xff;
      yield changed;
    }
  }
  for (const payload of [new Uint8Array(), Uint8Array.of(0, 0, 1, 0, 255, 255, 255, 255, 255, 255, 255, 255)]) {
    for (const port of [8, 53, 67, 123]) yield udp({ ...guest.packet(ROUTER), sourcePort: 1, destinationPort: port, payload });
  }
  yield ethernet({ source: guest.mac, destination: guest.router, type: 0x86dd, payload: new Uint8Array(3) });
}

export default [
  {
    point: 1,
    name: "runt, short and lying frames never throw into the card, and the network lives on",
    own: /Offset is outside the bounds|RangeError|Invalid/,
    run: onFetch(async ({ guest }) => {
      for (const frame of garbage(guest)) guest.send(frame);
      await guest.arp(ROUTER);
      await guest.ping(ROUTER);
    }),
  },
  {
    point: 8,
    name: "an answer of DNS comes from the server that was asked",
    own: /never came|8\.8\.8\.8/,
    run: onFetch(async ({ guest }) => {
      assert.equal((await guest.dns("example.test", { server: "8.8.8.8" })).from, "8.8.8.8");
    }),
  },
  {
    point: 8,
    name: "with static DNS a name has an address, and no IPv6 one",
    own: HOLDS,
    run: onFetch(async ({ guest }) => {
      const a = await guest.dns("example.test");
      assert.deepEqual([a.code, a.answers, [...a.message.slice(-4)]], [0, 1, [192, 168, 87, 1]]);
      const aaaa = await guest.dns("example.test", { type: 28 });
      assert.deepEqual([aaaa.code, aaaa.answers], [0, 0]);
    }),
  },
  {
    point: 8,
    name: "a DoH server that cannot be reached is SERVFAIL",
    own: /fetch failed|never came/,
    async run(make) {
      // Nothing listens on port 1.
      const subject = await make({ relay_url: "fetch", dns_method: "doh", doh_server: "127.0.0.1:1" });
      assert.equal((await subject.guest().dns("example.test")).code, 2);
    },
  },
  {
    point: 9,
    name: "an offer has its lease time, the MTU and 300 bytes",
    own: /lease time|300/,
    run: onFetch(async ({ guest }) => {
      const offer = await guest.dhcp(1);
      assert.equal(offer.type, 2);
      assert.equal(offer.address, "192.168.86.100");
      assert.ok(offer.options.has(51), "the offer has no lease time");
      assert.deepEqual([...(offer.options.get(26) ?? [])], [9000 >> 8, 9000 & 0xff]);
      assert.ok(offer.length >= 300, `the offer has ${offer.length} bytes, fewer than 300`);
    }, { settings: { mtu: 9000 } }),
  },
  {
    point: 9,
    name: "an acknowledgment has T1 and T2",
    own: /T1/,
    run: onFetch(async ({ guest }) => {
      await guest.dhcp(1);
      const ack = await guest.dhcp(3, { options: [[50, 192, 168, 86, 100], [54, 192, 168, 86, 1]] });
      assert.equal(ack.type, 5);
      assert.ok(ack.options.has(58) && ack.options.has(59), "the acknowledgment has no T1 or T2");
    }),
  },
  {
    point: 9,
    name: "an address that is not to be had is NAKed",
    own: /Expected values to be strictly equal/,
    run: onFetch(async ({ guest }) => {
      assert.equal((await guest.dhcp(3, { options: [[50, 10, 1, 2, 3]] })).type, 6);
    }),
  },
  {
    point: 9,
    name: "INFORM is answered without an address",
    own: /Expected values to be strictly equal/,
    run: onFetch(async ({ guest }) => {
      const ack = await guest.dhcp(8, { ciaddr: guest.ip, from: guest.ip });
      assert.equal(ack.type, 5);
      assert.equal(ack.address, "0.0.0.0");
    }),
  },
  {
    point: 9,
    name: "RELEASE and DECLINE are not answered",
    own: /answered/,
    run: onFetch(async ({ guest }) => {
      for (const type of [7, 4]) {
        guest.dhcp(type, { options: [[54, 192, 168, 86, 1]], xid: 0x7777 }).catch(() => {});
        await guest.ping(ROUTER);
      }
      assert.equal(guest.frames.filter(({ udp }) => udp?.destinationPort === 68).length, 0, "a release was answered");
    }),
  },
  {
    point: 9,
    name: "the broadcast flag is honoured",
    own: /Expected values to be strictly (deep-)?equal/,
    run: onFetch(async ({ guest }) => {
      const offer = await guest.dhcp(1, { flags: 0x8000 });
      assert.deepEqual([offer.to, offer.destination], ["255.255.255.255", "ff:ff:ff:ff:ff:ff"]);
    }),
  },
  {
    point: 10,
    name: "the gateway does not claim the guest's own address, whatever its last byte",
    own: /claimed/,
    run: onFetch(async ({ guest }) => {
      await guest.dhcp(1);
      await guest.dhcp(3, { options: [[50, 192, 168, 86, 15], [54, 192, 168, 86, 1]] });
      // As a guest probes the address that it was leased (RFC 5227).
      guest.arp(guest.ip, { senderIp: "0.0.0.0" }).catch(() => {});
      await guest.ping(ROUTER);
      assert.ok(!guest.frames.some(({ arp }) => arp?.operation === 2 && arp.senderIp === guest.ip), "the guest's address is claimed");
    }, { settings: { vm_ip: "192.168.86.15" }, guest: { ip: "192.168.86.15" } }),
  },
  {
    point: 11,
    name: "the echo of UDP is binary-safe",
    own: /Expected values to be (strictly|loosely) deep-equal/,
    run: onFetch(async ({ guest }) => {
      const { udp } = await guest.udp(ROUTER, 8, Uint8Array.of(0xff, 0xfe, 0, 0x80));
      assert.deepEqual([...udp.payload], [0xff, 0xfe, 0, 0x80]);
    }),
  },
  {
    point: 11,
    name: "a datagram that nobody takes is refused by ICMP",
    own: /never came/,
    run: onFetch(async ({ guest }) => {
      const datagram = udp({ ...guest.packet(ROUTER), sourcePort: 5000, destinationPort: 9, payload: Uint8Array.of(1) });
      const { icmp } = await guest.ask(datagram, ({ icmp }) => icmp?.type === 3, "an ICMP unreachable");
      assert.ok([3, 13].includes(icmp.code), `code ${icmp.code}`);
    }),
  },
  {
    point: 19,
    name: "a guest with an address and a MAC of its own is reached",
    own: /never came/,
    async run(make) {
      const subject = await make({ relay_url: "fetch" });
      // As after a restore: the card says one MAC, the guest's frames another, and nothing was leased.
      subject.guest({ mac: "02:00:00:00:00:99", ip: "192.168.86.99" });
      const guest = subject.guest({ mac: "02:00:00:00:00:42", ip: "192.168.86.142", announce: false });
      await guest.arp(ROUTER);
      await guest.ping(ROUTER);
      subject.network.connect(7777);
      await guest.until(() => guest.frames.find(({ tcp, destination }) => tcp?.flags === SYN && destination === guest.mac), "a SYN to where the guest is");
    },
  },
  {
    point: 19,
    name: "a network id other than 0 reaches the card",
    own: /never came/,
    run: onFetch(async ({ guest }) => {
      await guest.ping(ROUTER);
    }, { settings: { id: 3 } }),
  },
];
