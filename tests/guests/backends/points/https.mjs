// Point 17 of the checklist: HTTPS of the `fetch` backend, with an authority of the page's whose certificate guests download.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import WebSocket, { WebSocketServer } from "ws";
import { secured } from "../secure.mjs";

const WEB = "192.168.87.1";
const get = (path, host, ...fields) => [`GET ${path} HTTP/1.1`, `Host: ${host}`, ...fields, "", ""].join("\r\n");

/** A guest on the `fetch` backend with TLS, and what the page was asked to fetch. */
async function joined(make, options = {}) {
  const subject = await make({ relay_url: "fetch" }, { tls: true, ...options });
  const asked = [];
  subject.network.fetch = async (url, { method } = {}) => {
    asked.push(`${method} ${url}`);
    return new Response(`answer to ${url}`);
  };
  const guest = subject.guest();
  return { guest, asked, connect: () => guest.connect(WEB, 443) };
}

/** The certificate, as a guest gets it. */
async function downloaded(guest, path = "/ca.pem") {
  const connection = await guest.connect(WEB, 80);
  connection.write(get(path, "mitm.it", "Connection: close"));
  await connection.untilFinished();
  const at = connection.text().indexOf("\r\n\r\n") + 4;
  return { head: connection.text().slice(0, at), body: Buffer.from(connection.bytes().subarray(at)) };
}

export default [
  ...["TLSv1.2", "TLSv1.3"].map((version) => ({
    point: 17,
    name: `${version} with a certificate that the guest trusts once it has downloaded the authority's`,
    own: /is refused/,
    async run(make) {
      const { guest, asked, connect } = await joined(make);
      const connection = await connect();
      const { body: ca } = await downloaded(guest);
      const guestEnd = await secured(connection, { servername: "web.test", ca, minVersion: version, maxVersion: version });
      assert.equal(guestEnd.socket.authorized, true);
      assert.equal(guestEnd.socket.getProtocol(), version);
      assert.equal(guestEnd.socket.alpnProtocol, "http/1.1");
      guestEnd.socket.write(get("/one?two", "web.test") + get("/three", "web.test:443"));
      await guestEnd.untilText(/answer to https:\/\/web\.test\/one\?two[^]*answer to https:\/\/web\.test\/three/);
      assert.deepEqual(asked, ["GET https://web.test/one?two", "GET https://web.test/three"]);
      guestEnd.socket.end();
      await connection.untilFinished();
    },
  })),
  {
    point: 17,
    name: "the certificate is there as PEM and as DER, with instructions",
    own: /did not match/,
    async run(make) {
      const { guest } = await joined(make);
      const pem = await downloaded(guest);
      assert.match(pem.body.toString("latin1"), /^-----BEGIN CERTIFICATE-----\n[^]+-----END CERTIFICATE-----\n$/);
      const der = await downloaded(guest, "/ca.crt");
      assert.match(der.head, /content-type: application\/x-x509-ca-cert/i);
      const base64 = pem.body.toString("latin1").replace(/-----.*-----|\n/g, "");
      assert.equal(der.body.toString("base64"), base64);
      assert.match((await downloaded(guest, "/")).body.toString(), /update-ca-certificates/);
    },
  },
  {
    point: 17,
    name: "a guest that does not trust it is told of nothing else",
    own: /is refused/,
    async run(make) {
      const { asked, connect } = await joined(make);
      await assert.rejects(secured(await connect(), { servername: "web.test" }), /self-signed certificate|unable to (get|verify)/);
      assert.deepEqual(asked, []);
    },
  },
  {
    point: 17,
    name: "what is not TLS at port 443 is answered with an alert and an end",
    own: /is refused/,
    async run(make) {
      const { connect } = await joined(make);
      const connection = await connect();
      connection.write(get("/", "web.test"));
      await connection.untilFinished();
      assert.equal(connection.bytes()[0], 21);
    },
  },
  {
    point: 17,
    name: "HTTPS through the page as a proxy, by CONNECT",
    own: /disconnected/,
    async run(make) {
      const { guest, asked } = await joined(make);
      const connection = await guest.connect(WEB, 80);
      connection.write("CONNECT web.test:8443 HTTP/1.1\r\nHost: web.test:8443\r\n\r\n");
      await connection.untilText(/^HTTP\/1\.1 \d+ [^]*\r\n\r\n/);
      assert.match(connection.text(), /^HTTP\/1\.1 200 /);
      const { body: ca } = await downloaded(guest);
      const guestEnd = await secured(connection, { servername: "web.test", ca, from: connection.length });
      guestEnd.socket.write(get("/", "web.test:8443"));
      await guestEnd.untilText(/answer to https:\/\/web\.test:8443\//);
      assert.deepEqual(asked, ["GET https://web.test:8443/"]);
      guestEnd.socket.destroy();
    },
  },
  {
    point: 17,
    name: "a WebSocket by TLS is the page's",
    own: /is refused/,
    async run(make) {
      const server = createServer();
      const sockets = new WebSocketServer({ server });
      sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(`echo ${data}`)));
      await once(server.listen(0, "127.0.0.1"), "listening");
      const opened = [];
      // The page's, which finds the server of any name here.
      class PageSocket extends WebSocket {
        constructor(url, protocols) {
          opened.push(url);
          super(`ws://127.0.0.1:${server.address().port}/`, protocols);
        }
      }
      try {
        const { guest, connect } = await joined(make, { WebSocket: PageSocket });
        const { body: ca } = await downloaded(guest);
        const transport = await secured(await connect(), { servername: "web.test", ca, ALPNProtocols: ["http/1.1"] });
        transport.socket.removeAllListeners("data");
        const socket = new WebSocket("ws://web.test/chat", { createConnection: () => transport.socket });
        await once(socket, "open");
        socket.send("hello");
        const [data] = await once(socket, "message");
        assert.equal(`${data}`, "echo hello");
        assert.deepEqual(opened, ["wss://web.test/chat"]);
        socket.terminate();
      } finally {
        for (const client of sockets.clients) client.terminate();
        server.close();
      }
    },
  },
];
