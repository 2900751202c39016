/** Guests of a LAN, as its module lists their addresses. */
import { addressText } from '../engine/address.ts';
import type { Engine } from '../engine/engine.ts';
import { NEIGHBOR_BYTES, type LanExports } from './abi.ts';
import type { LanGuest } from './types.ts';
import { parseMacAddress } from '../wire/address.ts';

export function guestsOf(engine: Engine<LanExports>): LanGuest[] {
  const guests = new Map<string, LanGuest & { addresses: string[] }>();
  const most = Math.floor(engine.arenaBytes / NEIGHBOR_BYTES);
  let count: number;
  let skip = 0;
  do {
    count = engine.exports.list_neighbors(engine.now, skip);
    skip += count;
    for (let number = 0; number < count; number += 1) {
      const place = engine.arena + number * NEIGHBOR_BYTES;
      const entry = engine.bytes.subarray(place, place + NEIGHBOR_BYTES);
      const port = entry[17]! | (entry[18]! << 8) | (entry[19]! << 16) | (entry[20]! << 24);
      const mac = parseMacAddress(entry.subarray(21, 27));
      const name = new TextDecoder().decode(entry.subarray(28, 28 + entry[27]!));
      const key = `${mac}@${port}`;
      const known = guests.get(key) ?? { mac, port, addresses: [], ...(name === '' ? {} : { name }) };
      known.addresses.push(addressText(entry, 0, entry[16]!));
      guests.set(key, known);
    }
  } while (count === most);
  return [...guests.values()];
}
