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
    async restore(nic, target, { device, clone = false, ...options } = {}) {
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

/** Guests in pages of one browser, a page each: one page is one processor. */
export async function chromiumPlace() {
  const site = await serve("../tests/guests/backends/page");
  const browser = await launch();
  const context = await browser.newContext();
  return {
    name: "Chromium",
    async restore(nic, target, { clone = false, ...options } = {}) {
      const page = await context.newPage();
      await page.goto(`${site.origin}/`);
      const start = async ({ nic, target, options }) => {
        const [{ startGuest }, { attachNetwork }] = await Promise.all([import("/shared/guest.js"), import("/netloom/v86/index.js")]);
        const plug = (emulator) => (globalThis.network = attachNetwork(emulator, target, options));
        globalThis.guest = await startGuest(nic, plug);
      };
      await page.evaluate(start, { nic, target, options });
      const guest = new PageGuest(page);
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
  constructor(page) {
    this.page = page;
  }

  run(command) {
    return this.page.evaluate((command) => globalThis.guest.run(command), command);
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
    return this.page.evaluate(() => globalThis.network.active);
  }

  probe(port) {
    return this.page.evaluate((port) => globalThis.network.tcp_probe(port), port);
  }

  destroy() {
    return this.page.close();
  }
}
