// A guest's serial line on the page: what it prints, and a line to type on.
import { startEmulator } from '/shared/guest.js';

/** Starts a guest of its own in an element; `plug` is given the emulator at once. */
export async function guestIn(element, netDevice, plug) {
  const output = document.createElement('pre');
  const input = document.createElement('input');
  input.autocomplete = 'off';
  input.placeholder = 'a command for the guest';
  input.disabled = true;
  element.append(output, input);
  const emulator = await startEmulator(netDevice, plug);

  const decoder = new TextDecoder();
  emulator.add_listener('serial0-output-byte', (byte) => {
    output.append(decoder.decode(Uint8Array.of(byte), { stream: true }).replace('\r', ''));
    output.scrollTop = output.scrollHeight;
  });
  input.addEventListener('keydown', ({ key }) => {
    if (key !== 'Enter') return;
    emulator.serial0_send(`${input.value}\n`);
    input.value = '';
  });
  input.disabled = false;
  emulator.serial0_send('\n');
  return emulator;
}

/** The guest's card, `?nic=virtio` or `?nic=ne2k`. */
export const nic = new URLSearchParams(location.search).get('nic') ?? 'virtio';
