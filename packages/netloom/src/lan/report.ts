/** Calls what others gave; what it throws must be seen, and must not keep the LAN from its turn. False if it threw. */
export function guardedly(call: () => void): boolean {
  try {
    call();
    return true;
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
    return false;
  }
}
