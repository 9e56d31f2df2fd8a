/**
 * Settings of a waypoint, from the environment that Istio's template of its pods gives, whichever engine runs it. Every mistake is
 * reported at once.
 */
import type { JsonValue } from '../common/api/index.ts';
import { parseAddress, parseHeaders, parseRoots, parseToken } from '../common/config/control-plane.ts';
import { parseDuration } from '../common/config/duration.ts';
import { parseMetadata } from '../common/config/metadata.ts';
import { type ProxyConfig, parseProxyConfig } from '../common/config/proxy-config.ts';
import { type ConfigResult, type Settings, SettingsReader } from '../common/config/reader.ts';
import { type Millis, millis } from '../common/core/brand.ts';
import { type Ip, parseIp } from '../common/core/net.ts';
import { version } from '../common/core/version.ts';
import type { ControlPlane } from '../common/xds/connect.ts';
import type { WaypointFlags } from './command.ts';

export interface WaypointConfig {
  readonly podName: string;
  readonly podNamespace: string;
  readonly serviceAccount: string;
  readonly instanceIp: Ip;
  /** Those of the pod besides, of its other family. */
  readonly otherIps: readonly Ip[];
  /** Last part of the node's id. */
  readonly domain: string;
  /** Envoy's name for all that serve the same. */
  readonly serviceCluster: string;
  readonly nodeName: string | undefined;
  readonly clusterId: string;
  readonly trustDomain: string;
  /** For the xDS node, without what the fields above say. */
  readonly nodeMetadata: Readonly<Record<string, JsonValue>>;
  readonly xds: ControlPlane;
  readonly ca: ControlPlane;
  /** Life asked for in a certificate request. Default 24 h. */
  readonly secretTtl: Millis;
  /** On loopback. Default 15000. */
  readonly adminPort: number;
  /** Metrics. Default 15020. */
  readonly statsPort: number;
  /** Readiness. Default 15021. */
  readonly statusPort: number;
  /** Envoy's own metrics alone. Default 15090. */
  readonly prometheusPort: number;
  /** 0: as many as there are CPUs. Default 2, as Istio's. */
  readonly concurrency: number;
  /** How long open connections may go on at the end. Default 5 s. */
  readonly drainDuration: Millis;
  /** Ends sooner once none is open. */
  readonly exitWhenDrained: boolean;
  /** Of Istio's metrics: how long series without news stay, and how many label sets a metric may have. Default 1 h, 10,000. */
  readonly series: { readonly idle: Millis; readonly limit: number };
  /** Where files of the proxy are made. Default ./etc/istio/proxy. */
  readonly configFolder: string;
}

/** What the machine says, so that parsing does no I/O. */
export interface WaypointSurroundings {
  /** Text of a file; undefined where it is not there. */
  readonly file: (path: string) => string | undefined;
  /** Of this pod's interfaces, but those that are for the machine or the link alone. */
  readonly addresses: () => readonly Ip[];
}

/** Labels of the pod, as the downward API writes them. */
const labelsFile = './etc/istio/pod/labels';
const meshFile = './etc/istio/config/mesh';

export function parseWaypointConfig(
  env: Settings,
  flags: WaypointFlags,
  { file, addresses }: WaypointSurroundings,
): ConfigResult<WaypointConfig> {
  const r = new SettingsReader({
    ...env,
    ...(flags['--log_output_level'] !== undefined && { RUST_LOG: agentLevels(flags['--log_output_level']) }),
  });
  const proxyConfig = parseProxyConfig(r, file(meshFile));
  const podNamespace = r.required('POD_NAMESPACE', 'the namespace of this pod');
  const serviceAccount = r.required('SERVICE_ACCOUNT', 'the service account of this pod, whose certificate it gets');
  const labels = podLabels(file(labelsFile));
  const metadata = parseMetadata(r, env, proxyConfig.proxyMetadata);
  const clusterId = r.text(r.first('ISTIO_META_CLUSTER_ID', 'CLUSTER_ID')) ?? 'Kubernetes';
  const discovery = discoveryAddress(r, proxyConfig);
  const podName = r.required('POD_NAME', 'the name of this pod');
  const instanceIp = r.ip('INSTANCE_IP') ?? missingIp(r);
  return r.finish<WaypointConfig>({
    podName,
    podNamespace,
    serviceAccount,
    instanceIp,
    otherIps: addresses().filter((ip) => ip !== instanceIp),
    domain: flags['--domain'] ?? `${podNamespace}.svc.cluster.local`,
    serviceCluster: flags['--serviceCluster'] ?? `${serviceAccount}.${podNamespace}`,
    nodeName: r.text(r.first('ISTIO_META_NODE_NAME', 'NODE_NAME')),
    clusterId,
    trustDomain: r.text('TRUST_DOMAIN') ?? 'cluster.local',
    nodeMetadata: { ...metadata, ...(labels !== undefined && { LABELS: labels }) },
    xds: plane(r, env, clusterId, 'XDS', discovery, file),
    ca: plane(r, env, clusterId, 'CA', caAddress(r) ?? discovery, file),
    secretTtl: r.duration('SECRET_TTL') ?? millis(86_400_000),
    adminPort: proxyConfig.proxyAdminPort ?? 15_000,
    statsPort: proxyConfig.statsPort ?? 15_020,
    statusPort: 15_021,
    prometheusPort: 15_090,
    concurrency: proxyConfig.concurrency ?? 2,
    drainDuration: drainDuration(r, proxyConfig),
    exitWhenDrained: r.boolean('EXIT_ON_ZERO_ACTIVE_CONNECTIONS') ?? false,
    series: {
      idle: r.duration('AQUIFER_METRICS_IDLE') ?? millis(3_600_000),
      limit: r.integer('AQUIFER_METRICS_SERIES', 1, 1_000_000) ?? 10_000,
    },
    configFolder: r.text('AQUIFER_WAYPOINT_DIR') ?? './etc/istio/proxy',
  });
}

