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
