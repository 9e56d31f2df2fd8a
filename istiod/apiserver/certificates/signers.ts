/**
 * What the server's own CA signs for whom: the signers of Kubernetes that are about its own users and kubelets. Requests for
 * other signers wait for who serves those.
 */
import { webcrypto } from 'node:crypto';
import type { Clock } from '../../../common/core/clock.ts';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '../../../common/identity/x509.ts';
import type { Issuer } from '../../ca/issuer.ts';
import { newSerial } from '../../ca/self-signed.ts';
import { administrators } from '../authz/authorizer.ts';
import { pemOf, type SigningSpec, signers } from './requests.ts';

/** Seconds. */
const longest = 365 * 86_400;
/** Ms that clocks of peers may be behind ours. */
const backdating = 120_000;
/** RFC 5280 4.2.1.6. */
const subjectAlternativeName = '2.5.29.17';

/** Why the signer does not sign this; the key and its proof are checked before (verifyCsr). */
export function refusalOf(spec: SigningSpec): string | undefined {
  const signer = signers.get(spec.signerName);
  if (signer === undefined) return `nobody here signs for ${spec.signerName}`;
  const csr = new Pkcs10CertificateRequest(pemOf(spec));
  const usages = spec.usages ?? [];
  const allowed = ['digital signature', 'key encipherment', signer.needs];
  const surplus = usages.find((u) => !allowed.includes(u));
  if (surplus !== undefined) return `usage ${JSON.stringify(surplus)} is not one of ${allowed.join(', ')}`;
  if (!usages.includes(signer.needs)) return `usage ${JSON.stringify(signer.needs)} is missing`;
  const [names, organizations] = [csr.subjectName.getField('CN'), csr.subjectName.getField('O')];
  const [name = ''] = names;
  if (names.length !== 1 || name === '') return `the subject has ${names.length} common names, not one`;
  // Whoever could get this one would be asked for nothing any more.
  if (signer.needs === 'client auth' && organizations.includes(administrators))
    return `use of ${spec.signerName} signer with ${administrators} group is not allowed`;
  if (signer.ofNode && !(name.startsWith('system:node:') && organizations.join() === 'system:nodes'))
    return 'the subject must be CN system:node:NAME and O system:nodes alone';
  const alternatives = alternativesOf(csr)?.names.items ?? [];
  if (signer.needs === 'client auth') {
    return signer.ofNode && alternatives.length > 0 ? 'no subject alternative names are allowed' : undefined;
  }
  if (alternatives.length === 0) return 'a DNS name or an IP address is missing';
  return alternatives.every((n) => n.type === 'dns' || n.type === 'ip')
    ? undefined
    : 'only DNS names and IP addresses are allowed';
}

function alternativesOf(csr: Pkcs10CertificateRequest): SubjectAlternativeNameExtension | undefined {
  const found = csr.getExtension(subjectAlternativeName);
  return found === null || found === undefined ? undefined : new SubjectAlternativeNameExtension(found.rawData);
}

/** PEM. Only what `refusalOf` has nothing against. */
export async function signRequest(root: Issuer, spec: SigningSpec, clock: Clock): Promise<string> {
  const csr = new Pkcs10CertificateRequest(pemOf(spec));
  const usages = spec.usages ?? [];
  const server = usages.includes('server auth');
  const alternatives = server ? alternativesOf(csr) : undefined;
  const flags =
    (usages.includes('digital signature') ? KeyUsageFlags.digitalSignature : 0) |
    (usages.includes('key encipherment') ? KeyUsageFlags.keyEncipherment : 0);
  const now = clock.wall();
  const lifetime = Math.min(spec.expirationSeconds ?? longest, longest) * 1000;
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: newSerial(),
      subject: csr.subjectName.toJSON(),
      issuer: root.certificate.subjectName,
      notBefore: new Date(now - backdating),
      notAfter: new Date(Math.min(now + lifetime, root.notAfter)),
      publicKey: csr.publicKey,
      signingKey: root.key,
      signingAlgorithm: root.signing,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        ...(flags === 0 ? [] : [new KeyUsagesExtension(flags, true)]),
        new ExtendedKeyUsageExtension([server ? ExtendedKeyUsage.serverAuth : ExtendedKeyUsage.clientAuth]),
        ...(alternatives === undefined
          ? []
          : [new SubjectAlternativeNameExtension(alternatives.names.toJSON(), false)]),
        await AuthorityKeyIdentifierExtension.create(root.certificate.publicKey, false, webcrypto as Crypto),
      ],
    },
    webcrypto as Crypto,
  );
  return `${certificate.toString('pem')}\n`;
}
