// A Linux guest in v86, from the images that `cargo xtask guest` makes, with a shell on its serial line.
import { V86 } from 'v86';

const image = (name) => ({ url: `/images/${name}` });

/**
 * Starts the guest with a `virtio` or `ne2k` card; `plug` is given the emulator before the card sends anything, and v86 what else it is to
 * know of the card.
 */
export async function startGuest(nic, plug = () => {}, device = {}) {
  return shell(await startEmulator({ type: nic, ...device }, plug));
}

/** Starts the emulator alone. */
export async function startEmulator(netDevice, plug) {
  const emulator = new V86({
    wasm_path: '/v86/v86.wasm',
    memory_size: 128 << 20,
    vga_memory_size: 2 << 20,
    bios: image('bios.bin'),
    vga_bios: image('vgabios.bin'),
    initial_state: image(`state-${netDevice.type}.bin`),
    autostart: true,
    disable_speaker: true,
    disable_keyboard: true,
    disable_mouse: true,
    net_device: netDevice,
  });
  plug(emulator);
  await new Promise((resolve) => emulator.add_listener('emulator-started', resolve));
  return emulator;
}

/** Runs commands one after the other; each ends at a mark that the shell prints. */
function shell(emulator) {
  const decoder = new TextDecoder();
  let text = '';
  let heard = () => {};
  let commands = 0;
  let last = Promise.resolve();
  emulator.add_listener('serial0-output-byte', (byte) => {
    text += decoder.decode(Uint8Array.of(byte), { stream: true });
    if (byte === 10) heard();
  });
  const run = async (command) => {
    const mark = `@@${(commands += 1)} `;
    text = '';
    const ended = new Promise((resolve) => {
      heard = () => {
        const at = text.indexOf(mark);
        if (at < 0 || text.indexOf('\n', at) < 0) return;
        resolve({ output: text.slice(0, at).trim(), status: Number.parseInt(text.slice(at + mark.length), 10) });
      };
    });
    emulator.serial0_send(`{ ${command}\n} </dev/null 2>&1; printf '\\n${mark}%s\\n' $?\n`);
    return ended;
  };
  return { run: (command) => (last = last.then(() => run(command))) };
}
