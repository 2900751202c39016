// The two that are compared: v86's own network backends and ours, on an emulator without a card of its own.
import { fileURLToPath } from "node:url";
import { V86 } from "v86";
import WebSocket from "ws";
import { IdealGuest } from "./ideal.mjs";

globalThis.WebSocket ??= WebSocket;

const wasm_path = fileURLToPath(import.meta.resolve("v86")).replace(/libv86\.mjs$/, "v86.wasm");

/** An emulator that runs nothing and has no card: its bus is a guest's to use. */
async function bare(net_device) {
  const emulator = new V86({
    wasm_path,
    memory_size: 1 << 20,
    vga_memory_size: 1 << 18,
    autostart: false,
    disable_speaker: true,
    disable_keyboard: true,
    disable_mouse: true,
    net_device,
  });
  await new Promise((resolve) => emulator.add_listener("emulator-loaded", resolve));
  return emulator;
}

/** v86's own backend for these settings. */
export async function own({ type: _, ...settings }) {
  const emulator = await bare({ type: "none", ...settings });
  return subject(emulator, emulator.network_adapter);
}

/** Ours for the same settings, on the same emulator; `early` does not wait until it is up. */
export async function ours(settings, { early = false, ...options } = {}) {
  const { attachNetwork } = await import("../../../packages/netloom/dist/v86/index.js");
  const emulator = await bare({ type: "none" });
  const network = attachNetwork(emulator, { type: "virtio", ...settings }, options);
  if (!early) await network.ready;
  return subject(emulator, network);
}

function subject(emulator, network) {
  return {
    emulator,
    network,
    guest: (options) => new IdealGuest(emulator, options),
    close: () => emulator.destroy(),
  };
}
