import { V86Network } from './network.ts';
import type { NetworkTarget } from './settings.ts';
import type { AttachableEmulator, AttachOptions, NetDevice } from './types.ts';

/**
 * Gives a v86 emulator a network, in place of v86's own if it has one: right after `new V86`, or at any later time. Returns at once;
 * `ready` tells when it works. v86's `destroy` ends it.
 *
 * | URL | network |
 * |---|---|
 * | `inbrowser` | guests of all tabs of this origin with this `id`; with `gateway: true` they have leases and names |
 * | `ws://HOST`, `wss://HOST` | raw frames to a relay of v86's `wsproxy` |
 * | `wisp://HOST/`, `wisps://HOST/` | TCP and UDP by a Wisp server |
 * | `fetch`, `fetch://PROXY/?url=` | HTTP by the page's `fetch`, the latter by a CORS proxy if there is no other way |
 * | `netloom://HOST` | our relay |
 * | `none` | the guests of this page with this `id` |
 *
 * Of several URLs, the first that works when it starts is the network; of neighbours that are `wisp` or `fetch`, the first that works takes each
 * connection of the guest.
 *
 * @param emulator made by `new V86`, with a card: `net_device: { type: 'virtio' }` or `'ne2k'`
 * @param target a URL, a chain of them, or v86's `net_device`. Of one without `type` that the emulator was made with, `type` becomes `ne2k`, as v86
 *   documents but does not do
 * @throws NetworkError `EINVAL` if the target or an option makes no sense
 * @example
 * ```ts
 * import { attachNetwork, type AttachableEmulator } from 'netloom/v86';
 *
 * async function goOnline(emulator: AttachableEmulator) {
 *   const network = attachNetwork(emulator, ['wisps://wisp.example/', 'fetch']);
 *   await network.ready;
 *   return network.active;
 * }
 *
 * // await goOnline(new V86({ net_device: { type: 'virtio' }, ... }));
 * console.log(goOnline.name); // goOnline
 * ```
 */
export function attachNetwork(emulator: AttachableEmulator, target?: NetworkTarget, options: AttachOptions = {}): V86Network {
  const network = new V86Network(emulator, target, options);
  const device = (Array.isArray(target) ? undefined : target) as NetDevice | string | undefined;
  if (typeof device === 'object' && device.type === undefined && Object.isExtensible(device)) device.type = 'ne2k';
  return network;
}
