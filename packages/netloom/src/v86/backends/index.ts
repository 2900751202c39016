/** Which backend has which scheme. */
import { openFetch } from './fetch/index.ts';
import { openInbrowser } from './inbrowser.ts';
import type { OpenEgress, OpenUplink } from './types.ts';
import { parseBackendUrl, type BackendScheme } from './url.ts';
import { openWisp } from './wisp.ts';
import { openWsproxy } from './wsproxy.ts';

const UPLINKS: { [S in BackendScheme]?: OpenUplink } = { inbrowser: openInbrowser, wsproxy: openWsproxy, netloom: openWsproxy };
const EGRESSES: { [S in BackendScheme]?: OpenEgress } = { fetch: openFetch, wisp: openWisp };

/** What a URL of a chain stands for. */
export type Entry =
  | { kind: 'none'; url: string }
  | { kind: 'uplink'; url: string; scheme: BackendScheme; open: OpenUplink }
  | { kind: 'egress'; url: string; corsProxy: string; dnsMethod: 'static' | 'doh'; open: OpenEgress };

/** Reads a URL. @throws NetworkError `EINVAL` */
export function readEntry(url: string): Entry {
  const { scheme, corsProxy } = parseBackendUrl(url);
  const [uplink, egress] = [UPLINKS[scheme], EGRESSES[scheme]];
  if (uplink) return { kind: 'uplink', url, scheme, open: uplink };
  if (egress) return { kind: 'egress', url, corsProxy, dnsMethod: scheme === 'wisp' ? 'doh' : 'static', open: egress };
  return { kind: 'none', url };
}

/** Entries of a chain that are tried together: those next to each other that share a gateway, or any other one by itself. */
export function readStages(urls: readonly string[]): Entry[][] {
  const stages: Entry[][] = [];
  for (const entry of urls.map(readEntry)) {
    const last = stages.at(-1);
    if (entry.kind === 'egress' && last?.[0]?.kind === 'egress') last.push(entry);
    else stages.push([entry]);
  }
  return stages;
}
