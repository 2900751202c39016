/** What `attachNetwork` takes and gives: v86's names in v86's spelling, ours in camelCase. */
import type { CertificateAuthority } from '../tls/authority.ts';
import type { V86Bus } from './nic.ts';

/** An emulator of v86, as far as its network needs it; v86's own types leave most of it out. */
export interface AttachableEmulator {
  /** Always there, though v86's own types leave it out. */
  readonly bus?: V86Bus;
  /** v86's own network, or ours. */
  network_adapter?: unknown;
  /** Has a listener told of an event. */
  // biome-ignore lint/suspicious/noExplicitAny: v86 has a type of its own for every event.
  add_listener(event: any, listener: (value: any) => void): void;
  /** Takes it off again. */
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  remove_listener?(event: any, listener: (value: any) => void): void;
}

/** A network as v86's documentation describes it, and what is ours besides. */
export type NetDevice = {
  /** The card that v86 was told to make. Default: what the emulator has. */
  type?: 'ne2k' | 'virtio' | 'none';
  /** Where the network is, or several to try in order: see `attachNetwork`. */
  relay_url?: string | readonly string[];
  /**
   * Number of the network: cards with one number and one `relay_url` share a LAN. Without one, `inbrowser` is network 0, and every other
   * card has a LAN of its own, as in v86.
   */
  id?: number;
  /** MAC address of the gateway. Default `52:54:0:1:2:3`. */
  router_mac?: string;
  /** IPv4 address of the gateway, of a network of 24 bits. Default `192.168.86.1`. */
  router_ip?: string;
  /** IPv4 address that DHCP gives the first guest, of the gateway's network. Default its hundredth: `192.168.86.100`. */
  vm_ip?: string;
  /** Whether DHCP names the gateway as router and name server, and it answers ARP for what is outside its network. Default true. */
  masquerade?: boolean;
  /** Who answers names: the gateway itself, DNS over HTTPS, or the Wisp server's resolver by UDP. Default `static`; `doh` with Wisp. */
  dns_method?: 'static' | 'doh' | 'udp';
  /** Host of DNS over HTTPS, expanded to `https://HOST/dns-query`; or a whole URL. Default `cloudflare-dns.com`. */
  doh_server?: string;
  /** Prefix of URLs that the browser's rules keep from being fetched directly. Default none. */
  cors_proxy?: string;
  /** Largest packet in bytes, 68 to 65,535. Default 1500; the ne2k always has 1500. */
  mtu?: number;
  /** Whether a card whose guest was restored from a saved state keeps the guest's old MAC address inside and has its own outside. Default false. */
  mac_address_translation?: boolean;
  /** Whether an `inbrowser` network has a gateway: DHCP, DNS and names of guests. Default false, as in v86. */
  gateway?: boolean;
};

/** A `net_device` with its defaults. */
export type DeviceSettings = {
  /** `undefined` until the emulator has its card, if it was not said. */
  nic: 'ne2k' | 'virtio' | 'none' | undefined;
  urls: readonly string[];
  id: number | undefined;
  /** As in `52:54:00:01:02:03`. */
  routerMac: string;
  routerIp: string;
  vmIp: string;
  masquerade: boolean;
  /** `undefined`: the backend's own default. */
  dnsMethod: 'static' | 'doh' | 'udp' | undefined;
  /** Whole URL of DNS over HTTPS. */
  dohUrl: string;
  /** Empty: none. */
  corsProxy: string;
  mtu: number;
  translate: boolean;
  gateway: boolean;
};

/** How a network or one of its backends is doing: `down` is between two tries, `off` by `enabled = false`, `closed` for good. */
export type NetworkState = 'connecting' | 'up' | 'down' | 'off' | 'closed';

/** `WebSocket` as browsers have it, of which Node 20 has none: npm's `ws` fits. */
// biome-ignore lint/suspicious/noExplicitAny: the types of `ws` and of the DOM are at odds.
export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => any;

/** `fetch` for what guests ask of the web; a `Response` of any kind is passed on to the guest. */
export type FetchHook = (url: string, init: RequestInit & { duplex?: 'half' }) => Promise<Response>;

/** How a Wisp server knows the page (Wisp v2: password 0x02, key 0x03). */
export type WispCredentials = { username: string; password: string } | { privateKey: CryptoKey; publicKey: Uint8Array };

/** Milliseconds that may pass. */
export type NetworkTimeouts = {
  /** Until an entry of a chain is passed over for the next. Default 5,000. */
  start?: number;
  /** Until a guest's or the page's connect fails. Default 30,000. */
  connect?: number;
  /** Until a DNS query is answered with SERVFAIL. Default 5,000. */
  dns?: number;
  /** First delay before connecting again; it doubles up to `reconnectMax`, and each is jittered by half. Default 500. */
  reconnect?: number;
  /** Longest delay before connecting again. Default 30,000. */
  reconnectMax?: number;
};

/** What the page may inject. */
export type AttachOptions = {
  /** Default: the global `WebSocket`. */
  WebSocket?: WebSocketConstructor;
  /** Default: the global `fetch`. The network's own `fetch` may be set later too, as in v86. */
  fetch?: FetchHook;
  /** The WebAssembly module of a LAN, if not the one inside the package. */
  wasm?: string | URL | Response | BufferSource | WebAssembly.Module;
  credentials?: WispCredentials;
  /**
   * Whether `fetch` backends take HTTPS of guests (port 443), by certificates of this authority, or with `true` of one that is made for the page.
   * Guests get its certificate at `http://mitm.it/`. Default false: port 443 is refused.
   */
  tls?: boolean | CertificateAuthority | PromiseLike<CertificateAuthority>;
  timeouts?: NetworkTimeouts;
  /** As v86's own option, which says the same: for a target that is a URL alone. Default false. */
  mac_address_translation?: boolean;
};
