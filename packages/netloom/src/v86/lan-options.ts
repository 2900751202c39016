/** What v86's settings mean for a LAN. */
import type { LanOptions } from '../lan/types.ts';
import type { SegmentOptions } from './segment.ts';
import type { DeviceSettings } from './types.ts';

/** A switch alone, a gateway without a way out, or one with. */
export type LanKind = 'switch' | 'gateway' | 'egress';

/** The address that v86's static DNS gives for every name: what is behind is told by HTTP's Host. */
export const STATIC_ADDRESS = '192.168.87.1';

/** The options of a LAN that names are resolved on by a method. */
export function lanOptions(kind: LanKind, device: DeviceSettings, dnsMethod: string, { timeouts, wasm }: SegmentOptions): LanOptions {
  if (kind === 'switch') return { ip: false, wasm };
  const { routerIp, routerMac, vmIp, masquerade } = device;
  return {
    ip: `${routerIp}/24`,
    mac: routerMac,
    gateway: masquerade,
    mtu: device.nic === 'ne2k' ? Math.min(device.mtu, 1500) : device.mtu,
    dhcp: { first: vmIp, ...(masquerade ? {} : { nameServers: [] }) },
    dns: { timeout: timeouts.dns, ...(kind === 'egress' && dnsMethod === 'static' ? { wildcard: STATIC_ADDRESS } : {}) },
    dialTimeout: timeouts.connect,
    wasm,
  };
}
