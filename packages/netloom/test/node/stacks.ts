/**
 * Two stacks joined by a cable: `near` is 10.9.0.1, `far` 10.9.0.2.
 *
 * @module
 */
import { createStack, patch } from '../../src/index.ts';
import type { NetworkStack } from '../../src/index.ts';

export const NEAR = '10.9.0.1';
export const FAR = '10.9.0.2';

export type Stacks = { near: NetworkStack; far: NetworkStack; close(): Promise<void> };

export async function createStacks(): Promise<Stacks> {
  const [near, far] = await Promise.all([createStack({ nameServer: { ip: FAR } }), createStack()]);
  const cable = patch(await near.interfaces.createTap({ ip: `${NEAR}/24` }), await far.interfaces.createTap({ ip: `${FAR}/24` }));
  const close = async () => {
    cable.close();
    await Promise.all([near.close(), far.close()]);
  };
  return { near, far, close };
}
