/** Certificate authorities of pages, wherever a page may be. Handshakes with a client that others wrote: `test/node/tls.test.ts`. */
import { createCertificateAuthority } from '../../src/tls/index.ts';
import { deepEqual, equal, ok, rejects, test } from '../harness.ts';
import { MemoryNetwork } from '../http/memory.ts';

/** The first flight of OpenSSL's client, TLS 1.3, to web.test. */
const HELLO =
  'FgMBAOoBAADmAwNylKfyvfIjlmETzBzJ/v4xMpVeed96f0p5XC5qdNsS1yDemWs1x71g+aSMb1xt6GHmMbvMWJmfYCpqf2cAIPef1AAIEwITAxMBAP8BAACVAAAADQALAAAId2ViLnRlc3QACwAEAwABAgAKAAQAAgAdACMAAAAQAAsACQhodHRwLzEuMQAWAAAAFwAAAA0AHgAcBAMFAwYDCAcICAgJCAoICwgECAUIBgQBBQEGAQArAAMCAwQALQACAQEAMwAmACQAHQAgYwdSxkwhlC+yJXu9lGDj6nS/eJO9xVtyRHiL2eFsblw=';

/** Two ends of a connection. */
async function joined() {
  const network = new MemoryNetwork();
  const listener = await network.listen({ port: 443 });
  const guest = await network.connect({ host: '10.0.0.2', port: 443 });
  return { guest, served: (await listener.accept())! };
}

const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

test('an authority is kept as text, and is the same again', async () => {
  const first = await createCertificateAuthority({ name: 'A page' });
  const second = await createCertificateAuthority({ pem: first.toPem() });
  equal(second.certificate, first.certificate);
  deepEqual([...second.certificateDer], [...bytesOf(first.certificate.replace(/-----.*-----|\n/g, ''))]);
  ok(!first.certificate.includes('PRIVATE'));
  ok((await createCertificateAuthority()).certificate !== first.certificate);
});

test('what is no authority is told why', async () => {
  const { certificate } = await createCertificateAuthority();
  for (const [options, why] of [
    [{ pem: '' }, /no certificate/],
    [{ pem: certificate }, /no private key/],
    [{ pem: 'x'.repeat(1 << 20) }, /at most/],
    [{ pem: 1 as unknown as string }, /no text/],
    [{ name: '' }, /1 to 55 bytes/],
    [{ name: 'x'.repeat(56) }, /1 to 55 bytes/],
  ] as const) {
    await rejects(createCertificateAuthority(options), { code: 'EINVAL', message: why });
  }
});

test("a guest's hello is answered", async () => {
  const authority = await createCertificateAuthority();
  const { guest, served } = await joined();
  const given = new AbortController();
  const accepted = authority.accept(served, { host: '10.0.0.2', signal: given.signal });
  const writer = guest.writable.getWriter();
  await writer.write(bytesOf(HELLO));
  const { value } = await guest.readable.getReader().read();
  // Handshake, TLS 1.2 by its record, server hello.
  deepEqual([value![0], value![1], value![5]], [22, 3, 2]);
  given.abort(new Error('enough'));
  await rejects(accepted, { message: 'enough' });
});

test('what is not TLS, and what ends, is refused', async () => {
  const authority = await createCertificateAuthority();
  for (const [sent, why] of [
    ['GET / HTTP/1.1\r\nHost: web.test\r\n\r\n', /TLS failed/],
    ['', /ended the TLS handshake/],
  ] as const) {
    const { guest, served } = await joined();
    const accepted = authority.accept(served, { host: '10.0.0.2' });
    const writer = guest.writable.getWriter();
    await writer.write(new TextEncoder().encode(sent));
    await writer.close();
    await rejects(accepted, { code: 'ECONNRESET', message: why });
  }
  const { served } = await joined();
  await rejects(authority.accept(served, { host: 'no host' }), { code: 'EINVAL' });
});

test('a guest that says nothing is given up', async () => {
  const authority = await createCertificateAuthority();
  const { served } = await joined();
  await rejects(authority.accept(served, { host: '10.0.0.2', timeout: 20 }), { code: 'ETIMEDOUT' });
});
