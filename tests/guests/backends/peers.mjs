// What the backends' guests meet on this host: servers from the registries, in this process, each on a free port of the loopback.
import { server as wisp, logging } from "@mercuryworkshop/wisp-js/server";
import corsAnywhere from "cors-anywhere";
import { spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { answer, closedPort } from "../servers.mjs";
import { eventually } from "./limit.mjs";

async function listening(server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const sockets = new Set();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  const stop = async () => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { port: server.address().port, stop };
}

/** wisp-js, which may dial this host. */
export async function wispJs() {
  logging.set_level(logging.NONE);
  Object.assign(wisp.options, { allow_private_ips: true, allow_loopback_ips: true });
  const server = http.createServer();
  server.on("upgrade", (request, socket, head) => wisp.routeRequest(request, socket, head));
  const { port, stop } = await listening(server);
  return { url: `wisp://127.0.0.1:${port}/`, stop };
}

/** wisp-python, from the folder that pip installed it to; it too may dial this host. */
export async function wispPython(folder) {
  const port = await closedPort();
  const options = ["--host", "127.0.0.1", "--port", `${port}`, "--threads", "1", "--log-level", "critical", "--allow-loopback", "--allow-private"];
  // In a process group of its own, which its worker joins.
  const child = spawn("python3", ["-m", "wisp.server", ...options], { env: { ...process.env, PYTHONPATH: folder }, stdio: "ignore", detached: true });
  const end = () => process.kill(-child.pid, "SIGKILL");
  process.once("exit", end);
  const ended = once(child, "close");
  let listens = false;
  const knock = () => {
    const socket = net.connect(port, "127.0.0.1", () => (listens = true));
    socket.on("error", () => setTimeout(knock, 100)).on("connect", () => socket.destroy());
  };
  knock();
  await eventually(() => listens, "a wisp-python that listens");
  const stop = async () => {
    process.off("exit", end);
    end();
    await ended;
  };
  return { url: `wisp://127.0.0.1:${port}/`, stop };
}

/** cors-anywhere, as its users run it. */
export async function corsProxy() {
  const { port, stop } = await listening(corsAnywhere.createServer({ requireHeader: [], originWhitelist: [] }));
  return { host: `127.0.0.1:${port}`, stop };
}

/** DNS over HTTPS for `names` (RFC 8484), in the clear. */
export async function dohServer(names) {
  const server = http.createServer((request, response) => {
    const headers = { "access-control-allow-origin": "*", "access-control-allow-headers": "*" };
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      if (request.method !== "POST") return response.writeHead(request.method === "OPTIONS" ? 204 : 405, headers).end();
      response.writeHead(200, { ...headers, "content-type": "application/dns-message" }).end(answer(Buffer.concat(chunks), names));
    });
  });
  const { port, stop } = await listening(server);
  return { url: `http://127.0.0.1:${port}/dns-query`, stop };
}
