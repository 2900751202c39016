// Where a guest and its network run: in this process, or in a page of headless Chromium. Either gives guests with the same few words.
import { randomBytes } from "node:crypto";
import { serve } from "../../../examples/shared/serve.mjs";
import { launch } from "../../npm/chromium.mjs";
import { Guest } from "../guest.mjs";
import { WebSocket } from "ws";

const { attachNetwork } = await import("../../../packages/netloom/dist/v86/index.js");

/** Guests in this process. */
export async function nodePlace() {
  return {
    name: "Node",
    // All are beside each other in this process.
    async restore(nic, target, { device, clone = false, beside: _, ...options } = {}) {
      let network;
      const plug = (emulator) => (network = attachNetwork(emulator, target, { WebSocket, ...options }));
      const guest = await Guest[clone ? "clone" : "restore"](nic, undefined, plug, device);
      guest.network = network;
      guest.active = () => network.active;
      guest.probe = (port) => network.tcp_probe(port);
      return guest;
    },
    close: async () => {},
  };
}

/** Guests in pages of one browser, a page each, as one page is one processor; or `beside` another in its page. */
export async function chromiumPlace() {
  const site = await serve("../tests/guests/backends/page");
  const browser = await launch();
  const context = await browser.newContext();
  return {
    name: "Chromium",
    async restore(nic, target, { clone = false, beside, ...options } = {}) {
      const page = beside?.page ?? (await context.newPage());
      if (!beside) await page.goto(`${site.origin}/`);
      const start = async ({ nic, target, options }) => {
        const [{ startGuest }, { attachNetwork }] = await Promise.all([import("/shared/guest.js"), import("/netloom/v86/index.js")]);
        const entry = {};
        const plug = (emulator) => (entry.network = attachNetwork(emulator, target, options));
        entry.guest = await startGuest(nic, plug);
        return entry;
      };
      const guest = new PageGuest(page, await page.evaluateHandle(start, { nic, target, options }));
      if (!clone) await guest.readdress();
      return guest;
    },
    async close() {
      await browser.close();
      await site.close();
    },
  };
}

class PageGuest {
  #entry;

  constructor(page, entry) {
    this.page = page;
    this.#entry = entry;
  }

  run(command) {
    return this.#entry.evaluate(({ guest }, command) => guest.run(command), command);
  }

  async must(command) {
    const { output, status } = await this.run(command);
    if (status !== 0) throw new Error(`guest: \`${command}\` ended with ${status}:\n${output}`);
    return output;
  }

  /** Clones of one state share their address: this one gets its own. */
  async readdress() {
    this.mac = ["02", ...randomBytes(5).toString("hex").match(/../g)].join(":");
    await this.must(`ip link set eth0 down; ip link set eth0 address ${this.mac} && ip link set eth0 up`);
  }

  async lease() {
    return /lease (\d+\.\d+\.\d+\.\d+)\//.exec(await this.must("udhcpc -i eth0 -n -q -f -t 5 -T 2"))[1];
  }

  active() {
    return this.#entry.evaluate(({ network }) => network.active);
  }

  probe(port) {
    return this.#entry.evaluate(({ network }, port) => network.tcp_probe(port), port);
  }

  destroy() {
    return this.page.close();
  }
}
