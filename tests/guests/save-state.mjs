// Boots the guest with one network card and saves its state: node save-state.mjs NIC
// Called by `cargo xtask guest`, which owns the folder of images.
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Guest, images } from "./guest.mjs";

const nic = process.argv[2];
const guest = await Guest.boot(nic);
await guest.must("test -d /sys/class/net/eth0 && sha256sum /init && sync");
const file = join(images, `state-${nic}.bin`);
writeFileSync(`${file}.part`, new Uint8Array(await guest.saveState()));
renameSync(`${file}.part`, file);
process.exit(0);
