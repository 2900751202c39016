/** DNS over HTTPS: the one good answer, and everything that is none. */
import { queryDoh } from '../../src/v86/backends/doh.ts';
import { deepEqual, equal, test } from '../harness.ts';

const QUERY = Uint8Array.of(0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 0, 0, 1, 0, 1);
const ANSWER = Uint8Array.of(0, 0, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 0, 0, 1, 0, 1);
const TYPE = { 'content-type': 'application/dns-message' };
const URL = 'https://resolver.test/dns-query';

test('DoH: asks with id 0, and gives the answer the id of the query', async () => {
  let asked: { url: string; init: RequestInit } | undefined;
  const answer = await queryDoh(URL, QUERY, {
    fetch: async (url, init) => {
      asked = { url, init };
      return new Response(ANSWER, { headers: TYPE });
    },
  });
  equal(asked!.url, URL);
  equal(asked!.init.method, 'POST');
  equal(new Headers(asked!.init.headers).get('content-type'), 'application/dns-message');
  deepEqual(asked!.init.body, Uint8Array.of(0, 0, ...QUERY.subarray(2)));
  deepEqual(answer, Uint8Array.of(0xab, 0xcd, ...ANSWER.subarray(2)));
  deepEqual(QUERY.subarray(0, 2), Uint8Array.of(0xab, 0xcd));
});

test('DoH: what is no answer is none', async () => {
  const rows: [string, () => Promise<Response>][] = [
    ['a failure', () => Promise.reject(new TypeError('Failed to fetch'))],
    ['a status', async () => new Response(ANSWER, { status: 502, headers: TYPE })],
    ['another type', async () => new Response(ANSWER, { headers: { 'content-type': 'text/html' } })],
    ['a short message', async () => new Response(ANSWER.subarray(0, 11), { headers: TYPE })],
    ['a query', async () => new Response(QUERY, { headers: TYPE })],
    ['nothing', async () => new Response(null, { headers: TYPE })],
    ['too much', async () => new Response(new Uint8Array(65_536).fill(0x81), { headers: TYPE })],
    [
      'a body that breaks off',
      async () =>
        new Response(
          new ReadableStream({
            pull: (controller) => controller.error(new Error('broken')),
          }),
          { headers: TYPE },
        ),
    ],
    ['nonsense of a hook', async () => undefined as never],
  ];
  for (const [what, fetch] of rows) equal(await queryDoh(URL, QUERY, { fetch }), undefined, what);
  equal(await queryDoh(URL, QUERY.subarray(0, 11), { fetch: async () => new Response(ANSWER, { headers: TYPE }) }), undefined);
});

test('DoH: a resolver that is silent, before its answer and in it, is given up', async () => {
  const signals: AbortSignal[] = [];
  const silent = [
    () => new Promise<Response>(() => undefined),
    async () => new Response(new ReadableStream({ start: (controller) => controller.enqueue(ANSWER) }), { headers: TYPE }),
  ];
  for (const answer of silent) {
    const fetch = (_url: string, { signal }: RequestInit) => {
      signals.push(signal!);
      return answer();
    };
    equal(await queryDoh(URL, QUERY, { fetch, timeout: 5 }), undefined);
    const stop = new AbortController();
    const asked = queryDoh(URL, QUERY, { fetch, signal: stop.signal });
    stop.abort();
    equal(await asked, undefined);
  }
  deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, true, true, true],
  );
});
