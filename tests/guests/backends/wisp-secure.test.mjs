// Our Wisp server over TLS and by a token, before wisp-js of npm in both versions.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { certificate } from "../certificate.mjs";
import { program, startRelay } from "../relay.mjs";
import { tcpServer } from "../servers.mjs";
import { within } from "./limit.mjs";

const client = fileURLToPath(new URL("./wisp-secure-client.mjs", import.meta.url));

test("wisp-js moves bytes by wss with a token, until it is revoked", { timeout: 120_000 }, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "netloom-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const file = ["--tokens", join(folder, "tokens.toml")];
  const token = (...words) => execFileSync(program, ["token", ...words, ...file], { encoding: "utf8" }).trim();
  const alice = token("create", "alice");
  const files = certificate();
  context.after(() => files.stop());
  const relay = await startRelay(...files.flags, ...file, "--allow", "127.0.0.1");
  context.after(() => relay.stop());
  const echo = await tcpServer((socket) => socket.pipe(socket));
  context.after(() => echo.stop());
  const origin = `wss://localhost:${new URL(relay.url).port}`;

  /** A client; `said()` is the next line of what it says. */
  const start = (path, version, trusted = files.chain) => {
    const child = spawn(process.execPath, [client, `${origin}${path}`, version, "127.0.0.1", echo.port], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: trusted },
      stdio: ["ignore", "pipe", "inherit"],
    });
    context.after(() => child.kill("SIGKILL"));
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    return { said: async () => (await within(lines.next(), `the client of ${path}`)).value };
  };

  const clients = [start(`/t/${alice}/wisp/`, 1), start(`/t/${alice}/wisp/`, 2)];
  assert.deepEqual([await clients[0].said(), await clients[1].said()], ["whole, version 1", "whole, version 2"]);
  for (const path of ["/wisp/", "/t/nlt_wrong/wisp/"]) assert.equal(await start(path, 2).said(), "refused", path);
  // Whoever does not trust the certificate is not talked into it.
  assert.equal(await start(`/t/${alice}/wisp/`, 2, "").said(), "refused");
  token("revoke", "alice");
  for (const client of clients) assert.equal(await client.said(), "ended");
  assert.equal(await start(`/t/${alice}/wisp/`, 2).said(), "refused");
});
