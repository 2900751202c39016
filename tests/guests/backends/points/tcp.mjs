// Points 2 to 7 and 15 of the checklist: what TCP owes a guest.
import assert from "node:assert/strict";
import { ACK, SYN } from "../frames.mjs";
import { eventually } from "../limit.mjs";
import { HOLDS } from "./holds.mjs";
import { onFetch } from "./setup.mjs";

const PORT = 4000;
const KIB = 1024;
const noise = (length) => Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) & 0xff);

/** A point about a connection of a guest to the page, which takes it as v86's users do; `connection` is the guest's end's options. */
const withPage = (body, connection) => onFetch(async (subject) => {
  const page = { received: [], text: () => page.received.join("") };
  subject.network.on_tcp_connection = (connection) => {
    if (connection.sport !== PORT) return;
    page.connection = connection;
    connection.on("data", (data) => page.received.push(new TextDecoder().decode(data)));
    connection.accept();
  };
  // v86 calls the hook of its prototype; the event of its bus is what it documents.
  subject.emulator.add_listener("tcp-connection", (connection) => page.connection === undefined && subject.network.on_tcp_connection(connection));
  await body({ page, guest: subject.guest, stream: await subject.guest.connect("192.168.86.1", PORT, connection) });
});

/** A guest that downloads `body` by HTTP from the page's own `fetch`. */
async function downloading(make, body, { settings, connection, fetched } = {}) {
  const subject = await make({ relay_url: "fetch", ...settings });
  subject.network.fetch = fetched ?? (async () => new Response(body));
  const guest = subject.guest();
  const stream = await guest.connect("192.168.87.1", 80, connection);
  return { subject, guest, stream, ask: () => stream.write("GET /body HTTP/1.0\r\nHost: body.test\r\n\r\n") };
}

const bodyOf = (stream) => {
  const all = stream.bytes();
  const head = Buffer.from(all).indexOf("\r\n\r\n");
  return head < 0 ? new Uint8Array() : all.subarray(head + 4);
};

async function downloaded(stream, body) {
  await stream.untilFinished();
  assert.deepEqual(Buffer.compare(bodyOf(stream), body), 0, `${bodyOf(stream).length} of ${body.length} bytes came`);
}

