/**
 * What a host sends to itself: carried once in each turn, so that nothing of it happens inside the call that sent it.
 */
import { TUN_ROOM } from './abi.ts';
import type { Engine } from './engine.ts';

const FRAMES = 512;

/** Carries loopback's frames in the engine's turns. */
export function carryLoopback(engine: Engine): void {
  engine.hooks.begin = (now) => (engine.watched.size > 0 ? show(engine, now) : engine.exports.run_loopback(now, FRAMES) > 0);
}

/** Carries the frames one by one, and shows each; whether more wait. */
function show(engine: Engine, now: number): boolean {
  for (let frames = 0; frames < FRAMES; frames += 1) {
    const at = engine.exports.show_loopback(now) >>> 0;
    const [length, id, more] = [engine.words[0]!, engine.words[1]!, engine.words[2]!];
    if (at > 0) engine.watched.get(id)?.(engine.bytes.subarray(at + TUN_ROOM, at + length));
    if (!more) return false;
  }
  return true;
}
