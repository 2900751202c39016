import type { Exports } from './abi.ts';
import type { Engine } from './engine.ts';

/** What was dropped, by reason; reasons that did not occur are left out. */
export function dropsOf(engine: Engine<Exports>): Record<string, number> {
  const reasons = engine.exports.drops();
  const words = engine.words.slice(0, 2 * reasons);
  const drops: Record<string, number> = {};
  for (let number = 0; number < reasons; number += 1) {
    const count = words[2 * number]! + words[2 * number + 1]! * 2 ** 32;
    if (count === 0) continue;
    const at = engine.exports.drop_name(number);
    drops[String.fromCharCode(...engine.bytes.subarray(at, at + engine.words[0]!))] = count;
  }
  return drops;
}
