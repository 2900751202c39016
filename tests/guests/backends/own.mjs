// One point of the checklist on v86's own backend, as a process of its own: what v86 throws may end it. node own.mjs INDEX
import { points } from "./points/index.mjs";
import { own } from "./subjects.mjs";

await points[Number(process.argv[2])].run(own);
process.exit(0);
