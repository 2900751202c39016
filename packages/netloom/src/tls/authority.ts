import { loadModule, type Inlined, type WasmSource } from '../engine/module.ts';
import { NetworkError } from '../errors.ts';
import type { ConnectionLike } from '../http/types.ts';
import { acceptTls, now, type AcceptOptions, type SecureConnection } from './connection.ts';
import { TlsInstance } from './instance.ts';

/** What an authority is made of. */
export type CertificateAuthorityOptions = {
  /** What `toPem` gave, or another authority's certificate and private key (ECDSA P-256 or P-384, Ed25519, RSA). Default: a new one. */
  pem?: string;
  /** Name of a new one, of 1 to 55 bytes, to which eight digits of its key are added. Default `Netloom`. */
  name?: string;
  /** The WebAssembly module, if not the one inside the package. */
  wasm?: WasmSource;
};

const load = () => import('../engine/inline/tls.ts');
const MODULE: Inlined = { simd128: load, baseline: load };

/**
 * A certificate authority of the page, made by {@link createCertificateAuthority}.
 *
 * @example
 * ```ts
 * import { createCertificateAuthority } from 'netloom/tls';
 *
 * const authority = await createCertificateAuthority();
 * console.log(authority.certificate.split('\n')[0]); // -----BEGIN CERTIFICATE-----
 * ```
 */
export class CertificateAuthority {
  /** Its certificate as PEM: what guests are to trust. */
  readonly certificate: string;
  /** The same as DER. */
  readonly certificateDer: Uint8Array<ArrayBuffer>;
  readonly #instance: TlsInstance;

  /** @internal */
  constructor(instance: TlsInstance) {
    this.#instance = instance;
    instance.run((exports) => exports.certificate_pem());
    this.certificate = instance.leftText();
    instance.run((exports) => exports.certificate_der());
    this.certificateDer = instance.left();
  }

  /**
   * Its certificate and its private key, for the page to keep where it likes. Who has them can pretend to be any server before those who trust
   * it: keep them from other users and other origins, and never give one authority to several.
   *
   * @throws NetworkError `ERR_STACK_DEAD`
   */
  toPem(): string {
    this.#instance.run((exports) => exports.export_pem());
    return this.#instance.leftText();
  }

  /**
   * Answers the TLS of a guest on a connection that was accepted from it, with a certificate for the server that it asks for. Resolves after the
   * handshake (TLS 1.2 or 1.3, HTTP/1.1 by ALPN); closing and resetting the result does so to `connection`.
   *
   * @throws NetworkError `ECONNRESET` if the guest ends it, does not trust the authority or sends no TLS; `ETIMEDOUT`; `EINVAL` for a host that is none;
   *   the signal's reason
   */
  accept(connection: ConnectionLike, options: AcceptOptions): Promise<SecureConnection> {
    return acceptTls(this.#instance, connection, options);
  }
}

/**
 * Makes a certificate authority, or brings one back that was kept, so that guests that trust it go on doing so.
 *
 * @throws NetworkError `EINVAL` if the PEM is no authority, or has expired; TypeError or WebAssembly.CompileError if the module does not load
 * @example
 * ```ts
 * import { createCertificateAuthority } from 'netloom/tls';
 *
 * const first = await createCertificateAuthority({ name: 'My page' });
 * const kept = first.toPem(); // sessionStorage, IndexedDB, a file of the user's …
 * const second = await createCertificateAuthority({ pem: kept });
 * console.log(second.certificate === first.certificate); // true
 * ```
 */
export async function createCertificateAuthority({ pem, name = 'Netloom', wasm }: CertificateAuthorityOptions = {}): Promise<CertificateAuthority> {
  if (pem !== undefined && typeof pem !== 'string') throw new NetworkError('EINVAL', { message: 'pem is no text' });
  const instance = new TlsInstance(await loadModule(wasm, MODULE));
  instance.begin(pem ?? name, (exports, bytes) => (pem === undefined ? exports.generate(now(), bytes) : exports.import(now(), bytes)));
  return new CertificateAuthority(instance);
}
