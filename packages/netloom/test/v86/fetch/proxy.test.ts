/** The CORS proxy of the `fetch` backend: its forms, and when it is asked. */
import { proxiedUrl, targetOf } from '../../../src/v86/backends/fetch/target.ts';
import { deepEqual, equal, ok, test } from '../../harness.ts';
import { fromNetwork, get, setUp } from './setup.ts';

const PROXY = 'http://proxy.test/?url=';
const viaProxy = (url: string) => PROXY + encodeURIComponent(url);
const post = 'POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi';

test('fetch: a proxy whose prefix is a query gets the URL encoded, another as it is', () => {
  equal(proxiedUrl('https://corsproxy.test/?', 'http://a/b?c'), 'https://corsproxy.test/?http%3A%2F%2Fa%2Fb%3Fc');
  equal(proxiedUrl('https://uncors.test/?url=', 'http://a/'), 'https://uncors.test/?url=http%3A%2F%2Fa%2F');
  equal(proxiedUrl('https://anywhere.test/', 'http://a/b?c'), 'https://anywhere.test/http://a/b?c');
  equal(proxiedUrl('http://anywhere.test:8080', 'http://a/b?c'), 'http://anywhere.test:8080/http://a/b?c');
});

test('fetch: a page that came over TLS asks directly over TLS, the proxy for what the guest said, and its own machine as it is', () => {
  deepEqual(targetOf('http://a/b', PROXY, true), { href: 'http://a/b', direct: 'https://a/b', proxied: viaProxy('http://a/b') });
  deepEqual(targetOf('http://a:8080/', '', true), { href: 'http://a:8080/', direct: 'https://a:8080/', proxied: undefined });
  equal(targetOf('http://127.0.0.1:1/', '', true).direct, 'http://127.0.0.1:1/');
  equal(targetOf('http://80.external/', PROXY, true).direct, 'http://localhost/');
});

test('fetch: the direct way is first, the proxy second, and what worked is remembered', async () => {
  const { ask, calls } = await setUp(
    async (url) => {
      if (!url.startsWith(PROXY)) throw new TypeError('Failed to fetch');
      return fromNetwork('by proxy', { url });
    },
    { corsProxy: PROXY },
  );
  ok((await ask(get('http://a/1'))).includes('by proxy'));
  ok((await ask(get('http://a/2'))).includes('by proxy'));
  deepEqual(
    calls.map(({ url }) => url),
    ['http://a/1', viaProxy('http://a/1'), viaProxy('http://a/2')],
  );
});

test('fetch: a proxy that is gone is passed over again', async () => {
  let closed = true;
  const { ask, calls } = await setUp(
    async (url) => {
      if (url.startsWith(PROXY) !== closed) throw new TypeError('Failed to fetch');
      return fromNetwork('hello', { url });
    },
    { corsProxy: PROXY },
  );
  ok((await ask(get('http://a/1'))).includes('hello'));
  closed = false;
  ok((await ask(get('http://a/2'))).includes('hello'));
  deepEqual(
    calls.map(({ url }) => url),
    ['http://a/1', viaProxy('http://a/1'), viaProxy('http://a/2'), 'http://a/2'],
  );
});

test('fetch: a request that changes something is made once, the way that an innocent one has found', async () => {
  for (const open of [true, false]) {
    const { ask, calls } = await setUp(
      async (url) => {
        if (!open && !url.startsWith(PROXY)) throw new TypeError('Failed to fetch');
        return fromNetwork(null, { url });
      },
      { corsProxy: PROXY },
    );
    ok((await ask(post)).startsWith('HTTP/1.1 200'));
    deepEqual(
      calls.map(({ url, init }) => `${init.method} ${url}`),
      ['HEAD http://a/x', `POST ${open ? 'http://a/x' : viaProxy('http://a/x')}`],
    );
  }
});

test('fetch: where neither way works, the guest is told of the last', async () => {
  const { ask } = await setUp(() => Promise.reject(new TypeError('Failed to fetch')), { corsProxy: PROXY });
  const text = await ask(get('http://a/1'));
  ok(text.startsWith('HTTP/1.1 502 Fetch Error\r\n'));
  ok(text.includes(`\r\n\r\nFetch ${viaProxy('http://a/1')} failed:\n\nTypeError: Failed to fetch`));
});
