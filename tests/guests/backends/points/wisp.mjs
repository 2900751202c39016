// Points 12 to 14 of the checklist, against a Wisp server whose every packet is the test's.
import assert from "node:assert/strict";
import { once } from "node:events";
import { udp } from "../frames.mjs";
import { eventually } from "../limit.mjs";
import { CLOSE, CONNECT, DATA, startWispScript } from "../wisp-script.mjs";

const OUTSIDE = "198.51.100.7";

/** A guest whose network is `server`. */
async function behind(make, server) {
  const subject = await make({ relay_url: server.url }, { early: true });
  const session = await server.session();
  // It has the greeting.
  await settled(session);
  return { subject, session, guest: subject.guest() };
}

/** Runs `body` with a server, and stops that. */
const withServer = (options, body) => async (make) => {
  const server = await startWispScript(options);
  try {
    await body({ server, ...(await behind(make, server)) });
  } finally {
    await server.stop();
  }
};

/** Everything that the client sent before is here. */
async function settled(session) {
  const pong = once(session.socket, "pong");
  session.socket.ping();
  await pong;
}

const dialled = (server, port) => server.packet(({ type, port: to }) => type === CONNECT && to === port, `CONNECT to port ${port}`);
const said = (server, text) => server.packet((packet) => packet.type === DATA && packet.text === text, `DATA ${text}`);

async function opened(guest, server, port) {
  const stream = guest.dial(OUTSIDE, port);
  stream.sendSyn();
  const { stream: id } = await dialled(server, port);
  await guest.until(() => stream.open, "the answer to a SYN");
  return { stream, id };
}

export default [
  {
    point: 12,
    name: "a refused connection is reset, with Wisp 1",
    own: /closed cleanly/,
    run: withServer({}, async ({ server, session, guest }) => {
      const stream = guest.dial(OUTSIDE, 81);
      stream.sendSyn();
      session.closeStream((await dialled(server, 81)).stream, 0x44);
      await guest.until(() => stream.reset || stream.finished, "the refusal");
      assert.ok(stream.reset, "a refused connection was closed cleanly");
    }),
  },
  {
    point: 12,
    name: "a guest's connect waits for the outcome, where the server tells it",
    own: /opened/,
    run: withServer({ confirms: true }, async ({ server, session, guest }) => {
      const stream = guest.dial(OUTSIDE, 82);
      stream.sendSyn();
      const { stream: id } = await dialled(server, 82);
      await guest.ping();
      assert.ok(!stream.open, "it was opened before the server said so");
      session.closeStream(id, 0x44);
      await guest.until(() => stream.reset, "the refusal");
      const second = guest.dial(OUTSIDE, 83);
      second.sendSyn();
      session.credit((await dialled(server, 83)).stream, 64);
      await guest.until(() => second.open, "the answer to a SYN");
    }),
  },
  {
    point: 13,
    name: "an answer comes after the guest has closed its half",
    own: /closed before/,
    run: withServer({}, async ({ server, session, guest }) => {
      const { stream, id } = await opened(guest, server, 84);
      stream.write("question");
      stream.end();
      await said(server, "question");
      await guest.ping();
      await settled(session);
      assert.ok(!server.packets.some(({ type, stream: which }) => type === CLOSE && which === id), "the stream was closed before the answer");
      session.data(id, "answer");
      session.closeStream(id, 0x02);
      await stream.untilText(/answer/);
      await stream.untilFinished();
    }),
  },
  {
    point: 14,
    name: "connections begun before the first credit are not lost",
    own: /never came/,
    run: withServer({ credit: null }, async ({ server, session, guest }) => {
      const stream = guest.dial(OUTSIDE, 85);
      stream.sendSyn();
      await settled(session);
      session.credit(0, 128);
      await dialled(server, 85);
      await guest.until(() => stream.open, "the answer to a SYN");
      stream.write("early");
      await said(server, "early");
    }),
  },
  {
    point: 14,
    name: "each stream has its own credit",
    own: /without credit/,
    run: withServer({ credit: 1 }, async ({ server, session, guest }) => {
      const one = await opened(guest, server, 86);
      const two = await opened(guest, server, 87);
      for (const [{ stream }, name] of [[one, "one"], [two, "two"]]) {
        stream.write(`${name}: first`);
        await said(server, `${name}: first`);
        stream.write(`${name}: second`);
      }
      session.credit(one.id, 10);
      await said(server, "one: second");
      await settled(session);
      assert.ok(!server.packets.some(({ text }) => text === "two: second"), "the other stream's data came without credit");
      session.credit(two.id, 10);
      await said(server, "two: second");
    }),
  },
  {
    point: 14,
    name: "late packets of streams that are no more are ignored",
    own: /stream not registered|Cannot read properties/,
    run: withServer({}, async ({ server, session, guest }) => {
      const { stream, id } = await opened(guest, server, 88);
      session.data(999, "late");
      session.credit(999, 5);
      session.closeStream(999, 0x02);
      session.data(id, "in time");
      await stream.untilText(/in time/);
    }),
  },
  {
    point: 14,
    name: "a lost WebSocket resets the guest's connections",
    own: /never came/,
    run: withServer({}, async ({ server, session, guest }) => {
      const { stream } = await opened(guest, server, 89);
      session.socket.terminate();
      await guest.until(() => stream.reset, "a reset");
    }),
  },
  {
    point: 14,
    name: "a lost WebSocket is opened again, without a wait of ten seconds",
    own: /never came/,
    run: withServer({}, async ({ server, session, guest }) => {
      session.socket.terminate();
      await server.session(1);
      await opened(guest, server, 90);
    }),
  },
  {
    point: 14,
    name: "a connection begun while the WebSocket is down never throws into the card",
    own: /never came|CONNECTING|WebSocket is not open/,
    run: withServer({}, async ({ server, session, guest }) => {
      const closed = once(session.socket, "close");
      session.socket.terminate();
      await closed;
      const stream = guest.dial(OUTSIDE, 91);
      stream.sendSyn();
      await guest.ping();
      // Not only at each frame: the CONNECT may come after the last one.
      await eventually(() => stream.reset || server.packets.some(({ port }) => port === 91), "an end of the connection, or its CONNECT");
    }),
  },
  {
    point: 14,
    name: "UDP goes through the server, a datagram a packet",
    own: /never came/,
    run: withServer({}, async ({ server, session, guest }) => {
      const datagram = udp({ ...guest.packet(OUTSIDE), sourcePort: 5353, destinationPort: 92, payload: new TextEncoder().encode("datagram") });
      guest.send(datagram);
      const { stream, kind } = await dialled(server, 92);
      assert.equal(kind, 2);
      await said(server, "datagram");
      const answer = guest.next(({ udp }) => udp?.destinationPort === 5353, "the answer");
      session.data(stream, "answered");
      const { ip, udp: back } = await answer;
      assert.deepEqual([ip.from, new TextDecoder().decode(back.payload)], [OUTSIDE, "answered"]);
    }),
  },
];
