/**
 * Answers of name servers until they expire: a fixed number of them, of which the one used longest ago makes room.
 */
import type { DnsRecord } from './types.ts';

/** Records with the seconds that each has left, or none where the name or the type does not exist. */
export type Answer = { records: DnsRecord[]; ttl: number };

// RFC 8767 4 and RFC 2308 5 advise limits of this order.
const MAX_SECONDS = 86_400;
const MAX_NEGATIVE_SECONDS = 10_800;

export class DnsCache {
  readonly #entries = new Map<string, { records: DnsRecord[]; stored: number; expires: number }>();
  readonly #size: number;

  constructor(size: number) {
    this.#size = size;
  }

  get(key: string): DnsRecord[] | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    const now = Date.now();
    // A clock that was set back would keep entries for longer than they last.
    if (now >= entry.expires || now < entry.stored) return undefined;
    this.#entries.set(key, entry);
    const age = Math.floor((now - entry.stored) / 1000);
    return entry.records.map((record) => ({ ...record, ttl: Math.max(record.ttl - age, 0) }));
  }

  set(key: string, { records, ttl }: Answer): void {
    const seconds = Math.min(ttl, records.length > 0 ? MAX_SECONDS : MAX_NEGATIVE_SECONDS);
    if (!(seconds > 0) || this.#size === 0) return;
    const now = Date.now();
    this.#entries.set(key, { records, stored: now, expires: now + seconds * 1000 });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#size) break;
      this.#entries.delete(oldest);
    }
  }

  clear(): void {
    this.#entries.clear();
  }
}
