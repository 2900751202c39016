import net from "node:net"; import { once } from "node:events";
import { Guest } from "../guest.mjs"; import { startRelay } from "../relay.mjs"; import { wispJs } from "./peers.mjs";
import { hostAddress, noise, sha256 } from "../servers.mjs";
const HOST = hostAddress(); const body = noise(1<<20);
import http from "node:http";
const which = process.argv[2], nic = process.argv[3] ?? "ne2k";
const s = which === "ours" ? await startRelay("--allow", HOST) : await wispJs();
const web = http.createServer((q,r)=>r.end(body)); web.listen(0, HOST); await once(web,"listening");
const g = await Guest.restore(nic, which === "ours" ? s.url.replace("ws://","wisp://")+"wisp/" : s.url, undefined, { dns_method: "static" });
await g.lease(); await g.must(`wget -q -O /tmp/body http://${HOST}:${web.address().port}/`);
console.log("down", (await g.must("sha256sum </tmp/body")).split(" ")[0] === sha256(body));
for (let i=0;i<3;i++) {
let done; const got = new Promise(r=>done=r);
const srv = net.createServer(c=>{const ch=[]; c.on("error",e=>console.log(e.message)); c.on("data",d=>ch.push(d)).on("end",()=>done(Buffer.concat(ch)))}); srv.listen(0,HOST); await once(srv,"listening");
const t=Date.now();
await g.must(`nc ${HOST} ${srv.address().port} </tmp/body >/dev/null & echo $! >/tmp/nc`);
const b = await got; await g.must("kill $(cat /tmp/nc)");
let p=0; while(p<b.length && b[p]===body[p]) p++;
console.log(which, nic, "bytes", b.length, "same prefix", p, "ms", Date.now()-t);
}
process.exit(0);
