// A Linux guest, in v86 or elsewhere, driven over its serial line.
// Owns one emulator. Commands end at a marker that the guest's shell prints, never after a time; the only clock is the
// limit after which a command counts as hung.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { randomBytes } from "node:crypto";
import { V86 } from "v86";
import WebSocket from "ws";

// v86's WebSocket backend uses the browser's global, which Node 20 lacks.
globalThis.WebSocket ??= WebSocket;

const READY = "GUEST-READY";
const COMMAND_LIMIT_MS = process.env.NETLOOM_FULL ? 900_000 : 120_000;
const wasm = fileURLToPath(import.meta.resolve("v86")).replace(/libv86\.mjs$/, "v86.wasm");

/** The folder that `cargo xtask guest` fills. */
export const images = process.env.NETLOOM_GUEST_DIR ?? fileURLToPath(new URL("../../target/guest", import.meta.url));

/** Both network cards that v86 emulates. */
export const nics = ["virtio", "ne2k"];

const image = (name) => ({ buffer: new Uint8Array(readFileSync(join(images, name))).buffer });

function machine(nic, relayUrl, device = {}) {
  return {
    wasm_path: wasm,
    memory_size: 128 << 20,
    vga_memory_size: 2 << 20,
    bios: image("bios.bin"),
    vga_bios: image("vgabios.bin"),
    autostart: true,
    disable_speaker: true,
    disable_keyboard: true,
    disable_mouse: true,
    net_device: { type: nic, relay_url: relayUrl, ...device },
  };
}

/** What v86 is told of a guest with the saved state of `nic`. */
export const restored = (nic, relayUrl, device) => ({ ...machine(nic, relayUrl, device), initial_state: image(`state-${nic}.bin`) });

export class Guest {
  #emulator;
  #decoder = new TextDecoder();
  #serial = "";
  #wake = () => {};
  #counter = 0;
  #last = Promise.resolve();

  /** Of v86's options, or of an emulator, v86 or what has a serial line as v86 has it; `plug` is given it before its card exists, so that no frame of the guest is missed. */
  constructor(options, plug = () => {}) {
    this.#emulator = options.serial0_send ? options : new V86(options);
    plug(this.#emulator);
    this.#emulator.add_listener("serial0-output-byte", (byte) => {
      this.#serial += this.#decoder.decode(Uint8Array.of(byte), { stream: true });
      if (byte === 10) this.#wake();
    });
  }

  /** Boots the kernel from cold, to the shell. */
  static async boot(nic) {
    const guest = new Guest({
      ...machine(nic),
      bzimage: image("vmlinuz"),
      initrd: image("initrd"),
      // irqpoll: v86's ne2k can leave an interrupt pending that its interrupt controller has lost; the card then stands still.
      cmdline: "console=ttyS0 tsc=reliable mitigations=off random.trust_cpu=on irqpoll quiet",
    });
    return guest.#booted();
  }

  /** The guest of a machine that was just started, once it has a shell. */
  static booting(machine) {
    return new Guest(machine).#booted();
  }

  #booted() {
    return this.#orGone(async () => {
      await this.#until(READY, 400_000);
      return this;
    });
  }

  /** What `prepare` comes to; if it fails the emulator is ended, of which nobody hears: it would hold the process. */
  async #orGone(prepare) {
    try {
      return await prepare();
    } catch (error) {
      await this.destroy();
      throw error;
    }
  }

  /**
   * Restores the saved state of `nic` and gives the card a MAC of its own: clones of one state share theirs. The card's other end is a relay,
   * or what `plug` makes of the emulator; `device` has further fields of v86's `net_device`.
   */
  static async restore(nic, relayUrl, plug, device) {
    const guest = await Guest.clone(nic, relayUrl, plug, device);
    guest.mac = ["02", ...randomBytes(5).toString("hex").match(/../g)].join(":");
    return guest.#orGone(async () => {
      await guest.must(`ip link set eth0 down; ip link set eth0 address ${guest.mac} && ip link set eth0 up`);
      return guest;
    });
  }

  /** Restores the saved state of `nic` as it is, the card's address of then included. */
  static async clone(nic, relayUrl, plug, device) {
    const guest = new Guest(restored(nic, relayUrl, device), plug);
    await new Promise((resolve) => guest.#emulator.add_listener("emulator-started", resolve));
    return guest;
  }

  /** The guest of an emulator that was made elsewhere, of `restored` options. */
  static async adopt(emulator) {
    const guest = new Guest(emulator);
    if (!emulator.is_running()) await new Promise((resolve) => emulator.add_listener("emulator-started", resolve));
    return guest;
  }

  /** Runs a command in the guest's shell; output is stdout and stderr together. */
  run(command, { limitMs = COMMAND_LIMIT_MS } = {}) {
    const result = this.#last.then(async () => {
      const mark = `@@${(this.#counter += 1)} `;
      this.#serial = "";
      this.#emulator.serial0_send(`{ ${command}\n} </dev/null 2>&1; printf '\\n${mark}%s\\n' $?\n`);
      const text = await this.#until(mark, limitMs, command);
      const at = text.indexOf(mark);
      const status = Number.parseInt(text.slice(at + mark.length), 10);
      return { output: text.slice(0, at).replace(/\n$/, ""), status };
    });
    this.#last = result.catch(() => {});
    return result;
  }

  /** Runs a command that has to succeed; answers its output. */
  async must(command, options) {
    const { output, status } = await this.run(command, options);
    if (status !== 0) throw new Error(`guest: \`${command}\` ended with ${status}:\n${output}`);
    return output;
  }

  /** Runs a command and adds `ms`, what it took by the guest's clock. */
  async timed(command, options) {
    const { output, status } = await this.run(
      `read start _ </proc/uptime\n${command}\nstatus=$?; read end _ </proc/uptime; echo; echo "took $start $end"; (exit $status)`,
      options,
    );
    const [, start, end] = /took (\S+) (\S+)/.exec(output);
    return { output: output.replace(/\n*took \S+ \S+\n*$/, ""), status, ms: Math.round((end - start) * 1000) };
  }

  /** Has virtio's driver look at its card anew: the saved state knows the MTU of then. */
  async probeCard() {
    const driver = "/sys/bus/virtio/drivers/virtio_net";
    const address = (await this.must("cat /sys/class/net/eth0/address")).trim();
    await this.must(
      `ip link set eth0 down; echo virtio0 >${driver}/unbind; echo virtio0 >${driver}/bind; ip link set eth0 address ${address} && ip link set eth0 up`,
    );
  }

  /** Asks for a lease; answers its address. */
  async lease() {
    const output = await this.must("udhcpc -i eth0 -n -q -f -t 5 -T 2");
    return /lease (\d+\.\d+\.\d+\.\d+)\//.exec(output)[1];
  }

  saveState() {
    return this.#emulator.save_state();
  }

  destroy() {
    const adapter = this.#emulator.network_adapter;
    // If v86's own Wisp client waits to connect again, it would, with nobody left to close that.
    if (adapter?.register_ws) adapter.register_ws = () => {};
    return this.#emulator.destroy();
  }

  #until(mark, limitMs, what = "the boot") {
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => {
        reject(new Error(`guest: no end of ${what} within ${limitMs} ms; serial line:\n${this.#serial.slice(-2000)}`));
      }, limitMs);
      this.#wake = () => {
        const at = this.#serial.indexOf(mark);
        if (at < 0 || this.#serial.indexOf("\n", at) < 0) return;
        clearTimeout(limit);
        this.#wake = () => {};
        resolve(this.#serial);
      };
      this.#wake();
    });
  }
}
