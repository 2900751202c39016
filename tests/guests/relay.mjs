// The relay under test, as a process of its own.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const program = process.env.NETLOOM_BIN ?? fileURLToPath(new URL("../../target/release/netloom", import.meta.url));

/** Starts `netloom relay` on a free port; answers its URL, and `stop`. */
export const startRelay = (...args) => start("relay", "--listen", "127.0.0.1:0", ...args);

/** Starts `netloom c2w-net`, which is to listen. */
export const startC2wNet = (...args) => start("c2w-net", ...args);

async function start(...args) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  const ended = new Promise((resolve) => child.once("close", resolve));
  process.once("exit", () => child.kill("SIGKILL"));
  const url = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`the relay ended with ${code}:\n${said}`)));
    const read = (chunk) => {
      said += chunk;
      const found = /listening on (ws:\/\/\S+?)\/?\s/.exec(said);
      if (found) resolve(found[1]);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
  });
  return {
    url: `${url}/`,
    /** What it said when it began to listen: the matches of `pattern`, once there are as many as `count`. */
    async says(pattern, count = 1) {
      for (;;) {
        const found = [...said.matchAll(pattern)];
        if (found.length >= count) return found;
        await new Promise((resolve) => child.stdout.once("data", resolve));
      }
    },
    /** The URL of a further LAN. */
    lan: (name) => `${url}/lan/${name}`,
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}
