/** TLS towards endpoints that end it themselves: tls of DestinationRules. */
import { parseIp } from '../../../common/core/net.ts';
import { extension, type Message } from '../values.ts';
import type { ServerName } from './protocol.ts';
import type { PortPolicy } from './rules.ts';

type ClientTls = NonNullable<PortPolicy['tls']>;

export type Origination =
  /** Bytes go as they are. */
  | { readonly kind: 'none' }
  | { readonly kind: 'tls'; readonly socket: Message; readonly serverName: ServerName }
  /** Nothing may go: in plain text least of all. */
  | { readonly kind: 'refused'; readonly reason: string };

/** Authorities of a system, where an image of Debian's kind has them. */
const systemRoots = '/etc/ssl/certs/ca-certificates.crt';

/** ISTIO_MUTUAL has no meaning at a waypoint, which reaches the mesh by HBONE (ambient-wire 9.4). */
export function origination(tls: ClientTls | undefined, subjectAltNames: readonly string[]): Origination {
  if (tls === undefined) return { kind: 'none' };
  if (tls.mode === 'DISABLE' || tls.mode === 'ISTIO_MUTUAL') return { kind: 'none' };
  if (tls.credentialName !== undefined && tls.credentialName !== '') {
    const reason = `credentialName ${tls.credentialName}: istiod hands out no Secrets; name files of the proxy`;
    return { kind: 'refused', reason };
  }
  const { clientCertificate: chain, privateKey: key } = tls;
  if (tls.mode === 'MUTUAL' && (!chain || !key)) {
    return { kind: 'refused', reason: 'mode MUTUAL needs clientCertificate and privateKey' };
  }
  const isSure = tls.insecureSkipVerify !== true;
  const names = tls.subjectAltNames?.length ? tls.subjectAltNames : subjectAltNames;
  const context = {
    alpn_protocols: ['h2', 'http/1.1'],
    ...(tls.mode === 'MUTUAL' && {
      tls_certificates: [{ certificate_chain: { filename: chain }, private_key: { filename: key } }],
    }),
    ...(isSure && {
      validation_context: {
        trusted_ca: { filename: tls.caCertificates || systemRoots },
        ...(tls.caCrl && { crl: { filename: tls.caCrl } }),
        ...(names.length > 0 && { match_typed_subject_alt_names: names.map(nameMatcher) }),
      },
    }),
  };
  return {
    kind: 'tls',
    socket: extension('envoy.transport_sockets.tls', 'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
      common_tls_context: context,
      ...(tls.sni && { sni: tls.sni }),
    }),
    serverName: { isRequested: !tls.sni, isChecked: isSure && names.length === 0 },
  };
}

function nameMatcher(name: string): Message {
  const type = name.includes('://') ? 'URI' : parseIp(name) !== undefined ? 'IP_ADDRESS' : 'DNS';
  return { san_type: type, matcher: { exact: name } };
}
