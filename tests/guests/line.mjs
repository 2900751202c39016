// A guest's way to the relay that can break: a TCP proxy in between.
import net from "node:net";
import { once } from "node:events";

const HOST = "127.0.0.1";

/** Leads to the relay at `relayUrl`, from a free port of loopback. */
export async function lineTo(relayUrl) {
  const to = new URL(relayUrl).port;
  const pairs = new Set();
  const waiting = new Set();
  let passed = 0;
  const accept = (near) => {
    const far = net.connect(to, HOST);
    const pair = { near, far, breaks: false };
    pairs.add(pair);
    far.on("data", (chunk) => {
      passed += chunk.length;
      for (const waiter of waiting) waiter();
    });
    near.pipe(far);
    far.pipe(near);
    for (const [end, other] of [[near, far], [far, near]]) {
      end.on("error", () => {});
      end.on("close", () => {
        if (!pair.breaks) other.destroy();
        if (near.destroyed && far.destroyed) pairs.delete(pair);
      });
    }
  };
  const server = net.createServer(accept);
  const listen = async (port) => {
    server.listen(port, HOST);
    await once(server, "listening");
    return server.address().port;
  };
  const port = await listen(0);
  return {
    url: `ws://${HOST}:${port}/`,
    /** Resolves once that many bytes more have come from the relay. */
    passes(bytes) {
      const goal = passed + bytes;
      return new Promise((resolve) => {
        const waiter = () => {
          if (passed < goal) return;
          waiting.delete(waiter);
          resolve();
        };
        waiting.add(waiter);
      });
    },
    /** Breaks all connections and refuses new ones for that long. Where the relay does not notice, its end stands, silent, for good. */
    async breaks(ms, { isNoticed = true } = {}) {
      server.close();
      for (const pair of pairs) {
        pair.breaks = !isNoticed;
        pair.far.unpipe();
        pair.far.pause();
        pair.near.destroy();
      }
      await new Promise((resolve) => setTimeout(resolve, ms));
      await listen(port);
    },
    async stop() {
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
      }
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}
