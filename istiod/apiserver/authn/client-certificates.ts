/** Users by client certificates of the server's own CA: the common name is the user, organizations are groups. */
import { createHash } from 'node:crypto';
import type { Clock } from '../../../common/core/clock.ts';
import { describeError } from '../../../common/core/errors.ts';
import type { Authentication, Authenticator } from './authenticator.ts';

/** The chain was verified when the connection began; times are looked at for each request. */
export function clientCertificates(clock: Clock): Authenticator {
  return {
    async authenticate({ certificate }) {
      if (certificate === undefined) return { kind: 'none' };
      try {
        return await userOf(certificate, clock.wall());
      } catch (e) {
        return { kind: 'refused', reason: `the client certificate cannot be read: ${describeError(e)}` };
      }
    },
  };
}

/** The library is loaded by the first that has a certificate: it is a quarter of a start. */
let library: Promise<typeof import('../../../common/identity/x509.ts')> | undefined;

async function userOf(der: Buffer, now: number): Promise<Authentication> {
  library ??= import('../../../common/identity/x509.ts');
  const { ExtendedKeyUsage, ExtendedKeyUsageExtension, X509Certificate } = await library;
  const certificate = new X509Certificate(new Uint8Array(der));
  const refused = (reason: string): Authentication => ({ kind: 'refused', reason: `the client certificate ${reason}` });
  if (certificate.notAfter.getTime() <= now || certificate.notBefore.getTime() > now)
    return refused('is not valid now');
  const usages = certificate.getExtension(ExtendedKeyUsageExtension)?.usages ?? [];
  if (!usages.includes(ExtendedKeyUsage.clientAuth)) return refused('is not for clients');
  const names = certificate.subjectName.getField('CN');
  const [name = ''] = names;
  if (names.length !== 1 || name === '') return refused(`has ${names.length} common names, not one`);
  return {
    kind: 'user',
    user: {
      name,
      uid: '',
      groups: [...certificate.subjectName.getField('O'), 'system:authenticated'],
      extra: {
        'authentication.kubernetes.io/credential-id': [`X509SHA256=${createHash('sha256').update(der).digest('hex')}`],
      },
    },
  };
}