/** By which istiod knows ours from an Envoy: what its listeners may have besides. */
export const engineKey = 'AQUIFER_WAYPOINT';
export const ownEngine = 'true';

/** The node's id (ambient-wire 10). */
export function nodeId({ instanceIp, podName, podNamespace, domain }: WaypointConfig): string {
  return `waypoint~${instanceIp}~${podName}.${podNamespace}~${domain}`;
}

/** All that the node says of itself. */
export function nodeMetadata(c: WaypointConfig): Readonly<Record<string, JsonValue>> {
  return {
    ISTIO_VERSION: version,
    ...c.nodeMetadata,
    NAME: c.podName,
    NAMESPACE: c.podNamespace,
    SERVICE_ACCOUNT: c.serviceAccount,
    // istiod serves the families that are among them.
    INSTANCE_IPS: [c.instanceIp, ...c.otherIps].join(','),
    CLUSTER_ID: c.clusterId,
    ...(c.nodeName !== undefined && { NODE_NAME: c.nodeName }),
  };
}

/** Istio's flag names scopes by `scope:level`; the agent has targets of its own, so only the level for all of them counts. */
function agentLevels(text: string): string {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => !part.includes(':') || /^(default|all):/.test(part))
    .map((part) => part.replace(/^(default|all):/, ''))
    .map((level) => ({ none: 'off', fatal: 'error' })[level] ?? level)
    .join(',');
}

function missingIp(r: SettingsReader): Ip {
  if (r.text('INSTANCE_IP') === undefined) r.mistake('INSTANCE_IP is not set: the address of this pod');
  return parseIp('0.0.0.0')!;
}

function discoveryAddress(r: SettingsReader, { discoveryAddress: text }: ProxyConfig): string {
  const fallback = 'https://istiod.istio-system.svc:15012';
  const given = r.text('XDS_ADDRESS') ?? text;
  if (given === undefined) return fallback;
  const address = parseAddress(given, 'XDS');
  if (address === undefined) r.mistake(`discoveryAddress: ${JSON.stringify(given)}: expected host:port`);
  return address ?? fallback;
}

function caAddress(r: SettingsReader): string | undefined {
  return r.parsed('CA_ADDR', (text) => parseAddress(text, 'CA'), 'host:port of a CA that has TLS');
}

function plane(
  r: SettingsReader,
  env: Settings,
  clusterId: string,
  prefix: 'XDS' | 'CA',
  address: string,
  file: (path: string) => string | undefined,
): ControlPlane {
  return {
    address,
    roots: parseRoots(r, `${prefix}_ROOT_CA`),
    alternativeName: undefined,
    token: parseToken(r, (path) => file(path) !== undefined),
    clusterId,
    headers: parseHeaders(r, `${prefix}_HEADER_`, env),
  };
}

function drainDuration(r: SettingsReader, { terminationDrainDuration }: ProxyConfig): Millis {
  const seconds = r.integer('TERMINATION_DRAIN_DURATION_SECONDS', 0, 86_400);
  if (seconds !== undefined) return millis(seconds * 1000);
  return parseDuration(terminationDrainDuration ?? '5s') ?? millis(5_000);
}

/** Lines `key="value"`, the value quoted as Go does; others are skipped. */
export function podLabels(text: string | undefined): Readonly<Record<string, string>> | undefined {
  if (text === undefined) return undefined;
  const labels: Record<string, string> = {};
  for (const line of text.split('\n')) {
    // Values of labels hold nothing that is quoted otherwise in Go than in JSON.
    const [, key, value] = /^([^=]+)="([\w.-]*)"$/.exec(line) ?? [];
    if (key !== undefined && value !== undefined) labels[key] = value;
  }
  return labels;
}
