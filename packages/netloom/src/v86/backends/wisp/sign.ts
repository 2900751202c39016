import type { WispChallenge } from '../../../lan/wisp.ts';
import type { WispCredentials } from '../../types.ts';

/** Signs a server's challenge with Ed25519 (RFC 8032). The hash is that of the raw public key. @throws DOMException if the runtime does not know Ed25519 */
export async function signChallenge(
  { bytes, hash }: WispChallenge,
  { privateKey, publicKey }: Extract<WispCredentials, { privateKey: CryptoKey }>,
): Promise<{ keyHash: Uint8Array; signature: Uint8Array }> {
  const [keyHash, signature] = await Promise.all([
    crypto.subtle.digest(hash, publicKey as Uint8Array<ArrayBuffer>),
    crypto.subtle.sign('Ed25519', privateKey, bytes),
  ]);
  return { keyHash: new Uint8Array(keyHash), signature: new Uint8Array(signature) };
}
