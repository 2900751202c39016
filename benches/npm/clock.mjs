/** How many seconds something takes. */
export async function seconds(run) {
  const began = performance.now();
  await run();
  return (performance.now() - began) / 1000;
}

/** The next turn of the event loop. */
export const turn = () => new Promise((resolve) => setTimeout(resolve));
