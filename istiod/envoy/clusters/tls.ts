/** TLS towards endpoints that end it themselves: tls of DestinationRules. */
import { parseIp } from '../../../common/core/net.ts';
import { credentialOf, type Reader, type SecretPlan } from '../credentials.ts';
import type { MeshView } from '../inputs.ts';
import { ads, extension, type Message } from '../values.ts';
import type { ServerName } from './protocol.ts';
import type { PortPolicy } from './rules.ts';

type ClientTls = NonNullable<PortPolicy['tls']>;

export type Origination =
  /** Bytes go as they are. */
  | { readonly kind: 'none' }
  | {
      readonly kind: 'tls';
      readonly socket: Message;
      readonly serverName: ServerName;
      /** That the socket names. */
      readonly secrets: readonly SecretPlan[];
    }
  /** Nothing may go: in plain text least of all. */
  | { readonly kind: 'refused'; readonly reason: string };

/** Authorities of a system, where an image of Debian's kind has them. */
const systemRoots = '/etc/ssl/certs/ca-certificates.crt';

/** ISTIO_MUTUAL has no meaning at a waypoint, which reaches the mesh by HBONE (ambient-wire 9.4). */
export function origination(
  view: MeshView,
  reader: Reader,
  tls: ClientTls | undefined,
  subjectAltNames: readonly string[],
): Origination {
  if (tls === undefined) return { kind: 'none' };
  if (tls.mode === 'DISABLE' || tls.mode === 'ISTIO_MUTUAL') return { kind: 'none' };
  const isSure = tls.insecureSkipVerify !== true;
  const names = tls.subjectAltNames?.length ? tls.subjectAltNames : subjectAltNames;
  const matchers = names.length > 0 ? { match_typed_subject_alt_names: names.map(nameMatcher) } : {};
  const material =
    tls.credentialName !== undefined && tls.credentialName !== ''
      ? ofSecrets(view, reader, tls, isSure, matchers)
      : ofFiles(tls, isSure, matchers);
  if (material.kind === 'refused') return material;
  const context = { alpn_protocols: ['h2', 'http/1.1'], ...material.context };
  return {
    kind: 'tls',
    secrets: material.secrets,
    socket: extension('envoy.transport_sockets.tls', 'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
      common_tls_context: context,
      ...(tls.sni && { sni: tls.sni }),
    }),
    serverName: { isRequested: !tls.sni, isChecked: isSure && names.length === 0 },
  };
}

type Material =
  | { readonly kind: 'found'; readonly context: Message; readonly secrets: readonly SecretPlan[] }
  | { readonly kind: 'refused'; readonly reason: string };

function ofFiles(tls: ClientTls, isSure: boolean, matchers: Message): Material {
  const { clientCertificate: chain, privateKey: key } = tls;
  if (tls.mode === 'MUTUAL' && (!chain || !key)) {
    return { kind: 'refused', reason: 'mode MUTUAL needs clientCertificate and privateKey, or credentialName' };
  }
  const context = {
    ...(tls.mode === 'MUTUAL' && {
      tls_certificates: [{ certificate_chain: { filename: chain }, private_key: { filename: key } }],
    }),
    ...(isSure && {
      validation_context: {
        trusted_ca: { filename: tls.caCertificates || systemRoots },
        ...(tls.caCrl && { crl: { filename: tls.caCrl } }),
        ...matchers,
      },
    }),
  };
  return { kind: 'found', context, secrets: [] };
}

/** What is named there takes the place of files, those with authorities too. */
function ofSecrets(view: MeshView, reader: Reader, tls: ClientTls, isSure: boolean, matchers: Message): Material {
  const wanted = { certificate: tls.mode === 'MUTUAL', authorities: isSure };
  const found = credentialOf(view, reader, tls.credentialName!, wanted);
  if (found.kind === 'refused') return found;
  const { certificate, authorities } = found;
  const context = {
    ...(certificate && { tls_certificate_sds_secret_configs: [fromAds(certificate)] }),
    ...(authorities && {
      combined_validation_context: {
        default_validation_context: matchers,
        validation_context_sds_secret_config: fromAds(authorities),
      },
    }),
  };
  return { kind: 'found', context, secrets: [certificate, authorities].filter((s) => s !== undefined) };
}

/** A Secret whose content nobody can use does not come: who waits for it must not hold up a start for long. */
function fromAds({ name }: SecretPlan): Message {
  return { name, sds_config: { ...ads, initial_fetch_timeout: { seconds: 1 } } };
}

function nameMatcher(name: string): Message {
  const type = name.includes('://') ? 'URI' : parseIp(name) !== undefined ? 'IP_ADDRESS' : 'DNS';
  return { san_type: type, matcher: { exact: name } };
}
