/** Flags and environment of `istiod discovery`, under Istio's names where it has one. The only reader of the environment. */
import { readCommandLine } from '../common/config/command-line.ts';
import { type ListenAddress, parseListenAddress } from '../common/config/listen-address.ts';
import { type ConfigResult, type Settings, SettingsReader, splitList } from '../common/config/reader.ts';
import { type Millis, millis } from '../common/core/brand.ts';
import { kubeconfigFlag, readSourcePlace, type SourcePlace, sourcePlaceMissing } from '../common/kube/open-source.ts';

export interface IstiodConfig {
  /** undefined: not served. */
  readonly grpc: ListenAddress | undefined;
  readonly secureGrpc: ListenAddress | undefined;
  readonly monitoring: ListenAddress | undefined;
  readonly domain: string;
  readonly trustDomain: string;
  readonly clusterId: string;
  /** Where istiod runs, and the namespace whose policies apply to the whole mesh. */
  readonly namespace: string;
  /** `namespace/name` of service accounts that may ask for the identities of their node. */
  readonly trustedNodeAccounts: ReadonlySet<string>;
  readonly defaultCertTtl: Millis;
  readonly maxCertTtl: Millis;
  readonly objects: SourcePlace;
  readonly dataDir: string;
  /** undefined: tokens are refused. */
  readonly tokens: { readonly jwksFile: string; readonly issuer: string } | undefined;
}

export type Invocation = ConfigResult<IstiodConfig> | { readonly kind: 'help' };

const hour = 3_600_000;

export const helpText = `istiod discovery: announces the mesh to node proxies and signs their certificates

Flags
  --grpcAddr ADDR        xDS in plain text, default :15010; empty turns it off
  --secureGRPCAddr ADDR  xDS and certificates over TLS, default :15012
  --monitoringAddr ADDR  /metrics and /ready, and /debug for clients on this machine, default :15014
  --domain NAME          suffix of service names, default cluster.local
  --kubeconfig FILE      the API server; default: KUBECONFIG, or the one whose pod this is
  --standalone           runs an API server of its own (see istiod --standalone --help)
Environment
  AQUIFER_KUBE_DIR           folder of Kubernetes YAML to serve instead of an API server
  AQUIFER_DATA_DIR           folder that keeps the key of the CA (required)
  AQUIFER_JWKS               file with the public keys of the token issuer; default: the API server reviews tokens
  AQUIFER_TOKEN_ISSUER       the issuer's name in tokens
  CLUSTER_ID                 default Kubernetes
  POD_NAMESPACE              default istio-system
  CA_TRUSTED_NODE_ACCOUNTS   default istio-system/ztunnel; several are separated by commas
  DEFAULT_WORKLOAD_CERT_TTL  default 24h
  MAX_WORKLOAD_CERT_TTL      default 2160h
  RUST_LOG, LOG_FORMAT       level (info) and format (plain or json) of the log`;

export const discoveryFlags = [
  '--grpcAddr',
  '--secureGRPCAddr',
  '--monitoringAddr',
  '--domain',
  kubeconfigFlag,
] as const;

export function parseConfig(args: readonly string[], env: Settings): Invocation {
  if (args.includes('--help') || args.includes('-h')) return { kind: 'help' };
  const { flags, words, errors } = readCommandLine(args, discoveryFlags);
  const r = new SettingsReader({ ...env, ...flags });
  for (const error of errors) r.mistake(error);
  const [command, ...surplus] = words;
  if (command !== 'discovery') r.mistake(`expected the command "discovery", found ${JSON.stringify(command ?? '')}`);
  for (const extra of surplus) r.mistake(`unexpected argument ${JSON.stringify(extra)}`);

  const address = (flag: (typeof discoveryFlags)[number], fallback: string): ListenAddress | undefined =>
    r.given(flag) === '' ? undefined : (r.listenAddress(flag) ?? parseListenAddress(fallback));
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
  const [jwksFile, issuer] = [r.text('AQUIFER_JWKS'), r.text('AQUIFER_TOKEN_ISSUER')];
  if ((jwksFile === undefined) !== (issuer === undefined)) {
    r.mistake(
      'AQUIFER_JWKS and AQUIFER_TOKEN_ISSUER belong together: set both, or none to have the API server review tokens',
    );
  }
  const objects = readSourcePlace(r);
  if (objects === undefined) r.mistake(sourcePlaceMissing);
  return r.finish<IstiodConfig>({
    grpc: address('--grpcAddr', ':15010'),
    secureGrpc: address('--secureGRPCAddr', ':15012'),
    monitoring: address('--monitoringAddr', ':15014'),
    domain: r.text('--domain') ?? 'cluster.local',
    trustDomain: 'cluster.local',
    clusterId: r.text('CLUSTER_ID') ?? 'Kubernetes',
    namespace: r.text('POD_NAMESPACE') ?? 'istio-system',
    trustedNodeAccounts: new Set(accounts),
    defaultCertTtl,
    maxCertTtl,
    objects: objects!,
    dataDir: r.required('AQUIFER_DATA_DIR', 'the folder that keeps the key of the CA'),
    tokens: jwksFile === undefined || issuer === undefined ? undefined : { jwksFile, issuer },
  });
}
