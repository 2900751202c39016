// Point 16 of the checklist: HTTP of the `fetch` backend. The page's `fetch` is replaced, so that what is asked and answered is the test's.
import assert from "node:assert/strict";
import { eventually } from "../limit.mjs";
import { HOLDS } from "./holds.mjs";

const CRLF = "\r\n";
const message = (...lines) => lines.join(CRLF);

/** A guest's connection to port 80, and what the page was asked to fetch. */
async function connected(make, answer, { to = "192.168.87.1", settings } = {}) {
  const subject = await make({ relay_url: "fetch", ...settings });
  const asked = [];
  subject.network.fetch = async (url, options = {}) => {
    const request = { url: `${url}`, method: options.method, headers: new Headers(options.headers), signal: options.signal };
    asked.push(request);
    if (options.body) request.body = await new Response(options.body).text();
    return answer(request);
  };
  const guest = subject.guest();
  const stream = await guest.connect(to, 80);
  return { guest, stream, asked };
}

const echoed = ({ method, url, body = "" }) => new Response(`${method} ${new URL(url).pathname} <${body}>`);
const get = (path, ...headers) => message(`GET ${path} HTTP/1.1`, "Host: web.test", ...headers, "", "");

export default [
  {
    point: 16,
    name: "a connection is kept for a second request",
    own: /to be closed/,
    async run(make) {
      const { stream } = await connected(make, echoed);
      stream.write(get("/one"));
      await stream.untilText(/GET \/one <>/);
      assert.ok(!/connection: close/i.test(stream.text()), "the connection is to be closed");
      stream.write(get("/two"));
      await stream.untilText(/GET \/one <>[^]*GET \/two <>/);
    },
  },
  {
    point: 16,
    name: "pipelined requests are answered in order",
    own: /never came/,
    async run(make) {
      const { stream } = await connected(make, echoed);
      stream.write(get("/one") + get("/two") + get("/three"));
      await stream.untilText(/GET \/one <>[^]*GET \/two <>[^]*GET \/three <>/);
    },
  },
  {
    point: 16,
    name: "a chunked request has its body",
    own: /did not match|never came/,
    async run(make) {
      const { stream, asked } = await connected(make, echoed);
      stream.write(message("POST /chunks HTTP/1.1", "Host: web.test", "Transfer-Encoding: chunked", "", "5", "hello", "6", " world", "0", "", ""));
      await stream.untilText(/HTTP\/1\.1 \d+/);
      await stream.untilText(/POST \/chunks <hello world>/);
      assert.equal(asked[0].body, "hello world");
    },
  },
  ...["PATCH", "DELETE"].map((method) => ({
    point: 16,
    name: `the body of ${method} is sent`,
    own: /never came/,
    async run(make) {
      const { stream } = await connected(make, echoed);
      stream.write(message(`${method} /thing HTTP/1.1`, "Host: web.test", "Content-Length: 4", "", "body"));
      await stream.untilText(new RegExp(`${method} /thing <body>`));
    },
  })),
  {
    point: 16,
    name: "a POST over many segments is sent",
    own: HOLDS,
    async run(make) {
      const { stream } = await connected(make, ({ body }) => new Response(`got ${body.length}`));
      stream.write(message("POST /long HTTP/1.1", "Host: web.test", "Content-Length: 5000", "", ""));
      for (let part = 0; part < 5; part += 1) stream.write("x".repeat(1000));
      await stream.untilText(/got 5000/);
    },
  },
  {
    point: 16,
    name: "Expect: 100-continue is answered before the body",
    own: /never came/,
    async run(make) {
      const { stream } = await connected(make, echoed);
      stream.write(message("POST /expected HTTP/1.1", "Host: web.test", "Expect: 100-continue", "Content-Length: 4", "", ""));
      await stream.untilText(/^HTTP\/1\.1 100 /);
      stream.write("body");
      await stream.untilText(/POST \/expected <body>/);
    },
  },
  {
    point: 16,
    name: "HEAD has the content length, and no body",
    own: /never came/,
    async run(make) {
      const { stream } = await connected(make, () => new Response(null, { headers: { "content-length": "1234" } }));
      stream.write(message("HEAD /file HTTP/1.1", "Host: web.test", "", ""));
      await stream.untilText(/content-length: 1234\r\n(?:[^]*\r\n)?\r\n$/i);
    },
  },
  {
    point: 16,
    name: "a download has its content length",
    own: /content length/,
    async run(make) {
      const { stream } = await connected(make, () => new Response("0123456789", { headers: { "content-length": "10" } }));
      stream.write(get("/file", "Connection: close"));
      await stream.untilText(/0123456789/);
      assert.match(stream.text(), /content-length: 10\r\n/i, "the answer has no content length");
    },
  },
  {
    point: 16,
    name: "a request without Host goes to the address that was dialled",
    own: /http:\/\/host\//,
    async run(make) {
      const { stream, asked } = await connected(make, echoed, { to: "192.0.2.7" });
      stream.write(message("GET /old HTTP/1.0", "", ""));
      await stream.untilText(/GET \/old <>/);
      assert.equal(asked[0].url, "http://192.0.2.7/old");
    },
  },
  {
    point: 16,
    name: "a body that breaks off closes the connection",
    own: /broke off|never came/,
    async run(make) {
      let turn = 0;
      const pull = (controller) => ((turn += 1) === 1 ? controller.enqueue(new TextEncoder().encode("part")) : controller.error(new Error("it broke off")));
      const { stream } = await connected(make, () => new Response(new ReadableStream({ pull }, { highWaterMark: 0 }), { headers: { "content-length": "100" } }));
      stream.write(get("/broken"));
      await stream.untilFinished();
    },
  },
  {
    point: 16,
    name: "a guest that goes away ends the page's fetch",
    own: /never came/,
    async run(make) {
      let ended = false;
      const body = new ReadableStream({
        pull: async (controller) => {
          await new Promise((resolve) => setImmediate(resolve));
          controller.enqueue(new TextEncoder().encode("more "));
        },
        cancel: () => void (ended = true),
      });
      const { stream, asked } = await connected(make, () => new Response(body));
      stream.write(get("/endless"));
      await stream.untilText(/more/);
      stream.acknowledges = false;
      stream.takes = () => false;
      stream.abort();
      await eventually(() => ended || asked[0].signal?.aborted, "the end of the fetch");
    },
  },
  {
    point: 16,
    name: "bytes beyond the content length do not hang the request",
    own: /never came/,
    async run(make) {
      const { stream } = await connected(make, echoed);
      stream.write(message("POST /more HTTP/1.1", "Host: web.test", "Content-Length: 3", "", "abcdef"));
      await stream.untilText(/POST \/more <abc>/);
    },
  },
  {
    point: 16,
    name: "malformed headers are answered with 400",
    own: HOLDS,
    async run(make) {
      for (const header of ["no colon", ": no name", "Bad@Name: 1"]) {
        const { stream } = await connected(make, echoed);
        stream.write(get("/", header));
        await stream.untilText(/^HTTP\/1\.1 400 Bad Request/);
      }
    },
  },
  {
    point: 16,
    name: "redirects are told, and PORT.external is this host",
    own: HOLDS,
    async run(make) {
      const { stream, asked } = await connected(make, echoed);
      stream.write(message("GET /local HTTP/1.1", "Host: 8080.external", "", ""));
      await stream.untilText(/x-was-fetch-redirected: false[^]*GET \/local/);
      assert.equal(asked[0].url, "http://localhost:8080/local");
    },
  },
  {
    point: 16,
    name: "a port of PORT.external that is none is 400",
    own: HOLDS,
    async run(make) {
      const { stream } = await connected(make, echoed);
      stream.write(message("GET / HTTP/1.1", "Host: 0.external", "", ""));
      await stream.untilText(/^HTTP\/1\.1 400 [^]*Unknown port for localhost/);
    },
  },
  {
    point: 16,
    name: "a fetch that fails is 502 with its reason",
    own: HOLDS,
    async run(make) {
      const fail = () => {
        throw new TypeError("no such luck");
      };
      const { stream } = await connected(make, fail);
      stream.write(get("/"));
      await stream.untilText(/^HTTP\/1\.1 502 Fetch Error[^]*no such luck/);
    },
  },
];
