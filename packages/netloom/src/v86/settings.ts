/** Reads what the page gave to `attachNetwork`, with v86's defaults; says what is wrong with it by `EINVAL`, before anything is done. */
import { NetworkError } from '../errors.ts';
import { parseBackendUrl } from './backends/url.ts';
import type { DeviceSettings, NetDevice, NetworkTimeouts } from './types.ts';

const ROUTER_MAC = '52:54:0:1:2:3';
const ROUTER_IP = '192.168.86.1';
const VM_HOST = '100';
const DOH_SERVER = 'cloudflare-dns.com';

const TIMEOUTS: Required<NetworkTimeouts> = { start: 5_000, connect: 30_000, dns: 5_000, reconnect: 500, reconnectMax: 30_000 };

/** A URL, a chain of them, or a `net_device`; an array may hold `net_device`s too, of which the first gives the settings. */
export type NetworkTarget = string | NetDevice | readonly (string | NetDevice)[];

/** The settings of a target. @throws NetworkError `EINVAL` */
export function readTarget(
  target: NetworkTarget | undefined,
  { mac_address_translation: translate }: Pick<NetDevice, 'mac_address_translation'> = {},
): DeviceSettings {
  const list = Array.isArray(target) ? (target as (string | NetDevice)[]) : [target as string | NetDevice | undefined];
  const devices = list.filter((entry): entry is NetDevice => typeof entry === 'object' && entry !== null);
  const device: NetDevice = devices[0] ?? {};
  const urls = list.flatMap((entry) => (typeof entry === 'string' ? [entry] : [entry?.relay_url ?? []].flat())).filter((url) => url !== '') as string[];
  for (const url of urls) parseBackendUrl(url);
  const corsProxy = devices.find((one) => one.cors_proxy)?.cors_proxy ?? '';
  return { ...readDevice(device), translate: Boolean(device.mac_address_translation || translate), corsProxy, urls: urls.length > 0 ? urls : ['none'] };
}

/** Milliseconds, with defaults. @throws NetworkError `EINVAL` */
export function readTimeouts(timeouts: NetworkTimeouts = {}): Required<NetworkTimeouts> {
  const read = { ...TIMEOUTS, ...timeouts };
  for (const [name, value] of Object.entries(read)) if (!(value > 0)) throw invalid(`timeouts.${name} must be positive: ${value}`);
  return read;
}

function readDevice(device: NetDevice): Omit<DeviceSettings, 'urls' | 'corsProxy' | 'translate'> {
  const { type, id, masquerade = true, dns_method: dnsMethod, mtu = 1500 } = device;
  if (id !== undefined && (!Number.isInteger(id) || id < 0)) throw invalid(`net_device.id must be a whole number, 0 or more: ${id}`);
  if (!Number.isInteger(mtu) || mtu < 68 || mtu > 65535) throw invalid(`net_device.mtu must be 68 to 65,535: ${mtu}`);
  const routerIp = readIp('router_ip', device.router_ip || ROUTER_IP);
  return {
    nic: type === undefined ? undefined : type === 'ne2k' || type === 'virtio' ? type : 'none',
    id,
    routerMac: readMac(device.router_mac || ROUTER_MAC),
    routerIp,
    // v86 has it in its default network whatever the gateway's; no guest could use that.
    vmIp: readIp('vm_ip', device.vm_ip || routerIp.replace(/\d+$/, VM_HOST)),
    masquerade: Boolean(masquerade),
    // As in v86, whatever is not static is DNS over HTTPS.
    dnsMethod: !dnsMethod ? undefined : dnsMethod === 'static' || dnsMethod === 'udp' ? dnsMethod : 'doh',
    dohUrl: dohUrl(device.doh_server || DOH_SERVER),
    mtu,
    gateway: Boolean(device.gateway),
  };
}

function readMac(text: string): string {
  const bytes = text.split(/[:-]/);
  if (bytes.length !== 6 || !bytes.every((byte) => /^[0-9a-f]{1,2}$/i.test(byte))) throw invalid(`net_device.router_mac is no MAC address: ${text}`);
  if (Number.parseInt(bytes[0]!, 16) & 1) throw invalid(`net_device.router_mac is a group's address: ${text}`);
  return bytes.map((byte) => byte.padStart(2, '0').toLowerCase()).join(':');
}

function readIp(field: string, text: string): string {
  const bytes = text.split('.');
  if (bytes.length !== 4 || !bytes.every((byte) => /^\d{1,3}$/.test(byte) && Number(byte) < 256))
    throw invalid(`net_device.${field} is no IPv4 address: ${text}`);
  return bytes.map(Number).join('.');
}

function dohUrl(server: string): string {
  const url = server.includes('://') ? server : `https://${server}/dns-query`;
  if (!URL.canParse(url)) throw invalid(`net_device.doh_server is no host: ${server}`);
  return url;
}

function invalid(message: string): NetworkError {
  return new NetworkError('EINVAL', { message });
}
