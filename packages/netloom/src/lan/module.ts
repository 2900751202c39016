/** The LAN's modules inside the package, in a chunk that only LANs load. */
import type { Inlined } from '../engine/module.ts';

export const LAN_MODULES: Inlined = {
  simd128: () => import('../engine/inline/lan-simd128.ts'),
  baseline: () => import('../engine/inline/lan-baseline.ts'),
};
