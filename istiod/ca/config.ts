/** Settings of the CA, under Istio's names where it has one. */
import type { SettingsReader } from '../../common/config/reader.ts';
import { splitList } from '../../common/config/reader.ts';
import { type Millis, millis } from '../../common/core/brand.ts';

/** A CA elsewhere. */
export type ExternalCa = {
  /** File with what the mesh shall trust. */
  readonly roots: string;
} & (
  | { readonly kind: 'kubernetes'; readonly signerName: string }
  | {
      readonly kind: 'upstream';
      readonly address: string;
      /** File with the roots of its TLS. */
      readonly tlsRoots: string;
      /** undefined: each caller's own token is shown. */
      readonly tokenFile: string | undefined;
    }
);

export interface CaSettings {
  readonly external: ExternalCa | undefined;
  /** Of istiod's TLS port; undefined: from the CA. */
  readonly serving: { readonly certificate: string; readonly key: string } | undefined;
  /** Where the self-signed root is kept. */
  readonly vault: { readonly kind: 'folder'; readonly dir: string } | { readonly kind: 'secret' };
  /** Folder of a plugged-in CA; where there is none, Secret cacerts is looked for. */
  readonly pluggedDir: string;
  readonly reloadPlugged: boolean;
  readonly rootTtl: Millis;
  readonly rootCheckInterval: Millis;
  /** Share of its life, 0 to 1, that a root has left when the next one is made. */
  readonly rootGrace: number;
  /** How long new roots are given to reach everybody who was sent them. */
  readonly rootSettle: Millis;
  readonly defaultCertTtl: Millis;
  readonly maxCertTtl: Millis;
  /** `namespace/name` of service accounts that may ask for the identities of their node. */
  readonly trustedNodeAccounts: ReadonlySet<string>;
  /** One of them must be in a token. */
  readonly tokenAudiences: readonly string[];
}

const hour = 3_600_000;

/** Flags that are read here. */
export const caFlags = ['--tlsCertFile', '--tlsKeyFile'] as const;

/** All variables that are read here. istiod/SETTINGS.md tells what they do. */
export const caVariables = [
  'AQUIFER_CA_TOKEN',
  'AQUIFER_DATA_DIR',
  'AQUIFER_EXTERNAL_CA_ROOTS',
  'AQUIFER_ROOT_SETTLE_TIME',
  'AUTO_RELOAD_PLUGIN_CERTS',
  'CA_ADDR',
  'CA_ROOT_CA',
  'CA_TRUSTED_NODE_ACCOUNTS',
  'CITADEL_SELF_SIGNED_CA_CERT_TTL',
  'CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL',
  'CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE',
  'DEFAULT_WORKLOAD_CERT_TTL',
  'EXTERNAL_CA',
  'JWT_POLICY',
  'K8S_SIGNER',
  'MAX_WORKLOAD_CERT_TTL',
  'PILOT_CERT_PROVIDER',
  'ROOT_CA_DIR',
  'TOKEN_AUDIENCES',
] as const;

