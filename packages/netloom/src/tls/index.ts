/**
 * TLS of guests, ended in the page: a certificate authority of the page's own, which shows guests a certificate for each name that they ask
 * for. Guests must be given its certificate; nobody else must trust it. The module is loaded with the first authority.
 *
 * @module
 */
export { NetworkError, type ErrorCode } from '../errors.ts';
export { createCertificateAuthority, type CertificateAuthority, type CertificateAuthorityOptions } from './authority.ts';
export type { AcceptOptions, SecureConnection } from './connection.ts';
