/** Flags and environment of `istiod discovery`, under Istio's names where it has one. The only reader of the environment. */
import { hostname } from 'node:os';
import { readCommandLine } from '../common/config/command-line.ts';
import { type ListenAddress, parseListenAddress } from '../common/config/listen-address.ts';
import { type ConfigResult, type Settings, SettingsReader, splitList } from '../common/config/reader.ts';
import { type Millis, millis } from '../common/core/brand.ts';
import { kubeconfigFlag, readSourcePlace, type SourcePlace, sourcePlaceMissing } from '../common/kube/open-source.ts';
import { type CaSettings, caFlags, caVariables, readCaSettings } from './ca/config.ts';
import { type DeployConfig, deployVariables, readDeployConfig } from './deploy/config.ts';
import { clusterAliasesFlag, readClusterAliases } from './flags/cluster-aliases.ts';
import { type Ignored, ignoredFlags, readIgnored } from './flags/ignored.ts';
import { readTls, type TlsSettings, tlsFlags } from './flags/tls.ts';
import { type ModelConfig, meshConfigFlag, modelVariables, readModelConfig, revisionFlag } from './model/config.ts';
import { defaultKeepalive, type Keepalive } from './ports/keepalive.ts';

export interface IstiodConfig {
  /** undefined: not served. */
  readonly grpc: ListenAddress | undefined;
  readonly secureGrpc: ListenAddress | undefined;
  readonly http: ListenAddress | undefined;
  readonly monitoring: ListenAddress | undefined;
  /** The validating webhook. */
  readonly https: ListenAddress | undefined;
  /** The console for browsers. */
  readonly console: ListenAddress | undefined;
  readonly domain: string;
  readonly trustDomain: string;
  readonly clusterId: string;
  /** What this replica is called. */
  readonly podName: string;
  /** After it clients are asked to connect anew; undefined: never. */
  readonly maxConnectionAge: Millis | undefined;
  readonly keepalive: Keepalive;
  /** How long a client may take to answer a response. */
  readonly xdsAckTimeout: Millis;
  /** Where istiod runs, and the namespace whose policies apply to the whole mesh. */
  readonly namespace: string;
  readonly ca: CaSettings;
  readonly model: ModelConfig;
  readonly deploy: DeployConfig;
  readonly objects: SourcePlace;
  /** Given, and without effect. */
  readonly ignored: readonly Ignored[];
  /** Of the ports with TLS. */
  readonly tls: TlsSettings;
  /** Other name of a cluster -> its name. */
  readonly clusterAliases: ReadonlyMap<string, string>;
  /** Where the Secrets of other clusters are. */
  readonly clustersNamespace: string;
  /** Whether /debug/pprof is served. */
  readonly profiles: boolean;
  /** undefined: tokens are refused. */
  readonly tokens: { readonly jwksFile: string; readonly issuer: string } | undefined;
}

export type Invocation = ConfigResult<IstiodConfig> | { readonly kind: 'help' };

export const helpText = `istiod discovery: announces the mesh to node proxies and signs their certificates

Flags, as pilot-discovery has them
  --kubeconfig FILE      the API server; default: KUBECONFIG, or the one whose pod this is
  --domain NAME          suffix of service names, default cluster.local
  --clusterID NAME       default Kubernetes (CLUSTER_ID)
  --clusterAliases ALIAS=CLUSTER,...
                         other names by which its proxies may call it
  --clusterRegistriesNamespace NAME
                         where the Secrets of other clusters are, default --namespace
  --namespace NAME       where istiod runs, default istio-system (POD_NAMESPACE)
  --revision NAME        objects that name another one are not ours (REVISION), default default
  --meshConfig FILE      MeshConfig, followed; instead of ConfigMap istio
  --grpcAddr ADDR        xDS in plain text, default 127.0.0.1:15010; empty turns a port off
  --secureGRPCAddr ADDR  xDS and certificates over TLS, default :15012
  --monitoringAddr ADDR  /metrics, /version and /ready; /debug for this machine; default :15014
  --httpAddr ADDR        /ready, and /debug for this machine, default :8080
  --httpsAddr ADDR       the validating webhook, default :15017
  --consoleAddr ADDR     the console for browsers, default 127.0.0.1:9876, which is ControlZ's in Istio: --ctrlz_address and
                         --ctrlz_port are parts of it
  --tls-min-version 1.2|1.3, --tls-cipher-suites NAMES
                         of the ports with TLS, default 1.2; suites of TLS 1.2 by IANA's names
  --caCertFile FILE      roots of clients' certificates, default: the mesh's
  --profile=false        no /debug/pprof
  --keepaliveMaxServerConnectionAge TIME
                         after which clients connect anew, a tenth sooner or later; default: never
  --keepaliveInterval TIME, --keepaliveTimeout TIME
                         of silence until a client is asked for a sign of life, and for that; default 30s, 10s
  --log_output_level LEVELS, --log_as_json
                         default:info,xds:debug; instead of RUST_LOG and LOG_FORMAT
  --standalone           runs an API server of its own (see istiod --standalone --help)
Taken without effect, and the log says why: ${ignoredFlags.join(' ')}
Environment: all of it in istiod/SETTINGS.md`;

