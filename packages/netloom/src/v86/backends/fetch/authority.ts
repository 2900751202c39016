/** Whose certificates guests are shown. */
import type { CertificateAuthority } from '../../../tls/authority.ts';
import { throwLater } from '../../card.ts';
import type { AttachOptions } from '../../types.ts';

/** The one of the page, for all networks that bring none: what guests trust survives a change of network. */
let ofPage: Promise<CertificateAuthority> | undefined;

/** Gives the authority of an option when it is first needed, and loads what makes it. */
export function authorityOf(tls: AttachOptions['tls']): (() => PromiseLike<CertificateAuthority>) | undefined {
  if (!tls) return undefined;
  if (tls === true) return () => (ofPage ??= makeAuthority());
  return () => Promise.resolve(tls);
}

async function makeAuthority(): Promise<CertificateAuthority> {
  try {
    const { createCertificateAuthority } = await import('../../../tls/authority.ts');
    return await createCertificateAuthority();
  } catch (error) {
    // What failed to load may be tried again.
    ofPage = undefined;
    // The guest hears of no more than a connection's end.
    throwLater(error);
    throw error;
  }
}
