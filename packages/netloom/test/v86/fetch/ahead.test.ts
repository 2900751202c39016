import { endAhead } from '../../../src/v86/backends/fetch/ahead.ts';
import { deepEqual, equal, rejects, test } from '../../harness.ts';

const CHUNK = 256 * 1024;

/** A body of chunks, and how many of them were asked for. */
function bodyOf(chunks: number, fail?: Error) {
  const asked = { chunks: 0, cancelled: undefined as unknown };
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (asked.chunks === chunks) return fail ? controller.error(fail) : controller.close();
        asked.chunks += 1;
        controller.enqueue(new Uint8Array(CHUNK).fill(asked.chunks));
      },
      cancel: (reason) => void (asked.cancelled = reason),
    },
    { highWaterMark: 0 },
  );
  return { body, asked };
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setTimeout(resolve));
}

test('fetch: far from its end, a body is read as the guest reads; near it, to the end', async () => {
  const { body, asked } = bodyOf(8);
  const reader = endAhead(body, 8 * CHUNK).getReader();
  for (let count = 1; count <= 3; count += 1) {
    deepEqual([(await reader.read()).value![0], asked.chunks], [count, count]);
    await turns();
    equal(asked.chunks, count);
  }
  equal((await reader.read()).value![0], 4);
  await turns();
  equal(asked.chunks, 8, 'the last MiB has been read');
  for (let count = 5; count <= 8; count += 1) equal((await reader.read()).value![0], count);
  equal((await reader.read()).done, true);
});

test('fetch: a body that fails, or that the guest gives up, ends as it is', async () => {
  const failing = endAhead(bodyOf(1, new Error('reset')).body, 8 * CHUNK).getReader();
  await failing.read();
  await rejects(failing.read(), { message: 'reset' });
  const { body, asked } = bodyOf(8);
  const reader = endAhead(body, 8 * CHUNK).getReader();
  await reader.read();
  await reader.cancel('enough');
  equal(asked.cancelled, 'enough');
});