const switches = ['--log_as_json', '--profile'] as const;

export const discoveryFlags = [
  kubeconfigFlag,
  '--domain',
  '--clusterID',
  clusterAliasesFlag,
  '--clusterRegistriesNamespace',
  '--registries',
  '--configDir',
  '--namespace',
  revisionFlag,
  meshConfigFlag,
  '--grpcAddr',
  '--secureGRPCAddr',
  '--monitoringAddr',
  '--httpAddr',
  '--httpsAddr',
  '--consoleAddr',
  '--ctrlz_address',
  '--ctrlz_port',
  '--keepaliveMaxServerConnectionAge',
  '--keepaliveInterval',
  '--keepaliveTimeout',
  '--log_output_level',
  ...caFlags,
  ...tlsFlags,
  ...ignoredFlags,
  ...switches,
] as const;

/** Every environment variable that is read, beside those of where the objects are. istiod/SETTINGS.md tells what they do. */
export const discoveryVariables = [
  ...caVariables,
  ...modelVariables,
  ...deployVariables,
  'AQUIFER_JWKS',
  'AQUIFER_TOKEN_ISSUER',
  'AQUIFER_XDS_ACK_TIMEOUT',
  'CLUSTER_ID',
  'GRPC_KEEPALIVE_INTERVAL',
  'GRPC_KEEPALIVE_TIMEOUT',
  'POD_NAME',
  'POD_NAMESPACE',
] as const;

