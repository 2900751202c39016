// Point 4 of the checklist in the other direction: the page's own sequence numbers wrap, whatever they began with, within
// 4 GiB; only in full are there so many.
import { test } from "node:test";
import { download, FastGuest } from "../../../benches/v86/fast.mjs";
import { ours } from "./subjects.mjs";

const CHUNK = new Uint8Array(1 << 20);
const FULL = Boolean(process.env.NETLOOM_FULL);
const CHUNKS = FULL ? 4096 + 64 : 64;

test(FULL ? "4. the page's sequence numbers wrap at 32 bits" : "an ideal guest downloads 64 MiB", { timeout: 1_200_000 }, async () => {
  const subject = await ours({ relay_url: "fetch", mtu: 65535 });
  let left = CHUNKS;
  const pull = (controller) => ((left -= 1) < 0 ? controller.close() : controller.enqueue(CHUNK));
  subject.network.fetch = async () => new Response(new ReadableStream({ pull }, { highWaterMark: 0 }));
  try {
    const guest = new FastGuest(subject.emulator, 65535);
    await download(guest, "192.168.87.1", 80, "GET /long HTTP/1.0\r\nHost: long.test\r\n\r\n", CHUNKS * CHUNK.length);
  } finally {
    await subject.close();
  }
});
