import { bulks, peers } from './bulk.mjs';
import { limits } from './limits.mjs';
import { smalls } from './small.mjs';

/** Every case, by name: its unit, what it aims at, and how it runs on a library. */
export const cases = { ...limits, ...bulks, ...smalls };
for (const [name, one] of Object.entries(peers)) cases[`peer/${name}`] = one;
