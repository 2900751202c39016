/** The place where guests get the certificate that they are to trust, as users of mitmproxy know it. */
import { utf8 } from '../../../http/bytes.ts';
import type { CertificateAuthority } from '../../../tls/authority.ts';
import { textAnswer } from './answer.ts';

/** Its host, which no guest reaches elsewhere while the page takes HTTPS. */
export const DOWNLOAD_HOST = 'mitm.it';

const PEM = ['/ca.pem', '/cert/pem'];
const DER = ['/ca.crt', '/ca.cer', '/ca.der', '/cert/cer'];

const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>The certificate of this network</title></head><body>
<h1>The certificate of this network</h1>
<p>The web page that this machine runs in fetches HTTPS for it, and shows certificates of its own authority. Programs here believe them once
they trust this one. The page sees all that they send.</p>
<ul><li><a href="/ca.pem">ca.pem</a> (PEM)</li><li><a href="/ca.crt">ca.crt</a> (DER)</li></ul>
<h2>Debian, Ubuntu, Alpine</h2>
<pre>wget -O /usr/local/share/ca-certificates/netloom.crt http://mitm.it/ca.pem
update-ca-certificates</pre>
<h2>Fedora</h2>
<pre>curl -o /etc/pki/ca-trust/source/anchors/netloom.pem http://mitm.it/ca.pem
update-ca-trust</pre>
<h2>Arch</h2>
<pre>curl -o /tmp/netloom.pem http://mitm.it/ca.pem
trust anchor /tmp/netloom.pem</pre>
<h2>One program</h2>
<pre>wget -O /tmp/ca.pem http://mitm.it/ca.pem
curl --cacert /tmp/ca.pem https://example.com/
SSL_CERT_FILE=/tmp/ca.pem program
NODE_EXTRA_CA_CERTS=/tmp/ca.pem node program.js</pre>
<h2>Windows</h2>
<p>Open <a href="/ca.crt">ca.crt</a>, and install it into "Trusted Root Certification Authorities".</p>
<h2>Firefox</h2>
<p>Settings, Privacy &amp; Security, View Certificates, Authorities, Import.</p>
</body></html>
`;

/** What a guest is answered there. */
export function downloadOf(request: Request, { certificate, certificateDer }: CertificateAuthority): Response {
  if (request.method !== 'GET' && request.method !== 'HEAD') return textAnswer(405, 'Method Not Allowed', 'only GET and HEAD');
  const { pathname } = new URL(request.url);
  if (pathname === '/') return file(request, utf8(PAGE), 'text/html; charset=utf-8');
  if (PEM.includes(pathname)) return file(request, utf8(certificate), 'application/x-pem-file', 'netloom.pem');
  if (DER.includes(pathname)) return file(request, certificateDer, 'application/x-x509-ca-cert', 'netloom.crt');
  return textAnswer(404, 'Not Found', 'http://mitm.it/ has the certificate of this network');
}

function file(request: Request, bytes: Uint8Array, type: string, name?: string): Response {
  const headers = new Headers({ 'content-type': type, 'content-length': String(bytes.length), 'cache-control': 'no-store' });
  if (name !== undefined) headers.set('content-disposition', `attachment; filename="${name}"`);
  return new Response(request.method === 'HEAD' ? null : (bytes as Uint8Array<ArrayBuffer>), { headers });
}