export default [
  {
    point: 2,
    name: "a segment that the guest's card dropped is sent again",
    own: /never came: the end of the connection/,
    async run(make) {
      const body = noise(100 * KIB);
      const { stream, ask } = await downloading(make, body);
      let count = 0;
      stream.takes = ({ payload }) => payload.length < 100 || (count += 1) !== 5;
      ask();
      await downloaded(stream, body);
    },
  },
  {
    point: 2,
    name: "a window that closed is probed, and opens again",
    own: /never came|beyond/,
    async run(make) {
      const body = noise(100 * KIB);
      const { stream, ask } = await downloading(make, body, { connection: { window: 4 * KIB } });
      let full = false;
      // A guest whose buffer is full takes nothing, and the update that says otherwise is lost.
      stream.takes = ({ payload }) => {
        if (stream.length + payload.length > 4 * KIB && !full) {
          full = true;
          stream.window = 0;
          stream.acknowledge();
          return false;
        }
        if (full) stream.window = 60_000;
        return true;
      };
      ask();
      await downloaded(stream, body);
    },
  },
  {
    point: 3,
    name: "data in the segment of a FIN is delivered",
    own: /never came/,
    run: withPage(async ({ page, stream }) => {
      stream.write("the first and the last", { fin: true });
      await eventually(() => page.text() === "the first and the last", "the data of the FIN");
    }),
  },
  {
    point: 4,
    name: "the guest's sequence numbers wrap at 32 bits",
    own: /never came/,
    run: withPage(async ({ page, stream }) => {
      for (const part of ["a", "b", "c"]) stream.write(part.repeat(200));
      await eventually(() => page.text().length === 600, "what was sent across the wrap");
      assert.equal(page.text(), ["a", "b", "c"].map((part) => part.repeat(200)).join(""));
    }, { seq: 0xffff_ff00 }),
  },
  {
    point: 5,
    name: "an old acknowledgment is ignored",
    own: /reset/,
    run: withPage(async ({ page, stream }) => {
      const old = stream.next;
      page.connection.write(new TextEncoder().encode("forward"));
      await stream.untilText(/forward/);
      const now = stream.next;
      stream.next = old;
      stream.acknowledge();
      stream.next = now;
      stream.write("still here");
      await eventually(() => stream.reset || page.text() === "still here", "what came after an old acknowledgment");
      assert.ok(!stream.reset, "an old acknowledgment reset the connection");
    }),
  },
  {
    point: 6,
    name: "segments out of order are put in order",
    own: /never came/,
    run: withPage(async ({ page, stream }) => {
      const { seq } = stream;
      stream.write("second", { seq: seq + 6, advance: false });
      stream.write("third!", { seq: seq + 12, advance: false });
      stream.write("first ", { seq, advance: false });
      stream.seq = seq + 18;
      await eventually(() => page.text() === "first secondthird!", "what came out of order");
    }),
  },
  {
    point: 7,
    name: "the guest's window is kept to",
    own: /beyond/,
    async run(make) {
      const body = noise(20 * KIB);
      const { stream, ask } = await downloading(make, body, { connection: { window: 500 } });
      let most = 0;
      stream.takes = ({ seq, payload }) => {
        most = Math.max(most, ((seq - stream.next) >>> 0) + payload.length);
        return true;
      };
      ask();
      await downloaded(stream, body);
      assert.ok(most <= 500, `${most} bytes were under way, beyond a window of 500`);
    },
  },
  {
    point: 7,
    name: "the guest's MSS is kept to",
    own: /larger/,
    async run(make) {
      const body = noise(20 * KIB);
      const { stream, ask } = await downloading(make, body, { connection: { mss: 536 } });
      ask();
      await downloaded(stream, body);
      const largest = Math.max(...stream.segments.map(({ payload }) => payload.length));
      assert.ok(largest <= 536, `a segment of ${largest} bytes is larger than 536`);
    },
  },
  {
    point: 7,
    name: "more than one segment is under way",
    own: /never came/,
    async run(make) {
      const { stream, ask } = await downloading(make, noise(100 * KIB));
      stream.acknowledges = false;
      ask();
      stream.acknowledge();
      await stream.until(() => stream.segments.filter(({ payload }) => payload.length > 0).length >= 4, "a fourth segment without an acknowledgment");
    },
  },
  {
    point: 7,
    name: "at most eight full frames at a time for an ne2k",
    own: HOLDS,
    async run(make) {
      const body = noise(400 * KIB);
      const { stream, ask } = await downloading(make, body, { settings: { type: "ne2k" } });
      let burst = 0;
      let most = 0;
      // A card's ring of eight is emptied by the guest, once it runs again.
      stream.takes = ({ payload }) => {
        if (payload.length > 0) most = Math.max(most, (burst += 1));
        if (burst === 1) queueMicrotask(() => ((burst = 0), stream.acknowledge()));
        return true;
      };
      stream.acknowledges = false;
      ask();
      await downloaded(stream, body);
      assert.ok(most <= 8, `${most} frames came at a time`);
    },
  },
  {
    point: 7,
    name: "the window and its scale are our own",
    own: /guest's own/,
    run: withPage(async ({ stream, guest }) => {
      assert.notEqual(stream.peer.window, 1234, "the window is the guest's own");
      assert.ok(stream.peer.scale !== undefined, "the window has no scale");
      assert.equal(stream.peer.flags, SYN | ACK);
    }, { window: 1234, scale: 7 }),
  },
  {
    point: 15,
    name: "a guest that stopped holds back the page's fetch",
    own: /were read/,
    async run(make) {
      let read = 0;
      const chunk = noise(64 * KIB);
      const pull = (controller) => {
        if (read >= 256 * chunk.length) return controller.close();
        read += chunk.length;
        controller.enqueue(chunk);
      };
      const fetched = async () => new Response(new ReadableStream({ pull }, { highWaterMark: 0 }));
      const { stream, guest, ask } = await downloading(make, undefined, { fetched });
      ask();
      await stream.until(() => stream.length > 0, "the answer");
      stream.acknowledges = false;
      stream.takes = () => false;
      // Far more turns than a reader without backpressure takes for all of it.
      for (let turn = 0; turn < 2000; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      await guest.ping();
      assert.ok(read <= 8 << 20, `${read} bytes were read for a guest that takes none`);
    },
  },
];
