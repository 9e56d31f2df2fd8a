/**
 * Settings of the node proxy, from the environment: Istio's names and defaults (ambient-wire 6.7), ours begin with AQUIFER_.
 * Every mistake is reported at once; a value that would be ignored is a mistake.
 */
import { readCompat } from '../common/config/compat.ts';
import { type Metadata, parseMetadata } from '../common/config/metadata.ts';
import { parseProxyConfig } from '../common/config/proxy-config.ts';
import { type ConfigResult, type Settings, SettingsReader } from '../common/config/reader.ts';
import { type Millis, millis } from '../common/core/brand.ts';
import type { Compat } from '../common/core/compat.ts';
import { type Ip, parseIp } from '../common/core/net.ts';
import { defaultWindows, type Http2Windows } from '../common/hbone/session.ts';
import type { TlsPolicy } from '../common/tls/policy.ts';
import type { WorkloadInfo } from '../common/zds/types.ts';
import type { KeepAlive } from '../native/index.ts';
import { type ControlPlaneSettings, parseControlPlane } from './config/control-plane.ts';
import { type DnsAddress, dnsAddress, dnsCapture } from './config/dns.ts';
import { type ProxyMode, parseMode } from './config/mode.ts';
import { workerCount } from './config/worker-count.ts';
import { parseTraceFilter, type TraceFilter } from './proxy/trace-filter.ts';

export interface ZtunnelConfig extends ControlPlaneSettings {
  /** What moves bytes; `auto`, the default: the native engine where it starts, else Node's. */
  readonly engine: 'auto' | 'node' | 'native';
  /** AQUIFER_ENGINE_SPIN_US: how long the native engine asks for events before it sleeps, while there are any. Default 0. */
  readonly engineSpinUs: number;
  readonly mode: ProxyMode;
  /** Listeners of connections in pods; off leaves the DNS proxy alone. Default on. */
  readonly proxy: boolean;
  /** Worker processes, 1 to 64. Default 1. */
  readonly workers: number;
  /** Open descriptors of one worker, 64 to the soft limit of the process (RLIMIT_NOFILE). Default 20,000, or that limit if lower. */
  readonly maxDescriptors: number;
  /** User and group of workers; 0 keeps them root. Default 1337, that of Istio's proxies. */
  readonly workerUid: number;
  readonly compat: Compat;
  readonly trace: TraceFilter | undefined;

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
  /** For the xDS node. */
  readonly nodeMetadata: Metadata;
  /** This proxy's own pod, whose metrics the mesh may ask for over HBONE: in shared mode, where all three of its names are known. */
  readonly self: WorkloadInfo | undefined;
  /** Of `self`, as far as the log says it: certificates have the one that the mesh says. Default cluster.local. */
  readonly trustDomain: string;
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
  /** Addresses are asked for when a connection needs them. Default false; not together with the DNS proxy. */
  readonly xdsOnDemand: boolean;
  /** Default localhost:15053. Under our agent DNS comes to another port, whatever this says. */
  readonly dnsAddress: DnsAddress;
  /** SOCKS 5 on 127.0.0.1:15080 of each pod. Default false. */
  readonly socks5: boolean;
  /** Of the admin and the metrics server. Default 15000, 15020. */
  readonly adminPort: number;
  readonly statsPort: number;

  readonly tls: TlsPolicy;
  readonly http2: Http2Windows;

  /** 1 to 1,000. Default 100. */
  readonly poolMaxStreams: number;
  /** Default 5 min. */
  readonly poolUnusedRelease: Millis;
  /** Default 180 s, 180 s, 9 probes. */
  readonly keepAlive: KeepAlive | undefined;
  /** TCP_USER_TIMEOUT in ms, of the same sockets; undefined: the kernel's. */
  readonly userTimeout: number | undefined;
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
  /** CPUs that this process may use. Default 1. */
  readonly cpus?: number;
  /** Text of ./etc/istio/config/mesh; undefined where it is not there. */
  readonly meshFile?: string | undefined;
  /** Whether a file is there. Default: none is. */
  readonly exists?: (path: string) => boolean;
}

/** Container runtimes often allow a million, which memory would not. */
const defaultDescriptors = 20_000;
/** The mark that rules of Istio's agent, and of ours, let pass (ambient-wire 6.1). */
const defaultMark = 1337;

