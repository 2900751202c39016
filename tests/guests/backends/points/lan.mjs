// Points 18 to 21 of the checklist, and what the uplinks owe: reaching the guest, and frames between guests.
import assert from "node:assert/strict";
import { once } from "node:events";
import { WebSocketServer } from "ws";
import { BROADCAST, ethernet, SYN } from "../frames.mjs";
import { eventually, LIMIT_MS, within } from "../limit.mjs";
import { HOLDS } from "./holds.mjs";
import { onFetch } from "./setup.mjs";

const ETHERTYPE = 0x88b5;
const NIC_MEMORY = 32 * 1024;

/** A relay of raw frames: what came, and the sockets. */
async function rawRelay() {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const frames = [];
  let connections = 0;
  server.on("connection", (socket) => {
    connections += 1;
    socket.on("message", (data) => frames.push(new Uint8Array(data)));
  });
  const stop = async () => {
    for (const client of server.clients) client.terminate();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `ws://127.0.0.1:${server.address().port}/`, frames, connections: () => connections, stop };
}

const mine = ({ type }) => type === ETHERTYPE;
const said = ({ frame }) => new TextDecoder().decode(frame.subarray(14)).replaceAll("\0", "");
const hello = (source, destination, text) => ethernet({ source, destination, type: ETHERTYPE, payload: new TextEncoder().encode(text.padEnd(46, "\0")) });

/** A network of its own for each point: its number is the channel's. */
let networks = 6;

/** Guests on one LAN of `inbrowser`, each on an emulator of its own. */
async function neighbours(make, count, { id = (networks += 1), ...settings } = {}) {
  const guests = [];
  for (let index = 0; index < count; index += 1) {
    const subject = await make({ relay_url: "inbrowser", id, ...settings });
    // v86's own listens to the card of its network's number.
    const nic = subject.network.bus_send_msgid ? id : 0;
    guests.push(subject.guest({ mac: `02:00:00:00:00:${10 + index}`, ip: `10.0.0.${1 + index}`, nic, announce: false }));
  }
  return guests;
}

