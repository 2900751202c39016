// Linux in QEMU itself, emulated, with the guest's kernel and image: a machine that a Guest drives by its serial line as it does v86.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { images } from "./guest.mjs";

/** One process of QEMU, killed by `destroy`; `devices` are its options for network cards. */
export class Qemu {
  #child;
  #said = "";

  constructor(...devices) {
    const machine = ["-accel", "tcg", "-m", "128", "-nodefaults", "-no-reboot", "-display", "none", "-monitor", "none"];
    const kernel = ["-kernel", join(images, "vmlinuz"), "-initrd", join(images, "initrd")];
    const cmdline = "console=ttyS0 tsc=reliable mitigations=off random.trust_cpu=on quiet";
    this.#child = spawn("qemu-system-i386", [...machine, ...kernel, "-append", cmdline, "-serial", "stdio", ...devices], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    process.once("exit", () => this.#child.kill("SIGKILL"));
    this.#child.stderr.on("data", (chunk) => (this.#said += chunk));
    this.#child.once("error", (error) => (this.#said += error));
    this.#child.stdin.on("error", () => {});
  }

  /** As v86 has it, of its serial line alone. */
  add_listener(event, listener) {
    if (event !== "serial0-output-byte") throw new Error(`QEMU tells no ${event}`);
    this.#child.stdout.on("data", (chunk) => chunk.forEach((byte) => listener(byte)));
  }

  serial0_send(text) {
    if (this.#child.exitCode !== null) throw new Error(`QEMU has ended: ${this.#said}`);
    this.#child.stdin.write(text);
  }

  async destroy() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }
}
