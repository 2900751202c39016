/**
 * What a backend is: an uplink, the far end of the guests' frames, or an egress, which takes what guests open through the gateway.
 *
 * A factory starts connecting at once, returns at once and never throws; what goes wrong is told by `report`.
 */
import type { Flow, Lan, Query, TcpFlow } from '../../lan/types.ts';
import type { AttachOptions, DeviceSettings, NetworkState, NetworkTimeouts, WebSocketConstructor, WispCredentials } from '../types.ts';

/** States that a backend reports. */
export type BackendState = Extract<NetworkState, 'connecting' | 'up' | 'down'>;

/** What every backend is given. */
export type BackendContext = {
  /** As the page wrote it. */
  readonly url: string;
  readonly device: DeviceSettings;
  readonly WebSocket: WebSocketConstructor | undefined;
  readonly credentials: WispCredentials | undefined;
  readonly tls?: AttachOptions['tls'];
  readonly timeouts: Required<NetworkTimeouts>;
  /** Tells a change of state, with why if it is for the worse. It is `connecting` before the first call. */
  report(state: BackendState, error?: Error): void;
};

/** The far end of frames. */
export interface UplinkBackend {
  /** Takes a frame, which is valid during the call; drops it if it cannot be sent soon. */
  send(frame: Uint8Array): void;
  /** Lets everything go, at once; reports nothing any more. */
  close(): void;
}

/** What an uplink is given. */
export type UplinkContext = BackendContext & {
  /** Takes a frame, which need be valid only during the call. */
  receive(frame: Uint8Array): void;
};

export type OpenUplink = (context: UplinkContext) => UplinkBackend;

/** The way out of a LAN with a gateway. */
export interface EgressBackend {
  /** Whether such a flow is of its kind: asked before `open`, whatever the state. */
  serves(flow: Flow): boolean;
  /** Takes a flow: accepts, relays or refuses it, now or later. Flows that wait when the egress closes are refused by it. */
  open(flow: Flow): void;
  /** Answers a DNS query by `lan.answer`, by a resolver beyond (`dns_method` `udp`). Without it, there is none. */
  query?(query: Query): void;
  /** Lets everything go, at once: its connections are reset; reports nothing any more. */
  close(): void;
}

/** What an egress is given. */
export type EgressContext = BackendContext & {
  readonly lan: Lan;
  /** The page's `fetch` hook of the network of the guest that a flow is from. */
  fetch(flow: TcpFlow, url: string, init: RequestInit & { duplex?: 'half' }): Promise<Response>;
};

export type OpenEgress = (context: EgressContext) => EgressBackend;