export function parseConfig(env: Settings, surroundings: Surroundings): ConfigResult<ZtunnelConfig> {
  const r = new SettingsReader(env);

  const mode = parseMode(r);
  const proxyConfig = parseProxyConfig(r, surroundings.meshFile);
  const metadata = parseMetadata(r, env, proxyConfig.proxyMetadata);
  const clusterId = r.text(r.first('ISTIO_META_CLUSTER_ID', 'CLUSTER_ID')) ?? 'Kubernetes';
  const proxy = r.boolean('ENABLE_PROXY') ?? true;
  const dnsProxy = dnsCapture(metadata);
  if (!proxy && !dnsProxy) r.mistake('ENABLE_PROXY=false: with the DNS proxy off as well there is nothing to serve');
  const kept = keepAlive(r);
  const packetMark = r.integer('PACKET_MARK', 1, 0xffff_ffff) ?? (mode.kind === 'shared' ? defaultMark : undefined);

  const xdsOnDemand = r.boolean('XDS_ON_DEMAND') ?? false;
  if (xdsOnDemand && dnsProxy) {
    r.mistake(
      'XDS_ON_DEMAND=true: the DNS proxy answers from the whole mesh; set ISTIO_META_DNS_CAPTURE=false as well',
    );
  }

  return r.finish<ZtunnelConfig>({
    engine: r.choice('AQUIFER_ENGINE', ['auto', 'node', 'native']) ?? 'auto',
    engineSpinUs: r.integer('AQUIFER_ENGINE_SPIN_US', 0, 1_000) ?? 0,
    mode,
    proxy,
    workers: workerCount(r, surroundings.cpus ?? 1, proxyConfig.concurrency),
    maxDescriptors: maxDescriptors(r, surroundings),
    workerUid: r.integer('AQUIFER_WORKER_UID', 0, 0xffff_fffe) ?? 1337,
    compat: readCompat(r),
    trace: r.parsed(
      'AQUIFER_TRACE',
      parseTraceFilter,
      'src=IP[:PORT],dst=IP[:PORT] (either may be left out), or the first hex digits of a trace id',
    ),

    ...parseControlPlane(r, { env, clusterId, proxyConfig, exists: surroundings.exists ?? (() => false) }),
    secretTtl: r.duration('SECRET_TTL') ?? millis(86_400_000),
    crlFile: r.text('CRL_PATH'),
    clusterId,
    clusterDomain: r.text('CLUSTER_DOMAIN') ?? 'cluster.local',
    network: r.text('NETWORK') ?? '',
    nodeName: r.text('NODE_NAME'),
    podName: r.text('POD_NAME') ?? '',
    podNamespace: r.text('POD_NAMESPACE') ?? '',
    serviceAccount: r.text('SERVICE_ACCOUNT') ?? '',
    instanceIp: r.ip('INSTANCE_IP') ?? parseIp('1.1.1.1')!,
    nodeMetadata: metadata,
    self: mode.kind === 'shared' ? ownPod(r) : undefined,
    trustDomain: r.text('TRUST_DOMAIN') ?? 'cluster.local',
    preferredServiceNamespace: r.text('PREFERED_SERVICE_NAMESPACE'),

    portReuse: r.boolean('INPOD_PORT_REUSE') ?? true,
    packetMark,
    originalSource: originalSource(r, mode, packetMark),
    ipv6: r.boolean('IPV6_ENABLED') ?? true,
    dnsProxy,
    xdsOnDemand,
    dnsAddress: dnsAddress(r, metadata),
    socks5: r.boolean('UNSTABLE_ENABLE_SOCKS5') ?? false,
    adminPort: proxyConfig.proxyAdminPort ?? 15000,
    statsPort: proxyConfig.statsPort ?? 15020,

    tls: tlsPolicy(r),
    http2: windows(r),

    poolMaxStreams: r.integer('POOL_MAX_STREAMS_PER_CONNECTION', 1, 1_000) ?? 100,
    poolUnusedRelease: r.duration('POOL_UNUSED_RELEASE_TIMEOUT') ?? millis(300_000),
    keepAlive: (r.boolean('KEEPALIVE_ENABLED') ?? true) ? kept : undefined,
    userTimeout: (r.boolean('USER_TIMEOUT_ENABLED') ?? false) ? userTimeout(kept) : undefined,
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

function keepAlive(r: SettingsReader): KeepAlive {
  const seconds = (name: string) => Math.max(1, Math.round((r.duration(name) ?? 180_000) / 1000));
  return {
    idle: seconds('KEEPALIVE_TIME'),
    interval: seconds('KEEPALIVE_INTERVAL'),
    probes: r.integer('KEEPALIVE_RETRIES', 1, 127) ?? 9,
  };
}

/** As long as keep-alive would wait for a peer that is gone, in ms (ambient-wire 1.7). */
function userTimeout({ idle, interval, probes }: KeepAlive): number {
  return (idle + probes * interval) * 1000;
}

function tlsPolicy(r: SettingsReader): TlsPolicy {
  return {
    oldest: (r.boolean('TLS12_ENABLED') ?? false) ? 'TLSv1.2' : 'TLSv1.3',
    keyExchange: r.choice('COMPLIANCE_POLICY', ['pqc']) ?? 'default',
  };
}

/** Bounds are HTTP/2's (RFC 9113 6.5.2, 6.9.1), and the first 65,535 bytes of a connection that no setting takes back. */
function windows(r: SettingsReader): Http2Windows {
  return {
    stream: r.integer('HTTP2_STREAM_WINDOW_SIZE', 1, 0x7fff_ffff) ?? defaultWindows.stream,
    connection: r.integer('HTTP2_CONNECTION_WINDOW_SIZE', 65_535, 0x7fff_ffff) ?? defaultWindows.connection,
    frame: r.integer('HTTP2_FRAME_SIZE', 16_384, 16_777_215) ?? defaultWindows.frame,
  };
}

function ownPod(r: SettingsReader): WorkloadInfo | undefined {
  const [name, namespace, serviceAccount] = [r.text('POD_NAME'), r.text('POD_NAMESPACE'), r.text('SERVICE_ACCOUNT')];
  if (name === undefined || namespace === undefined || serviceAccount === undefined) return undefined;
  return { name, namespace, serviceAccount };
}

/** `istio`, or names of cases with commas between; undefined when one of them does not exist. */
