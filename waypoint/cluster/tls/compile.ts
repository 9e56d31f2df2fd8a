/** Envoy's TLS contexts, checked; for clusters here, and CommonTlsContext for listeners. */
import type { Fields } from '../../../common/envoy/fields.ts';
import type { DataSource, SanMatch, SecretReference, TextMatch, TlsClient, TlsCommon, Validation } from './types.ts';

type Version = TlsCommon['minVersion'];

export function readTlsClient(context: Fields): TlsClient {
  const common = context.message('common_tls_context');
  // TLS 1.3 has none, and Node's client never agrees to one; how many sessions are kept for resumption.
  context.harmless('allow_renegotiation', 'max_session_keys');
  return { ...(common ? readTlsCommon(common, 'TLSv1.2') : plainCommon), sni: context.text('sni') };
}

const plainCommon: TlsCommon = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: [],
  curves: [],
  alpn: [],
  certificates: [],
  validation: undefined,
};

/** `oldest` is the side's default: 1.2 for both in Envoy. */
export function readTlsCommon(common: Fields, oldest: Version): TlsCommon {
  const params = common.message('tls_params');
  const inline = common.list('tls_certificates').map((certificate) => ({
    kind: 'inline' as const,
    pair: readPair(certificate),
  }));
  const secrets = common.list('tls_certificate_sds_secret_configs').flatMap((config) => {
    const secret = readSecret(config);
    return secret ? [{ kind: 'secret' as const, secret }] : [];
  });
  return {
    minVersion: readVersion(params, 'tls_minimum_protocol_version', oldest),
    maxVersion: readVersion(params, 'tls_maximum_protocol_version', 'TLSv1.3'),
    ciphers: (params?.texts('cipher_suites') ?? []).flatMap((group) => group.replace(/[[\]]/g, '').split('|')),
    curves: params?.texts('ecdh_curves') ?? [],
    alpn: common.texts('alpn_protocols'),
    certificates: [...inline, ...secrets],
    validation: readValidationOf(common),
  };
}

function readVersion(params: Fields | undefined, name: string, absent: Version): Version {
  const versions: Readonly<Record<string, Version>> = {
    TLS_AUTO: absent,
    TLSv1_0: 'TLSv1',
    TLSv1_1: 'TLSv1.1',
    TLSv1_2: 'TLSv1.2',
    TLSv1_3: 'TLSv1.3',
  };
  return params?.choice(name, 'TLS_AUTO', versions) ?? absent;
}

function readValidationOf(common: Fields): TlsCommon['validation'] {
  const inline = common.message('validation_context');
  if (inline) return { defaults: readValidation(inline) };
  const secret = common.message('validation_context_sds_secret_config');
  if (secret) return withSecret(emptyValidation, readSecret(secret));
  const combined = common.message('combined_validation_context');
  if (!combined) return undefined;
  const defaults = combined.message('default_validation_context');
  const reference = combined.message('validation_context_sds_secret_config');
  return withSecret(defaults ? readValidation(defaults) : emptyValidation, reference && readSecret(reference));
}

function withSecret(defaults: Validation, secret: SecretReference | undefined): TlsCommon['validation'] {
  return { defaults, ...(secret && { secret }) };
}

/** SdsSecretConfig. */
export function readSecret(config: Fields): SecretReference | undefined {
  const name = config.text('name');
  if (name === '') config.mistake('name', 'is empty');
  const source = config.message('sds_config');
  if (!source) {
    config.mistake('sds_config', 'is missing: only secrets of an SDS server are known');
    return undefined;
  }
  // How long a start waits; only V3 exists.
  source.harmless('initial_fetch_timeout', 'resource_api_version');
  if (source.message('ads')) return { name, source: { kind: 'ads' } };
  const api = source.message('api_config_source');
  if (!api) {
    config.mistake('sds_config', 'is neither ads nor api_config_source');
    return undefined;
  }
  api.choice('api_type', 'DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE', { GRPC: true, DELTA_GRPC: true });
  api.harmless('transport_api_version', 'set_node_on_first_message_only', 'request_timeout', 'refresh_delay');
  const cluster = api.list('grpc_services')[0]?.message('envoy_grpc')?.text('cluster_name');
  if (!cluster) {
    api.mistake('grpc_services', 'the first is no envoy_grpc with a cluster_name');
    return undefined;
  }
  return { name, source: { kind: 'cluster', cluster } };
}

