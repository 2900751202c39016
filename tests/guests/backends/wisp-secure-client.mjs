// wisp-js as a client of its own process: `node wisp-secure-client.mjs URL VERSION HOST PORT`. It has an echo send back 1 MiB, says so, and stays until
// it is told to go.
import { client as wisp } from "@mercuryworkshop/wisp-js/client";
import { noise } from "../servers.mjs";

const [url, version, host, port] = process.argv.slice(2);
const body = noise(1 << 20);
const connection = new wisp.ClientConnection(url, { wisp_version: Number(version) });
const ended = new Promise((resolve) => (connection.onclose = resolve));
const opened = new Promise((resolve) => (connection.onopen = () => resolve(true)));
if (!(await Promise.race([opened, ended.then(() => false)]))) {
  console.log("refused");
  process.exit();
}
const stream = connection.create_stream(host, Number(port));
const chunks = [];
let length = 0;
const echoed = new Promise((resolve) => {
  stream.onmessage = (chunk) => {
    chunks.push(Buffer.from(chunk));
    length += chunk.length;
    if (length >= body.length) resolve(Buffer.concat(chunks).equals(body));
  };
});
for (let at = 0; at < body.length; at += 1460) stream.send(body.subarray(at, at + 1460));
console.log((await Promise.race([echoed, ended.then(() => false)])) ? `whole, version ${connection.wisp_version}` : "broken");
await ended;
console.log("ended");
process.exit();
