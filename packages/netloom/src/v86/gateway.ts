/** Which tab of an origin is the gateway of a LAN that all of them share. */

/**
 * Claims to be it: answers whether it is so at once; if not, calls when it is, as the tab that was has gone. Where there are no Web Locks, as in
 * Node 20, everybody is it.
 */
export async function claimGateway(network: string, signal: AbortSignal, granted: () => void): Promise<boolean> {
  const locks = (globalThis.navigator as Navigator | undefined)?.locks;
  if (!locks) return true;
  const held = () => new Promise<void>((release) => signal.addEventListener('abort', () => release(), { once: true }));
  const name = `netloom-gateway-${network}`;
  const now = await new Promise<boolean>((resolve) => {
    locks
      .request(name, { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        return lock && !signal.aborted ? held() : undefined;
      })
      .catch(() => resolve(true));
  });
  if (!now && !signal.aborted) {
    const later = () => {
      granted();
      return held();
    };
    locks.request(name, { signal }, later).catch(() => {});
  }
  return now;
}

const HEADER_BYTES = 12;
const QUESTION_BYTES = 4;

/** Answers a DNS query with "no such name" (RFC 1035 4.1.1), as nothing beyond this LAN has any; `undefined` if it is no query of one name. */
export function noSuchName(query: Uint8Array): Uint8Array | undefined {
  if (query.length < HEADER_BYTES || query[4] !== 0 || query[5] !== 1) return undefined;
  let end = HEADER_BYTES;
  while (end < query.length && query[end] !== 0) {
    if (query[end]! > 63) return undefined;
    end += query[end]! + 1;
  }
  end += 1 + QUESTION_BYTES;
  if (end > query.length) return undefined;
  const answer = query.slice(0, end);
  answer[2] = 0x80 | (answer[2]! & 0x79);
  answer[3] = 0x83;
  answer.fill(0, 6, HEADER_BYTES);
  return answer;
}