/** TlsCertificate, inline or in a Secret. */
export function readPair(certificate: Fields) {
  return {
    chain: readSource(certificate, 'certificate_chain') ?? missing(certificate, 'certificate_chain'),
    key: readSource(certificate, 'private_key') ?? missing(certificate, 'private_key'),
  };
}

function missing(owner: Fields, name: string): DataSource {
  owner.mistake(name, 'is missing');
  return { kind: 'inline', bytes: Buffer.alloc(0) };
}

/** core.v3.DataSource. */
export function readSource(owner: Fields, name: string): DataSource | undefined {
  const source = owner.message(name);
  if (!source) return undefined;
  if (source.has('filename')) return { kind: 'file', path: source.text('filename') };
  if (source.has('inline_string')) return { kind: 'inline', bytes: Buffer.from(source.text('inline_string')) };
  if (source.has('inline_bytes')) return { kind: 'inline', bytes: source.bytes('inline_bytes') };
  owner.mistake(name, 'is neither filename nor inline');
  return undefined;
}

/** A chain to a trusted certificate, and nothing more, is asked for. */
export const emptyValidation: Validation = {
  systemRoots: false,
  sans: [],
  certificateHashes: [],
  spkiHashes: [],
  verifyChain: true,
};

/** CertificateValidationContext, inline or in a Secret. */
export function readValidation(context: Fields): Validation {
  return {
    trustedCa: readSource(context, 'trusted_ca'),
    systemRoots: context.message('system_root_certs') !== undefined,
    sans: [
      ...context.list('match_typed_subject_alt_names').flatMap((matcher) => {
        const type = matcher.choice('san_type', 'SAN_TYPE_UNSPECIFIED', sanTypes);
        const text = matcher.message('matcher');
        const match = text && readTextMatch(text);
        return type && match ? [{ type, match }] : [];
      }),
      // The older field: any type.
      ...context.list('match_subject_alt_names').flatMap((matcher) => {
        const match = readTextMatch(matcher);
        return match ? Object.values(sanTypes).map((type) => ({ type, match })) : [];
      }),
    ],
    certificateHashes: context.texts('verify_certificate_hash').map((hash) => hash.replaceAll(':', '').toLowerCase()),
    spkiHashes: context.texts('verify_certificate_spki'),
    crl: readSource(context, 'crl'),
    verifyChain:
      context.choice('trust_chain_verification', 'VERIFY_TRUST_CHAIN', {
        VERIFY_TRUST_CHAIN: true,
        ACCEPT_UNTRUSTED: false,
      }) ?? true,
  };
}

const sanTypes: Readonly<Record<string, SanMatch['type']>> = {
  EMAIL: 'email',
  DNS: 'dns',
  URI: 'uri',
  IP_ADDRESS: 'ip',
};

/** type.matcher.v3.StringMatcher. */
function readTextMatch(matcher: Fields): TextMatch | undefined {
  const ignoreCase = matcher.flag('ignore_case');
  for (const kind of ['exact', 'prefix', 'suffix', 'contains'] as const) {
    if (matcher.has(kind)) return { kind, text: matcher.text(kind), ignoreCase };
  }
  const regex = matcher.message('safe_regex');
  if (regex) {
    regex.harmless('google_re2');
    return { kind: 'regex', text: regex.text('regex') };
  }
  matcher.mistake('match_pattern', 'is missing');
  return undefined;
}
