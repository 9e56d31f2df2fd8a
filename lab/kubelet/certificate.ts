/** The certificate of a node's kubelet. No CA signs it: the Node names it (common/kube/kubelet/requests.ts). */
import { KeyObject, webcrypto } from 'node:crypto';
import { X509CertificateGenerator } from '../../common/identity/x509.ts';

export interface KubeletCertificate {
  /** PEM. */
  readonly key: string;
  readonly certificate: string;
}

/** Ms. Longer than any lab lives. */
const lifetime = 365 * 86_400_000;
const backdating = 120_000;

/** `now`: ms since the epoch. */
export async function makeCertificate(node: string, now: number): Promise<KubeletCertificate> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      name: `CN=system:node:${node}`,
      notBefore: new Date(now - backdating),
      notAfter: new Date(now + lifetime),
      keys,
      signingAlgorithm: algorithm,
    },
    webcrypto as Crypto,
  );
  return {
    key: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string,
    certificate: `${certificate.toString('pem')}\n`,
  };
}
