import { claimGateway } from '../../src/v86/gateway.ts';
import { equal, test } from '../harness.ts';

test('v86 inbrowser: of several tabs one is the gateway, and the next one when it has gone', async () => {
  const [first, second, third] = [new AbortController(), new AbortController(), new AbortController()];
  const never = () => {
    throw new Error('granted to who has it, or has gone');
  };
  equal(await claimGateway('test', first.signal, never), true);
  if (!(globalThis.navigator as Navigator | undefined)?.locks) {
    equal(await claimGateway('test', second.signal, never), true, 'without Web Locks everybody is it');
    return;
  }
  let grant = () => {};
  const granted = new Promise<void>((resolve) => void (grant = resolve));
  equal(await claimGateway('test', second.signal, never), false);
  equal(await claimGateway('test', third.signal, () => grant()), false);
  equal(await claimGateway('another', second.signal, never), true);
  second.abort();
  first.abort();
  await granted;
  third.abort();
});
