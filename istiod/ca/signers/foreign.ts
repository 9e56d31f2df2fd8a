/** What comes back from a CA elsewhere, and what may be sent there: it may honour all that a request names. Pure. */
import { X509Certificate } from 'node:crypto';
import { formatSpiffe } from '../../../common/identity/spiffe.ts';
import { Pkcs10CertificateRequest, SubjectAlternativeNameExtension } from '../../../common/identity/x509.ts';
import type { Identity } from '../../../common/mesh/types.ts';
import { BadRequest } from '../authority.ts';
import { certificatesIn, type TrustedRoot } from '../trust.ts';
import type { Signed } from './signer.ts';

const subjectAlternativeName = '2.5.29.17';

/** BadRequest unless the request names this identity alone. */
export function requireOnlyName(csr: string, identity: Identity): void {
  const found = new Pkcs10CertificateRequest(csr).extensions.filter((e) => e.type === subjectAlternativeName);
  const names = found.flatMap((e) => new SubjectAlternativeNameExtension(e.rawData).names.items);
  const wanted = formatSpiffe(identity);
  if (names.length !== 1 || names[0]!.type !== 'url' || names[0]!.value !== wanted) {
    const shown = names.map((n) => n.value).join(' and ') || 'nobody';
    throw new BadRequest(`the CSR names ${shown}; the CA elsewhere would sign that, and only ${wanted} may be signed`);
  }
}

/** The chain in the order that it is sent in, without its root; throws when it leads to none of the roots. */
export function readChain(pem: readonly string[], roots: readonly TrustedRoot[]): Signed {
  const found = pem.flatMap((text) => certificatesIn(text)).map((block) => new X509Certificate(block));
  const [leaf] = found;
  if (leaf === undefined) throw new Error('the CA elsewhere gave no certificate');
  const trusted = roots.map((r) => ({ id: r.id, certificate: new X509Certificate(r.pem) }));
  const chain = [leaf];
  for (;;) {
    const last = chain.at(-1)!;
    const signs = (c: X509Certificate) => last.checkIssued(c) && last.verify(c.publicKey);
    const root = trusted.find(({ certificate }) => signs(certificate));
    if (root !== undefined) return { chain: chain.map((c) => c.toString()), roots, under: root.id };
    const next = found.find((c) => c.ca && signs(c) && !chain.some((known) => known.raw.equals(c.raw)));
    if (next === undefined) throw new Error('the certificate of the CA elsewhere leads to none of its roots');
    chain.push(next);
  }
}
