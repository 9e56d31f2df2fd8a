/** What the data folder has of an earlier start, checked without the X.509 library, which is a quarter of a start. Pure. */
import { createPrivateKey, X509Certificate } from 'node:crypto';

export interface Serving {
  /** PEM of the server's own CA. */
  readonly authority: string;
  /** PEM, of what the server shows to its clients. */
  readonly key: string;
  readonly certificate: string;
}

export interface KeptFiles {
  /** Key and certificate of the CA, PEM. */
  readonly root: string | undefined;
  /** Key and certificate of the server, PEM. */
  readonly serving: string | undefined;
}

export interface Wanted {
  readonly names: readonly string[];
  readonly ips: readonly string[];
  /** Ms since the epoch. */
  readonly now: number;
}

/** Ms that a certificate must still have: a server may run as long as that. */
const atLeast = 30 * 86_400_000;
const certificateBlock = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/;
const keyBlock = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/;

/** undefined: something is missing, damaged, soon over, or does not have these names; who makes it says what. */
export function stillGood({ root, serving }: KeptFiles, { names, ips, now }: Wanted): Serving | undefined {
  if (root === undefined || serving === undefined) return undefined;
  const [authority, certificate, key] = [blockOf(root), blockOf(serving), keyBlock.exec(serving)?.[0] ?? ''];
  try {
    const [ca, own] = [new X509Certificate(authority), new X509Certificate(certificate)];
    const good =
      ca.ca &&
      ca.checkPrivateKey(createPrivateKey(keyBlock.exec(root)?.[0] ?? '')) &&
      ca.verify(ca.publicKey) &&
      own.checkIssued(ca) &&
      own.verify(ca.publicKey) &&
      own.checkPrivateKey(createPrivateKey(key)) &&
      Math.min(ca.validToDate.getTime(), own.validToDate.getTime()) > now + atLeast &&
      own.validFromDate.getTime() <= now &&
      names.every((name) => own.checkHost(name) !== undefined) &&
      ips.every((ip) => own.checkIP(ip) !== undefined);
    return good ? { authority: `${authority}\n`, key: `${key}\n`, certificate: `${certificate}\n` } : undefined;
  } catch {
    return undefined;
  }
}

function blockOf(text: string): string {
  return certificateBlock.exec(text)?.[0] ?? '';
}
