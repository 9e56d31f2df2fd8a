/** `%DOWNSTREAM_PEER_ISSUER%` and its like: what the certificates of both ends of a TLS connection say. */
import type { X509Certificate } from 'node:crypto';
import { readLeaf } from '../../common/tls/leaf.ts';
import type { TlsDetails } from '../tls/details.ts';
import type { FormatContext, Operator } from './format.ts';
import { compileTime } from './time.ts';

type Read = (context: FormatContext) => TlsDetails | undefined;
type OfCertificate = (certificate: X509Certificate) => string | undefined;

const downstream: Read = ({ request }) => request.connection.tlsDetails;
const upstream: Read = ({ facts }) => facts.upstreamTls;

const of =
  (read: Read, end: 'peer' | 'local', tell: OfCertificate): Operator =>
  (context) => {
    const certificate = read(context)?.[end];
    return (certificate && tell(certificate)) || undefined;
  };

const names = (type: string) => (certificate: X509Certificate) =>
  readLeaf(certificate.raw)
    .names.filter((name) => name.startsWith(`${type}:`))
    .map((name) => name.slice(type.length + 1))
    .join(',');

/** RFC 2253 form; Node has one part a line, the first first. */
const distinguished = (text: string | undefined) =>
  (text ?? '')
    .split('\n')
    .filter((part) => part !== '')
    .reverse()
    .join(',');
const hex = (text: string) => text.replaceAll(':', '').toLowerCase();
const sha256: OfCertificate = ({ fingerprint256 }) => hex(fingerprint256);
const sha1: OfCertificate = ({ fingerprint }) => hex(fingerprint);
const serial: OfCertificate = ({ serialNumber }) => serialNumber.toLowerCase();
const pem: OfCertificate = (certificate) => encodeURIComponent(certificate.toString());

/** With those that the peer sent along. */
function chainOf(certificate: X509Certificate): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let at: X509Certificate | undefined = certificate; at && !chain.includes(at); at = at.issuerCertificate)
    chain.push(at);
  return chain;
}
const chained = (tell: OfCertificate) => (certificate: X509Certificate) => chainOf(certificate).map(tell).join(',');

/** Only of a certificate that was verified. */
const issuer =
  (tell: OfCertificate): Operator =>
  ({ request: { connection } }) => {
    const above = connection.tlsDetails?.peer?.issuerCertificate;
    return connection.peerCertificate === 'verified' && above ? tell(above) : undefined;
  };

const facts = (read: Read, name: 'version' | 'cipher' | 'group' | 'serverName'): Operator => {
  return (context) => read(context)?.[name] || undefined;
};

export const certificateOperators: Readonly<Record<string, Operator>> = {
  DOWNSTREAM_TLS_VERSION: facts(downstream, 'version'),
  DOWNSTREAM_TLS_CIPHER: facts(downstream, 'cipher'),
  DOWNSTREAM_LOCAL_DNS_SAN: of(downstream, 'local', names('dns')),
  DOWNSTREAM_LOCAL_EMAIL_SAN: of(downstream, 'local', names('email')),
  DOWNSTREAM_LOCAL_IP_SAN: of(downstream, 'local', names('ip')),
  DOWNSTREAM_LOCAL_SUBJECT: of(downstream, 'local', ({ subject }) => distinguished(subject)),
  DOWNSTREAM_PEER_CERT: of(downstream, 'peer', pem),
  DOWNSTREAM_PEER_EMAIL_SAN: of(downstream, 'peer', names('email')),
  DOWNSTREAM_PEER_IP_SAN: of(downstream, 'peer', names('ip')),
  DOWNSTREAM_PEER_ISSUER: of(downstream, 'peer', (certificate) => distinguished(certificate.issuer)),
  DOWNSTREAM_PEER_SERIAL: of(downstream, 'peer', serial),
  DOWNSTREAM_PEER_FINGERPRINT_1: of(downstream, 'peer', sha1),
  DOWNSTREAM_PEER_FINGERPRINT_256: of(downstream, 'peer', sha256),
  DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1: of(downstream, 'peer', chained(sha1)),
  DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256: of(downstream, 'peer', chained(sha256)),
  DOWNSTREAM_PEER_CHAIN_SERIALS: of(downstream, 'peer', chained(serial)),
  DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256: issuer(sha256),
  DOWNSTREAM_PEER_ISSUER_SERIAL: issuer(serial),
  UPSTREAM_TLS_VERSION: facts(upstream, 'version'),
  UPSTREAM_TLS_CIPHER: facts(upstream, 'cipher'),
  UPSTREAM_TLS_GROUP: facts(upstream, 'group'),
  UPSTREAM_SERVER_NAME: facts(upstream, 'serverName'),
  UPSTREAM_LOCAL_DNS_SAN: of(upstream, 'local', names('dns')),
  UPSTREAM_LOCAL_IP_SAN: of(upstream, 'local', names('ip')),
  UPSTREAM_LOCAL_URI_SAN: of(upstream, 'local', names('url')),
  UPSTREAM_PEER_CERT: of(upstream, 'peer', pem),
  UPSTREAM_PEER_DNS_SAN: of(upstream, 'peer', names('dns')),
  UPSTREAM_PEER_IP_SAN: of(upstream, 'peer', names('ip')),
  UPSTREAM_PEER_URI_SAN: of(upstream, 'peer', names('url')),
  UPSTREAM_PEER_ISSUER: of(upstream, 'peer', (certificate) => distinguished(certificate.issuer)),
  UPSTREAM_PEER_SUBJECT: of(upstream, 'peer', ({ subject }) => distinguished(subject)),
};

const validity = (read: Read, date: 'validFromDate' | 'validToDate') => (args: string) => {
  const format = compileTime(args);
  return of(read, 'peer', (certificate) => format(certificate[date].getTime()));
};

export const validityOperators: Readonly<Record<string, (args: string) => Operator>> = {
  DOWNSTREAM_PEER_CERT_V_START: validity(downstream, 'validFromDate'),
  DOWNSTREAM_PEER_CERT_V_END: validity(downstream, 'validToDate'),
  UPSTREAM_PEER_CERT_V_START: validity(upstream, 'validFromDate'),
  UPSTREAM_PEER_CERT_V_END: validity(upstream, 'validToDate'),
};
