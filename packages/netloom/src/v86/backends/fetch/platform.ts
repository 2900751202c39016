/** What `fetch` of a page is kept from, and that of Node, Deno and Bun is not. */
type Runtime = { Deno?: unknown; Bun?: unknown; process?: { versions?: { node?: string } } };

const { Deno, Bun, process } = globalThis as Runtime;

/** Whether this is a page or a worker of one: there CORS holds, `fetch` sets some header fields itself, and bodies are not streamed to servers of HTTP/1.1. */
export const inPage: boolean = Deno === undefined && Bun === undefined && process?.versions?.node === undefined;

/** Whether it is a page that came over TLS. */
export function isSecurePage(): boolean {
  return inPage && globalThis.location?.protocol === 'https:';
}
