/**
 * Settings of the node proxy, from the environment: Istio's names and defaults (ambient-wire 6.7), ours begin with AQUIFER_.
 * Every mistake is reported at once; a value that would be ignored is a mistake.
 */
import { type ConfigResult, type Settings, SettingsReader, splitList } from '../common/config/reader.ts';
import { type Millis, millis } from '../common/core/brand.ts';
import { type Compat, type CompatCase, compatCases } from '../common/core/compat.ts';
import { type Ip, parseIp } from '../common/core/net.ts';
import { connectionWindow, streamWindow } from '../common/hbone/session.ts';
import type { KeepAlive } from '../native/index.ts';
import { type ProxyMode, parseMode } from './config/mode.ts';
import { parseTraceFilter, type TraceFilter } from './proxy/trace-filter.ts';

export interface ControlPlaneConfig {
  /** `https://host:port`, for xDS also `http://host:port`. */
  readonly address: string;
  /** File with the PEM roots of its serving certificate. */
  readonly rootFile: string;
}

export interface ZtunnelConfig {
  readonly engine: 'node';
  readonly mode: ProxyMode;
  /** Worker processes, 1 to 64. Default 1. */
  readonly workers: number;
  /** Open descriptors of one worker, 64 to the soft limit of the process (RLIMIT_NOFILE). Default 20,000, or that limit if lower. */
  readonly maxDescriptors: number;
  /** User and group of workers; 0 keeps them root. Default 1337, that of Istio's proxies. */
  readonly workerUid: number;
  readonly compat: Compat;
  readonly trace: TraceFilter | undefined;

  readonly xds: ControlPlaneConfig;
  readonly ca: ControlPlaneConfig;
  /** File with the bearer token. */
  readonly tokenFile: string;
  /** Life asked for in a certificate request. Default 24 h. */
  readonly secretTtl: Millis;
  /** File with revocation lists, PEM. */
  readonly crlFile: string | undefined;
  readonly clusterId: string;
  readonly clusterDomain: string;
  readonly network: string;
  /** Undefined: every workload counts as local. */
  readonly nodeName: string | undefined;
  readonly podName: string;
  readonly podNamespace: string;
  readonly serviceAccount: string;
  readonly instanceIp: Ip;
  /** `ISTIO_META_<X>` as `<X>`, for the xDS node. */
  readonly nodeMetadata: Readonly<Record<string, string>>;
  readonly preferredServiceNamespace: string | undefined;

  /** SO_REUSEPORT on listeners made with fixed ports. */
  readonly portReuse: boolean;
  /** SO_MARK of sockets that must not be captured again. Default 1337 in shared mode; none in dedicated mode, where their owner tells. */
  readonly packetMark: number | undefined;
  /**
   * Dial the app from the client's address: always, never, or where the pod's routing allows it. In dedicated mode the default
   * is never without PACKET_MARK: routing can bring the app's answers back to us by that mark only.
   */
  readonly originalSource: 'always' | 'never' | 'auto';
  readonly ipv6: boolean;
  readonly dnsProxy: boolean;

  /** 1 to 1,000. Default 100. */
  readonly poolMaxStreams: number;
  /** Default 5 min. */
  readonly poolUnusedRelease: Millis;
  /** Default 180 s, 180 s, 9 probes. */
  readonly keepAlive: KeepAlive | undefined;
  /** How long open connections may go on while draining. Default 5 s. */
  readonly drainDeadline: Millis;
  readonly responseBaggage: boolean;
  /** Apps that take a PROXY header are dialled over loopback. Default true. */
  readonly localhostAppTunnel: boolean;
  /** Policy decisions at level info. */
  readonly logPolicyDecisions: boolean;
}

/** What the machine says, so that parsing does no I/O. */
export interface Surroundings {
  /** Soft limit of open files of this process. */
  readonly maxOpenFiles: number;
}

