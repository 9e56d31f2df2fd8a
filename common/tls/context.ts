/** The parameters of mesh TLS (ambient-wire 1.2), the same for both roles. */
import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { WorkloadCertificate } from '../identity/types.ts';
import type { TlsPolicy } from './policy.ts';

/** The only protocol offered and accepted. */
export const alpn = 'h2';

const suites = 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256';
const suitesOf12 =
  'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256';

/** TLS 1.3 with two suites in this order, and TLS 1.2 where the policy has it; no tickets, so that no session outlives a certificate. */
export function secureOptions(certificate: WorkloadCertificate, policy: TlsPolicy): SecureContextOptions {
  return {
    key: certificate.privateKey,
    cert: certificate.chain.join('\n'),
    ca: [...certificate.roots],
    minVersion: policy.oldest,
    maxVersion: 'TLSv1.3',
    ciphers: policy.oldest === 'TLSv1.3' ? suites : `${suites}:${suitesOf12}`,
    ...(policy.keyExchange === 'pqc' && { ecdhCurve: 'X25519MLKEM768' }),
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

export const clientContext = keptFor(
  (certificate, policy): SecureContext => createSecureContext(secureOptions(certificate, policy)),
);

/**
 * Made once for each certificate and policy: parsing key, chain and roots costs more than a handshake. A rotated certificate is
 * another object and gets its own.
 */
export function keptFor<T>(
  make: (certificate: WorkloadCertificate, policy: TlsPolicy) => T,
): (certificate: WorkloadCertificate, policy: TlsPolicy) => T {
  const kept = new WeakMap<TlsPolicy, WeakMap<WorkloadCertificate, T>>();
  return (certificate, policy) => {
    let ofPolicy = kept.get(policy);
    if (!ofPolicy) {
      ofPolicy = new WeakMap();
      kept.set(policy, ofPolicy);
    }
    let found = ofPolicy.get(certificate);
    if (found === undefined) {
      found = make(certificate, policy);
      ofPolicy.set(certificate, found);
    }
    return found;
  };
}
