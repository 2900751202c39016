/** What a page, the bridge of a guest's origin and its service worker say to each other. The scripts of `origin` hold the same by hand: they import nothing. */

/** From the bridge to the page, when it can take the port of a guest; and from the page to the bridge, with that port. */
export type Hello = { netloom: 'bridge' | 'guest' };

/** What the bridge says on the port of the guest. A request has the port for its answer. */
export type FromBridge = { type: 'ready' } | { type: 'refused'; reason: string } | { type: 'gone' } | FrameRequest;

/** A request of a frame. */
export type FrameRequest = { type: 'request'; method: string; path: string; fields: [string, string][]; body: ArrayBuffer | undefined };

/** What is answered to a request; chunks are sent one for each `pull`. */
export type FrameAnswer =
  | { type: 'head'; status: number; statusText: string; fields: [string, string][]; empty: boolean }
  | { type: 'chunk'; bytes: Uint8Array }
  | { type: 'end' }
  | { type: 'error'; reason: string };

/** What a frame says of its answer. */
export type FrameDemand = { type: 'pull' } | { type: 'cancel' };
