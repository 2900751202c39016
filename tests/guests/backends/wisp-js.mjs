// wisp-js as a process of its own, for who measures it: node wisp-js.mjs. Says where it listens.
import { wispJs } from "./peers.mjs";

const { url } = await wispJs();
console.log(`listening on ${new URL(url).host}`);
