// The relay under test, as a process of its own.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const program = process.env.NETLOOM_BIN ?? fileURLToPath(new URL("../../target/release/netloom", import.meta.url));

/** Starts `netloom relay` on a free port; answers its URL, and `stop`. */
export const startRelay = (...args) => startRelayAt("127.0.0.1:0", ...args);

/** Starts `netloom relay` at an address and port. */
export const startRelayAt = (address, ...args) => start("relay", "--listen", address, ...args);

/** Starts `netloom c2w-net`, which is to listen. */
export const startC2wNet = (...args) => start("c2w-net", ...args);

async function start(...args) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  const listeners = [];
  let isOver = false;
  const ended = new Promise((resolve) => child.once("close", resolve)).then(() => {
    isOver = true;
    for (const listener of listeners.splice(0)) listener();
  });
  process.once("exit", () => child.kill("SIGKILL"));
  const url = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`the relay ended with ${code}:\n${said}`)));
    const read = (chunk) => {
      said += chunk;
      const found = /listening on (wss?:\/\/\S+?)\/?\s/.exec(said);
      if (found) resolve(found[1]);
      for (const listener of listeners.splice(0)) listener();
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
  });
  return {
    url: `${url}/`,
    /** Its resident memory, in bytes. */
    memory() {
      const status = readFileSync(`/proc/${child.pid}/status`, "latin1");
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) * 1024;
    },
    /** What it prints or logs: the matches of `pattern`, once there are as many as `count`. */
    async says(pattern, count = 1) {
      for (;;) {
        const found = [...said.matchAll(pattern)];
        if (found.length >= count) return found;
        if (isOver) throw new Error(`the relay ended without ${pattern}:\n${said}`);
        await new Promise((resolve) => listeners.push(resolve));
      }
    },
    signal: (name) => child.kill(name),
    /** Ends it at once, without a word to anyone. */
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
    /** All that it printed and logged. */
    said: () => said,
    /** The URL of a further LAN. */
    lan: (name) => `${url}/lan/${name}`,
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}
