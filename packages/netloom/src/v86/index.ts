/**
 * The NIC of a v86 emulator, as streams and as an end for `patch`.
 *
 * @module
 */
export { createLan } from '../lan/lan.ts';
export type * from '../lan/types.ts';
export { createV86NetworkStream, V86NetworkStream } from './nic.ts';
export type { V86Bus, V86Bus as BusConnector, V86Emulator, V86NetworkStreamOptions } from './nic.ts';
