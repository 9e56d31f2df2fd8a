/** The parameters of mesh TLS (ambient-wire 1.2), the same for both roles. */
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { WorkloadCertificate } from '../identity/types.ts';

/** The only protocol offered and accepted. */
export const alpn = 'h2';

/** TLS 1.3 only, two suites in this order, no tickets, so that no session outlives a certificate. */
export function secureOptions(certificate: WorkloadCertificate): SecureContextOptions {
  return {
    key: certificate.privateKey,
    cert: certificate.chain.join('\n'),
    ca: [...certificate.roots],
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256',
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

const contexts = new WeakMap<WorkloadCertificate, SecureContext>();

/** Parsing key, chain and roots costs more than a handshake; a rotated certificate is another object and gets its own. */
export function clientContext(certificate: WorkloadCertificate): SecureContext {
  let context = contexts.get(certificate);
  if (!context) {
    context = createSecureContext(secureOptions(certificate));
    contexts.set(certificate, context);
  }
  return context;
}