/** Istio's settings that this release does not have; the value that is so anyway is accepted. */
const notYet: readonly (readonly [name: string, off: string])[] = [
  ['ENABLE_PROXY', 'true'],
  ['XDS_ON_DEMAND', 'false'],
  ['FAKE_CA', 'false'],
  ['LOCAL_XDS_PATH', ''],
  ['LOCAL_XDS', ''],
  ['TLS12_ENABLED', 'false'],
  ['COMPLIANCE_POLICY', ''],
  ['UNSTABLE_ENABLE_SOCKS5', 'false'],
  ['USER_TIMEOUT_ENABLED', 'false'],
  ['PROXY_CONFIG', ''],
  ['ALT_XDS_HOSTNAME', ''],
  ['ALT_CA_HOSTNAME', ''],
  ['HTTP2_STREAM_WINDOW_SIZE', String(streamWindow)],
  ['HTTP2_CONNECTION_WINDOW_SIZE', String(connectionWindow)],
  ['HTTP2_FRAME_SIZE', '1048576'],
  ['ZTUNNEL_WORKER_THREADS', ''],
  ['ZTUNNEL_CPU_LIMIT', ''],
  ['ISTIO_META_DNS_PROXY_ADDR', 'localhost:15053'],
  ['TRUST_DOMAIN', 'cluster.local'],
];

/** The same for whole families of names (ambient-wire 3.7). */
const notYetPrefixes = ['ISTIO_METAJSON_', 'XDS_HEADER_', 'CA_HEADER_'] as const;

/** Container runtimes often allow a million, which memory would not. */
const defaultDescriptors = 20_000;
/** The mark that rules of Istio's agent, and of ours, let pass (ambient-wire 6.1). */
const defaultMark = 1337;

export function parseConfig(env: Settings, surroundings: Surroundings): ConfigResult<ZtunnelConfig> {
  const r = new SettingsReader(env);

  for (const [name, off] of notYet) {
    const value = r.text(name) ?? off;
    if (value !== off) r.mistake(`${name}=${value}: not supported by this release; unset it`);
  }
  for (const name of Object.keys(env).filter((n) => notYetPrefixes.some((prefix) => n.startsWith(prefix)))) {
    // Headers carry secrets, so the value is not shown.
    if (r.text(name) !== undefined) r.mistake(`${name}=...: not supported by this release; unset it`);
  }
  if (r.choice('AQUIFER_ENGINE', ['node', 'native']) === 'native') {
    r.mistake('AQUIFER_ENGINE=native: comes with a later release; use node');
  }

  const mode = parseMode(r);
  const packetMark = r.integer('PACKET_MARK', 1, 0xffff_ffff) ?? (mode.kind === 'shared' ? defaultMark : undefined);

  return r.finish<ZtunnelConfig>({
    engine: 'node',
    mode,
    workers: r.integer('AQUIFER_WORKERS', 1, 64) ?? 1,
    maxDescriptors: maxDescriptors(r, surroundings),
    workerUid: r.integer('AQUIFER_WORKER_UID', 0, 0xffff_fffe) ?? 1337,
    compat:
      r.parsed('AQUIFER_COMPAT', parseCompat, `istio, or a list of ${compatCases.join(', ')}`) ?? new Set<CompatCase>(),
    trace: r.parsed(
      'AQUIFER_TRACE',
      parseTraceFilter,
      'src=IP[:PORT],dst=IP[:PORT] (either may be left out), or the first hex digits of a trace id',
    ),

    xds: controlPlane(r, 'XDS'),
    ca: controlPlane(r, 'CA'),
    tokenFile: file(r, 'AUTH_TOKEN') ?? './var/run/secrets/tokens/istio-token',
    secretTtl: r.duration('SECRET_TTL') ?? millis(86_400_000),
    crlFile: file(r, 'CRL_PATH'),
    clusterId: r.text(r.first('ISTIO_META_CLUSTER_ID', 'CLUSTER_ID')) ?? 'Kubernetes',
    clusterDomain: r.text('CLUSTER_DOMAIN') ?? 'cluster.local',
    network: r.text('NETWORK') ?? '',
    nodeName: r.text('NODE_NAME'),
    podName: r.text('POD_NAME') ?? '',
    podNamespace: r.text('POD_NAMESPACE') ?? '',
    serviceAccount: r.text('SERVICE_ACCOUNT') ?? '',
    instanceIp: r.ip('INSTANCE_IP') ?? parseIp('1.1.1.1')!,
    nodeMetadata: metadata(env),
    preferredServiceNamespace: r.text('PREFERED_SERVICE_NAMESPACE'),

    portReuse: r.boolean('INPOD_PORT_REUSE') ?? true,
    packetMark,
    originalSource: originalSource(r, mode, packetMark),
    ipv6: r.boolean('IPV6_ENABLED') ?? true,
    dnsProxy: r.boolean('ISTIO_META_DNS_CAPTURE') ?? true,

    poolMaxStreams: r.integer('POOL_MAX_STREAMS_PER_CONNECTION', 1, 1_000) ?? 100,
    poolUnusedRelease: r.duration('POOL_UNUSED_RELEASE_TIMEOUT') ?? millis(300_000),
    keepAlive: keepAlive(r),
    drainDeadline: drainDeadline(r),
    responseBaggage: r.boolean('ENABLE_RESPONSE_BAGGAGE') ?? true,
    localhostAppTunnel: r.boolean('LOCALHOST_APP_TUNNEL') ?? true,
    logPolicyDecisions: r.boolean('AUTHZ_POLICY_INFO_LOGGING') ?? false,
  });
}