export function parseConfig(args: readonly string[], env: Settings): Invocation {
  if (args.includes('--help') || args.includes('-h')) return { kind: 'help' };
  // As in Istio, a switch needs no value, and -n is short for the namespace.
  const spelt = args.map((arg) =>
    switches.some((s) => s === arg) ? `${arg}=true` : arg === '-n' ? '--namespace' : arg,
  );
  const { flags, words, errors } = readCommandLine(spelt, discoveryFlags);
  const log = logSettings(flags['--log_output_level'], flags['--log_as_json']);
  const r = new SettingsReader({ ...env, ...flags, ...log.settings });
  for (const error of log.errors) r.mistake(error);
  for (const error of errors) r.mistake(error);
  const [command, ...surplus] = words;
  if (command !== 'discovery') r.mistake(`expected the command "discovery", found ${JSON.stringify(command ?? '')}`);
  for (const extra of surplus) r.mistake(`unexpected argument ${JSON.stringify(extra)}`);

  const namespace = r.text('--namespace') ?? r.text('POD_NAMESPACE') ?? 'istio-system';
  const address = (flag: (typeof discoveryFlags)[number], fallback: string): ListenAddress | undefined =>
    r.given(flag) === '' ? undefined : (r.listenAddress(flag) ?? parseListenAddress(fallback));
  const [jwksFile, issuer] = [r.text('AQUIFER_JWKS'), r.text('AQUIFER_TOKEN_ISSUER')];
  if ((jwksFile === undefined) !== (issuer === undefined)) {
    r.mistake(
      'AQUIFER_JWKS and AQUIFER_TOKEN_ISSUER belong together: set both, or none to have the API server review tokens',
    );
  }
  const registries = splitList(r.text('--registries') ?? 'Kubernetes');
  if (registries.join() !== 'Kubernetes')
    r.mistake(
      `--registries=${registries.join()}: only Kubernetes is there; its API may be the embedded one (--standalone)`,
    );
  if (r.text('--configDir') !== undefined)
    r.mistake('--configDir: files alone are no source here; use istiod --standalone --manifests DIR');
  const objects = readSourcePlace(r);
  if (objects === undefined) r.mistake(sourcePlaceMissing);
  return r.finish<IstiodConfig>({
    grpc: address('--grpcAddr', '127.0.0.1:15010'),
    secureGrpc: address('--secureGRPCAddr', ':15012'),
    http: address('--httpAddr', ':8080'),
    monitoring: address('--monitoringAddr', ':15014'),
    https: address('--httpsAddr', ':15017'),
    console: address('--consoleAddr', controlZ(r)),
    domain: r.text('--domain') ?? 'cluster.local',
    trustDomain: 'cluster.local',
    clusterId: r.text('--clusterID') ?? r.text('CLUSTER_ID') ?? 'Kubernetes',
    podName: r.text('POD_NAME') ?? hostname(),
    maxConnectionAge: r.duration('--keepaliveMaxServerConnectionAge', 1_000),
    keepalive: {
      interval:
        r.duration(r.first('--keepaliveInterval', 'GRPC_KEEPALIVE_INTERVAL'), 1_000) ?? defaultKeepalive.interval,
      timeout: r.duration(r.first('--keepaliveTimeout', 'GRPC_KEEPALIVE_TIMEOUT'), 1_000) ?? defaultKeepalive.timeout,
    },
    xdsAckTimeout: r.duration('AQUIFER_XDS_ACK_TIMEOUT', 1_000) ?? millis(60_000),
    namespace,
    clustersNamespace: r.text('--clusterRegistriesNamespace') ?? namespace,
    clusterAliases: readClusterAliases(r),
    tls: readTls(r),
    profiles: r.boolean('--profile') ?? true,
    ca: readCaSettings(r),
    model: readModelConfig(r),
    deploy: readDeployConfig(r),
    objects: objects!,
    ignored: readIgnored(r),
    tokens: jwksFile === undefined || issuer === undefined ? undefined : { jwksFile, issuer },
  });
}

/** Istio's words for where the console is, unless it has its own. */
function controlZ(r: SettingsReader): string {
  const isLocal = r.text('--ctrlz_address') === 'localhost';
  const address = (isLocal ? undefined : r.ip('--ctrlz_address')) ?? '127.0.0.1';
  const port = r.port('--ctrlz_port') ?? 9876;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Scopes of Istio's log, and targets of ours. */
const scopes: Readonly<Record<string, string>> = {
  addresses: 'istiod::addresses',
  ads: 'istiod::xds',
  ambient: 'istiod::model',
  ca: 'istiod::ca',
  delta: 'istiod::xds',
  krt: 'istiod::model',
  kube: 'istiod::model',
  leader: 'istiod::leader',
  model: 'istiod::model',
  pkica: 'istiod::ca',
  serverca: 'istiod::ca',
  status: 'istiod::status',
  validation: 'istiod::validation',
  validationServer: 'istiod::validation',
  xds: 'istiod::xds',
};

/** RUST_LOG and LOG_FORMAT from Istio's flags. */
function logSettings(levels: string | undefined, json: string | undefined): { settings: Settings; errors: string[] } {
  const errors: string[] = [];
  const directives = splitList(levels ?? '').flatMap((part) => {
    const [scope, level] = part.includes(':') ? part.split(':') : ['default', part];
    const rust = level === 'none' ? 'off' : level === 'fatal' ? 'error' : level;
    if (scope === 'default' || scope === 'all') return [`${rust}`];
    const target = scope === undefined ? undefined : scopes[scope];
    if (target !== undefined) return [`${target}=${rust}`];
    errors.push(
      `--log_output_level: ${JSON.stringify(scope)} is not a scope; there are default, ${Object.keys(scopes).join(', ')}`,
    );
    return [];
  });
  if (json !== undefined && json !== 'true' && json !== 'false')
    errors.push(`--log_as_json=${json}: expected true or false`);
  return {
    settings: {
      ...(directives.length > 0 && { RUST_LOG: directives.join(',') }),
      ...(json === 'true' && { LOG_FORMAT: 'json' }),
    },
    errors,
  };
}
