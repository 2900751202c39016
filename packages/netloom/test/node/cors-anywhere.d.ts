/** cors-anywhere has no types of its own. */
declare module 'cors-anywhere' {
  import type { Server } from 'node:http';
  export function createServer(options: Record<string, unknown>): Server;
  const all: { createServer: typeof createServer };
  export default all;
}