export default [
  {
    point: 18,
    name: "a probe of a guest that is silent ends",
    own: /never came/,
    run: onFetch(async ({ guest, network }) => {
      await guest.ping();
      assert.equal(await within(network.tcp_probe(7000), "the end of a probe", 3 * LIMIT_MS), false);
    }),
  },
  {
    point: 18,
    name: "a probe tells an open port from a closed one",
    own: HOLDS,
    run: onFetch(async ({ guest, network }) => {
      await guest.ping();
      const open = network.tcp_probe(7001);
      await guest.accept(7001);
      assert.equal(await open, true);
      const closed = network.tcp_probe(7002);
      const syn = await guest.until(() => guest.frames.find(({ tcp }) => tcp?.destinationPort === 7002), "a SYN");
      const refusing = guest.dial(syn.ip.from, syn.tcp.sourcePort, { localPort: 7002, seq: 0, next: (syn.tcp.seq + 1) >>> 0 });
      refusing.abort();
      assert.equal(await closed, false);
    }),
  },
  {
    point: 18,
    name: "the page's SYN has an MSS, and is sent again when it was lost",
    own: /never came|no MSS/,
    run: onFetch(async ({ guest, network }) => {
      await guest.ping();
      network.connect(7003);
      const syns = () => guest.frames.filter(({ tcp }) => tcp?.destinationPort === 7003 && tcp.flags === SYN);
      await guest.until(() => syns().length > 0, "a SYN");
      assert.ok(syns()[0].tcp.mss, "the SYN has no MSS");
      await guest.until(() => syns().length > 1, "a second SYN");
    }),
  },
  {
    point: 18,
    name: "the page and a guest's server talk",
    own: HOLDS,
    run: onFetch(async ({ guest, network }) => {
      await guest.ping();
      const connection = network.connect(7004);
      let heard = "";
      let connected = false;
      connection.on("connect", () => (connected = true));
      connection.on("data", (data) => (heard += new TextDecoder().decode(data)));
      const stream = await guest.accept(7004);
      await eventually(() => stream.open && connected, "the connection");
      connection.write(new TextEncoder().encode("from the page"));
      await stream.untilText(/from the page/);
      stream.write("from the guest");
      await eventually(() => heard === "from the guest", "the guest's words");
    }),
  },
  {
    point: 19,
    name: "a frame for one guest goes to that guest alone",
    own: /overheard/,
    async run(make) {
      const [one, two, three] = await neighbours(make, 3);
      for (const guest of [one, two, three]) guest.send(hello(guest.mac, BROADCAST, `I am ${guest.mac}`));
      for (const guest of [one, two, three]) {
        await guest.until(() => guest.frames.filter(mine).length >= 2, "the others' greetings");
      }
      one.send(hello(one.mac, two.mac, "a secret"));
      one.send(hello(one.mac, BROADCAST, "goodbye"));
      for (const guest of [two, three]) await guest.until(() => guest.frames.some((frame) => mine(frame) && said(frame) === "goodbye"), "the last word");
      assert.ok(two.frames.some((frame) => mine(frame) && said(frame) === "a secret"), "it did not come");
      assert.ok(!three.frames.some((frame) => mine(frame) && said(frame) === "a secret"), "it was overheard by another guest");
    },
  },
  {
    point: 20,
    name: "a frame on the BroadcastChannel is no more than its bytes",
    own: /bytes were posted/,
    async run(make) {
      const id = (networks += 1);
      const channel = new BroadcastChannel(`v86-inbrowser-${id}`);
      try {
        const [guest] = await neighbours(make, 1, { id });
        const message = new Promise((resolve) => (channel.onmessage = resolve));
        const memory = new Uint8Array(NIC_MEMORY);
        const frame = hello(guest.mac, BROADCAST, "from the card's memory");
        memory.set(frame, 512);
        guest.send(memory.subarray(512, 512 + frame.length));
        // What the card sends next.
        memory.fill(0xee);
        const { data } = await message;
        assert.deepEqual([...data], [...frame]);
        assert.ok(data.buffer.byteLength <= frame.length, `${data.buffer.byteLength} bytes were posted for a frame of ${frame.length}`);
      } finally {
        channel.close();
      }
    },
  },
  {
    point: 20,
    name: "a frame that waits for its WebSocket is a copy",
    own: /strictly deep-equal/,
    async run(make) {
      const relay = await rawRelay();
      try {
        const subject = await make({ relay_url: relay.url });
        const guest = subject.guest({ announce: false });
        const memory = new Uint8Array(NIC_MEMORY);
        const frame = hello(guest.mac, BROADCAST, "from the card's memory");
        memory.set(frame, 512);
        guest.send(memory.subarray(512, 512 + frame.length));
        memory.fill(0xee);
        await eventually(() => relay.frames.length > 0, "the frame");
        assert.deepEqual([...relay.frames[0]], [...frame]);
      } finally {
        await relay.stop();
      }
    },
  },
  {
    point: 20,
    name: "the WebSocket of wsproxy is opened before the guest speaks",
    own: /never came/,
    async run(make) {
      const relay = await rawRelay();
      try {
        await make({ relay_url: relay.url });
        await eventually(() => relay.connections() > 0, "a connection");
      } finally {
        await relay.stop();
      }
    },
  },
  {
    point: 21,
    name: "multicast reaches an ne2k by the address that it takes",
    own: /strictly equal/,
    async run(make) {
      const [one, two] = await neighbours(make, 2, { type: "ne2k" });
      two.send(hello(two.mac, BROADCAST, "here"));
      await one.until(() => one.frames.some(mine), "the greeting");
      one.send(hello(one.mac, "01:00:5e:00:00:fb", "to a group"));
      const frame = await two.until(() => two.frames.find((frame) => mine(frame) && said(frame) === "to a group"), "the group's frame");
      assert.equal(frame.destination, two.mac);
    },
  },
];