function maxDescriptors(r: SettingsReader, { maxOpenFiles }: Surroundings): number {
  const wanted = r.integer('AQUIFER_MAX_DESCRIPTORS', 64, 100_000_000);
  if (wanted !== undefined && wanted > maxOpenFiles) {
    const remedy = 'raise that limit (ulimit -n) or lower the setting';
    r.mistake(`AQUIFER_MAX_DESCRIPTORS=${wanted}: this process may open ${maxOpenFiles} files; ${remedy}`);
  }
  return wanted ?? Math.min(defaultDescriptors, maxOpenFiles);
}

/** The grace period leaves the kubelet time to see the exit: minus 5 s above 10 s, else minus 1 s, never below 1 s (ambient-wire 1.7). */
function drainDeadline(r: SettingsReader): Millis {
  const grace = r.integer('TERMINATION_GRACE_PERIOD_SECONDS', 0, 86_400);
  const deadline = r.duration('CONNECTION_TERMINATION_DEADLINE');
  if (deadline !== undefined) return deadline;
  if (grace === undefined) return millis(5_000);
  return millis(Math.max(1, grace > 10 ? grace - 5 : grace - 1) * 1000);
}

function originalSource(
  r: SettingsReader,
  mode: ProxyMode,
  packetMark: number | undefined,
): ZtunnelConfig['originalSource'] {
  const wanted = r.boolean('ENABLE_ORIG_SRC');
  if (wanted === undefined) return mode.kind === 'dedicated' && packetMark === undefined ? 'never' : 'auto';
  return wanted ? 'always' : 'never';
}

function keepAlive(r: SettingsReader): KeepAlive | undefined {
  const enabled = r.boolean('KEEPALIVE_ENABLED') ?? true;
  const seconds = (name: string) => Math.max(1, Math.round((r.duration(name) ?? 180_000) / 1000));
  const settings = {
    idle: seconds('KEEPALIVE_TIME'),
    interval: seconds('KEEPALIVE_INTERVAL'),
    probes: r.integer('KEEPALIVE_RETRIES', 1, 127) ?? 9,
  };
  return enabled ? settings : undefined;
}

function metadata(env: Settings): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith('ISTIO_META_') && value !== undefined) found[name.slice('ISTIO_META_'.length)] = value;
  }
  return found;
}

/** Istio also takes PEM text, a literal token and the word SYSTEM; a path is the one form that survives rotation. */
function file(r: SettingsReader, name: string): string | undefined {
  const parse = (text: string) => (text.includes('/') && !text.includes('\n') ? text : undefined);
  return r.parsed(name, parse, 'the path of a file');
}

function controlPlane(r: SettingsReader, prefix: 'XDS' | 'CA'): ControlPlaneConfig {
  const fallback = r.text('KUBERNETES_SERVICE_HOST')
    ? 'https://istiod.istio-system.svc:15012'
    : 'https://localhost:15012';
  // Keys and certificates never travel without TLS; the plain port of istiod has no CA.
  const plain = prefix === 'XDS';
  const form = new RegExp(`^${plain ? 'https?' : 'https'}://([^/:[\\]]+|\\[[^\\]]+\\]):\\d{1,5}$`);
  const parse = (text: string) => {
    const address = text.includes('://') ? text : `https://${text}`;
    return form.test(address) ? address : undefined;
  };
  const expected = plain ? 'https://host:port or http://host:port' : 'https://host:port';
  return {
    address: r.parsed(`${prefix}_ADDRESS`, parse, expected) ?? fallback,
    rootFile: file(r, `${prefix}_ROOT_CA`) ?? './var/run/secrets/istio/root-cert.pem',
  };
}

/** `istio`, or names of cases with commas between; undefined when one of them does not exist. */
function parseCompat(text: string): Compat | undefined {
  if (text === 'istio') return new Set(compatCases);
  const chosen = new Set<CompatCase>();
  for (const part of splitList(text)) {
    const known = compatCases.find((c) => c === part);
    if (known === undefined) return undefined;
    chosen.add(known);
  }
  return chosen;
}