export function readCaSettings(r: SettingsReader): CaSettings {
  const defaultCertTtl = r.duration('DEFAULT_WORKLOAD_CERT_TTL', 1) ?? millis(24 * hour);
  const maxCertTtl = r.duration('MAX_WORKLOAD_CERT_TTL', 1) ?? millis(2160 * hour);
  if (defaultCertTtl > maxCertTtl) r.mistake('DEFAULT_WORKLOAD_CERT_TTL is longer than MAX_WORKLOAD_CERT_TTL');
  // Set but empty, it trusts nobody.
  const accounts = splitList(r.given('CA_TRUSTED_NODE_ACCOUNTS') ?? 'istio-system/ztunnel');
  for (const a of accounts) {
    if (!/^[^/\s]+\/[^/\s]+$/.test(a)) {
      r.mistake(`CA_TRUSTED_NODE_ACCOUNTS: ${JSON.stringify(a)} is not namespace/service-account`);
    }
  }
  const tokenAudiences = splitList(r.text('TOKEN_AUDIENCES') ?? 'istio-ca');
  if (tokenAudiences.length === 0) r.mistake('TOKEN_AUDIENCES names no audience');
  // Tokens of the other kind never expire and are bound to no pod.
  const policy = r.text('JWT_POLICY') ?? 'third-party-jwt';
  if (policy !== 'third-party-jwt')
    r.mistake(`JWT_POLICY=${policy}: only third-party-jwt is there, tokens bound to a pod`);
  const dir = r.text('AQUIFER_DATA_DIR');
  return {
    external: readExternal(r),
    serving: readServing(r),
    vault: dir === undefined ? { kind: 'secret' } : { kind: 'folder', dir },
    pluggedDir: r.text('ROOT_CA_DIR') ?? '/etc/cacerts',
    reloadPlugged: r.boolean('AUTO_RELOAD_PLUGIN_CERTS') ?? true,
    rootTtl: r.duration('CITADEL_SELF_SIGNED_CA_CERT_TTL', 1) ?? millis(87_600 * hour),
    rootCheckInterval: r.duration('CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL', 1_000) ?? millis(hour),
    rootGrace: (r.integer('CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE', 0, 99) ?? 20) / 100,
    // Node proxies ask again after 150 s at the latest, and a tenth more by chance; kubelets renew mounts each minute or so.
    rootSettle: r.duration('AQUIFER_ROOT_SETTLE_TIME', 1) ?? millis(200_000),
    defaultCertTtl,
    maxCertTtl,
    trustedNodeAccounts: new Set(accounts),
    tokenAudiences,
  };
}

function readExternal(r: SettingsReader): ExternalCa | undefined {
  const name = r.text('EXTERNAL_CA');
  const provider = r.text('PILOT_CERT_PROVIDER') ?? 'istiod';
  const signerName = r.text('K8S_SIGNER');
  if (provider !== 'istiod' && !(signerName !== undefined && provider === `k8s.io/${signerName}`))
    r.mistake(`PILOT_CERT_PROVIDER=${provider}: expected istiod, or k8s.io/ and what K8S_SIGNER names`);
  const roots = r.text('AQUIFER_EXTERNAL_CA_ROOTS') ?? '/etc/external-ca-cert/root-cert.pem';
  switch (name) {
    case undefined:
      return undefined;
    case 'ISTIOD_RA_KUBERNETES_API':
      return { kind: 'kubernetes', roots, signerName: r.required('K8S_SIGNER', 'the signer of EXTERNAL_CA') };
    case 'ISTIOD_RA_ISTIO_API': {
      const address = r.required('CA_ADDR', 'where the CA of EXTERNAL_CA is, https://HOST:PORT');
      if (address !== '' && !address.startsWith('https://'))
        r.mistake(`CA_ADDR=${address}: expected https://HOST:PORT; tokens are shown there`);
      if (r.text('--tlsCertFile') === undefined)
        r.mistake('EXTERNAL_CA=ISTIOD_RA_ISTIO_API signs for workloads only: set --tlsCertFile and --tlsKeyFile too');
      return {
        kind: 'upstream',
        roots,
        address,
        tlsRoots: r.text('CA_ROOT_CA') ?? roots,
        tokenFile: r.text('AQUIFER_CA_TOKEN'),
      };
    }
    default:
      r.mistake(`EXTERNAL_CA=${name}: expected ISTIOD_RA_KUBERNETES_API or ISTIOD_RA_ISTIO_API`);
      return undefined;
  }
}

function readServing(r: SettingsReader): CaSettings['serving'] {
  const [certificate, key] = [r.text('--tlsCertFile'), r.text('--tlsKeyFile')];
  if (certificate === undefined && key === undefined) return undefined;
  if (certificate === undefined || key === undefined) {
    r.mistake('--tlsCertFile and --tlsKeyFile belong together');
    return undefined;
  }
  return { certificate, key };
}
