// A restored guest's shell for another program: node shell.mjs NIC RELAY-URL
// A command per line of the input, as a JSON string; its status and output as a line of JSON. Ends with the input.
import { createInterface } from "node:readline";
import { Guest } from "./guest.mjs";

const guest = await Guest.restore(process.argv[2], process.argv[3]);
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await guest.run(JSON.parse(line))));
}
process.exit(0);
