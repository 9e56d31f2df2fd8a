/**
 * Settings of the node proxy, from the environment: Istio's names and defaults (ambient-wire 6.7), ours begin with AQUIFER_.
 * Every mistake is reported at once; a value that would be ignored is a mistake.
 */
import { type Millis, millis } from '../common/core/brand.ts';
import { type Compat, type CompatCase, compatCases } from '../common/core/compat.ts';
import { type Ip, type Port, parseIp, parsePort } from '../common/core/net.ts';
import type { KeepAlive } from '../native/index.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** Which connection to follow; every given part must fit. */
export interface TraceFilter {
  readonly source?: TraceEndpoint;
  readonly destination?: TraceEndpoint;
  /** First hex digits of the trace id of a CONNECT. */
  readonly idPrefix?: string;
}

export interface TraceEndpoint {
  readonly ip?: Ip;
  readonly port?: Port;
}

export interface ControlPlaneConfig {
  /** `https://host:port`, for xDS also `http://host:port`. */
  readonly address: string;
  /** File with the PEM roots of its serving certificate. */
  readonly rootFile: string;
}

export interface ZtunnelConfig {
  readonly engine: 'node';
  /** Worker processes, 1 to 64. Default 1. */
  readonly workers: number;
  /** Open descriptors of one worker. Default: the limit of the process. */
  readonly maxDescriptors: number;
  readonly compat: Compat;
  readonly trace: TraceFilter | undefined;

  readonly xds: ControlPlaneConfig;
  readonly ca: ControlPlaneConfig;
  /** File with the bearer token. */
  readonly tokenFile: string;
  /** Life asked for in a certificate request. Default 24 h. */
  readonly secretTtl: Millis;
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

  readonly zdsPath: string;
  /** SO_REUSEPORT on listeners made with fixed ports. */
  readonly portReuse: boolean;
  /** SO_MARK of sockets that must not be captured again. Default 1337. */
  readonly packetMark: number;
  /** Dial the app from the client's address: always, never, or where the pod's routing allows it. */
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
  /** Policy decisions at level info. */
  readonly logPolicyDecisions: boolean;
}

export type ConfigResult =
  | { readonly kind: 'ok'; readonly config: ZtunnelConfig }
  | { readonly kind: 'invalid'; readonly errors: readonly string[] };

/** What the machine says, so that parsing does no I/O. */
export interface Surroundings {
  /** Soft limit of open files of this process. */
  readonly maxOpenFiles: number;
}

const defaultToken = './var/run/secrets/tokens/istio-token';
const defaultRoot = './var/run/secrets/istio/root-cert.pem';

/** Istio's switches that this release does not have; the value that means "off" is accepted. */
const notYet: readonly (readonly [name: string, off: string])[] = [
  ['ENABLE_PROXY', 'true'],
  ['XDS_ON_DEMAND', 'false'],
  ['FAKE_CA', 'false'],
  ['LOCAL_XDS_PATH', ''],
  ['LOCAL_XDS', ''],
  ['TLS12_ENABLED', 'false'],
  ['COMPLIANCE_POLICY', ''],
  ['CRL_PATH', ''],
  ['UNSTABLE_ENABLE_SOCKS5', 'false'],
  ['USER_TIMEOUT_ENABLED', 'false'],
  ['PROXY_CONFIG', ''],
  ['ALT_XDS_HOSTNAME', ''],
  ['ALT_CA_HOSTNAME', ''],
];

export function parseConfig(env: Env, surroundings: Surroundings): ConfigResult {
  const errors: string[] = [];
  const r = new Reader(env, errors);

  for (const [name, off] of notYet) {
    const value = env[name] ?? off;
    if (value !== off) errors.push(`${name}=${value}: not supported by this release; unset it`);
  }
  if (r.choice('PROXY_MODE', ['shared', 'dedicated'], 'shared') === 'dedicated') {
    errors.push('PROXY_MODE=dedicated: comes with a later release; use shared');
  }
  if (r.choice('AQUIFER_ENGINE', ['node', 'native'], 'node') === 'native') {
    errors.push('AQUIFER_ENGINE=native: comes with a later release; use node');
  }

  const grace = r.optionalInteger('TERMINATION_GRACE_PERIOD_SECONDS', 0, 86_400);
  const config: ZtunnelConfig = {
    engine: 'node',
    workers: r.integer('AQUIFER_WORKERS', 1, 1, 64),
    maxDescriptors: r.integer('AQUIFER_MAX_DESCRIPTORS', surroundings.maxOpenFiles, 64, 100_000_000),
    compat: r.compat('AQUIFER_COMPAT'),
    trace: r.trace('AQUIFER_TRACE'),

    xds: r.controlPlane('XDS', defaultControlPlane(env)),
    ca: r.controlPlane('CA', defaultControlPlane(env)),
    tokenFile: r.file('AUTH_TOKEN', defaultToken),
    secretTtl: r.duration('SECRET_TTL', 86_400_000),
    clusterId: env['ISTIO_META_CLUSTER_ID'] || env['CLUSTER_ID'] || 'Kubernetes',
    clusterDomain: env['CLUSTER_DOMAIN'] || 'cluster.local',
    network: env['NETWORK'] ?? '',
    nodeName: env['NODE_NAME'] || undefined,
    podName: env['POD_NAME'] ?? '',
    podNamespace: env['POD_NAMESPACE'] ?? '',
    serviceAccount: env['SERVICE_ACCOUNT'] ?? '',
    instanceIp: r.ip('INSTANCE_IP', '1.1.1.1'),
    nodeMetadata: metadata(env),
    preferredServiceNamespace: env['PREFERED_SERVICE_NAMESPACE'] || undefined,

    zdsPath: env['INPOD_UDS'] || '/var/run/ztunnel/ztunnel.sock',
    portReuse: r.boolean('INPOD_PORT_REUSE', true),
    packetMark: r.integer('PACKET_MARK', 1337, 1, 0xffff_ffff),
    originalSource: originalSource(r),
    ipv6: r.boolean('IPV6_ENABLED', true),
    dnsProxy: env['ISTIO_META_DNS_CAPTURE'] === undefined || env['ISTIO_META_DNS_CAPTURE'] === 'true',

    poolMaxStreams: r.integer('POOL_MAX_STREAMS_PER_CONNECTION', 100, 1, 1_000),
    poolUnusedRelease: r.duration('POOL_UNUSED_RELEASE_TIMEOUT', 300_000),
    keepAlive: keepAlive(r),
    drainDeadline: r.optionalDuration('CONNECTION_TERMINATION_DEADLINE') ?? deadlineFromGrace(grace),
    responseBaggage: r.boolean('ENABLE_RESPONSE_BAGGAGE', true),
    logPolicyDecisions: r.boolean('AUTHZ_POLICY_INFO_LOGGING', false),
  };
  return errors.length > 0 ? { kind: 'invalid', errors } : { kind: 'ok', config };
}

/** Leaves the kubelet time to see the exit: minus 5 s above 10 s, else minus 1 s, never below 1 s (ambient-wire 1.7). */
function deadlineFromGrace(seconds: number | undefined): Millis {
  if (seconds === undefined) return millis(5_000);
  return millis(Math.max(1, seconds > 10 ? seconds - 5 : seconds - 1) * 1000);
}

function defaultControlPlane(env: Env): string {
  return env['KUBERNETES_SERVICE_HOST'] ? 'https://istiod.istio-system.svc:15012' : 'https://localhost:15012';
}

function originalSource(r: Reader): ZtunnelConfig['originalSource'] {
  const value = r.choice('ENABLE_ORIG_SRC', ['true', 'false', ''], '');
  return value === 'true' ? 'always' : value === 'false' ? 'never' : 'auto';
}

function keepAlive(r: Reader): KeepAlive | undefined {
  const enabled = r.boolean('KEEPALIVE_ENABLED', true);
  const seconds = (name: string) => Math.max(1, Math.round(r.duration(name, 180_000) / 1000));
  const settings = {
    idle: seconds('KEEPALIVE_TIME'),
    interval: seconds('KEEPALIVE_INTERVAL'),
    probes: r.integer('KEEPALIVE_RETRIES', 9, 1, 127),
  };
  return enabled ? settings : undefined;
}

function metadata(env: Env): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith('ISTIO_META_') && value !== undefined) found[name.slice('ISTIO_META_'.length)] = value;
  }
  return found;
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `24h`, `5m`, `180s`, `10ms`, `1h30m`; undefined when it is none. */
export function parseDuration(text: string): Millis | undefined {
  if (!/^(\d{1,9}(ms|s|m|h|d))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+)(ms|s|m|h|d)/g)) total += Number(amount) * units[unit!]!;
  return millis(total);
}

/** `src=10.0.0.1,dst=10.0.0.2:80`, `dst=:80`, `id=4bf9` or bare hex digits of a trace id; undefined when it is none. */
export function parseTraceFilter(text: string): TraceFilter | undefined {
  const filter: { source?: TraceEndpoint; destination?: TraceEndpoint; idPrefix?: string } = {};
  for (const part of text.split(',')) {
    const eq = part.indexOf('=');
    const key = eq < 0 ? 'id' : part.slice(0, eq).trim();
    const value = part.slice(eq + 1).trim();
    if (key === 'id') {
      if (!/^[0-9a-f]{1,32}$/.test(value)) return undefined;
      filter.idPrefix = value;
    } else if (key === 'src' || key === 'dst') {
      const endpoint = parseTraceEndpoint(value);
      if (!endpoint) return undefined;
      filter[key === 'src' ? 'source' : 'destination'] = endpoint;
    } else {
      return undefined;
    }
  }
  return filter;
}

function parseTraceEndpoint(text: string): TraceEndpoint | undefined {
  const whole = parseIp(text);
  if (whole !== undefined) return { ip: whole };
  const m = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = m ? parsePort(m[3]!) : undefined;
  if (!m || port === undefined) return undefined;
  const host = m[1] ?? m[2]!;
  if (host === '') return { port };
  const ip = parseIp(host);
  return ip === undefined ? undefined : { ip, port };
}

/** Reads one variable after another; a bad one is remembered and its default used, so that all mistakes come together. */
class Reader {
  readonly #env: Env;
  readonly #errors: string[];

  constructor(env: Env, errors: string[]) {
    this.#env = env;
    this.#errors = errors;
  }

  #bad(name: string, expected: string): void {
    this.#errors.push(`${name}=${this.#env[name]}: expected ${expected}`);
  }

  choice<T extends string>(name: string, values: readonly T[], fallback: T): T {
    const value = this.#env[name] ?? fallback;
    const known = values.find((v) => v === value.toLowerCase());
    if (known === undefined) this.#bad(name, `one of ${values.filter((v) => v !== '').join(', ')}`);
    return known ?? fallback;
  }

  boolean(name: string, fallback: boolean): boolean {
    return this.choice(name, ['true', 'false'], fallback ? 'true' : 'false') === 'true';
  }

  integer(name: string, fallback: number, min: number, max: number): number {
    return this.optionalInteger(name, min, max) ?? fallback;
  }

  optionalInteger(name: string, min: number, max: number): number | undefined {
    const text = this.#env[name];
    if (text === undefined || text === '') return undefined;
    const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    this.#bad(name, `a whole number from ${min} to ${max}`);
    return undefined;
  }

  duration(name: string, fallback: number): Millis {
    return this.optionalDuration(name) ?? millis(fallback);
  }

  optionalDuration(name: string): Millis | undefined {
    const text = this.#env[name];
    if (text === undefined || text === '') return undefined;
    const value = parseDuration(text);
    if (value === undefined) this.#bad(name, 'a duration such as 500ms, 30s, 5m or 24h');
    return value;
  }

  ip(name: string, fallback: string): Ip {
    const value = parseIp(this.#env[name] || fallback);
    if (value === undefined) this.#bad(name, 'an IP address');
    return value ?? parseIp(fallback)!;
  }

  /** Istio also takes PEM text, a literal token and the word SYSTEM; a path is the one form that survives rotation. */
  file(name: string, fallback: string): string {
    const value = this.#env[name] || fallback;
    if (!value.includes('/') || value.includes('\n')) this.#bad(name, 'the path of a file');
    return value;
  }

  controlPlane(prefix: 'XDS' | 'CA', fallback: string): ControlPlaneConfig {
    const name = `${prefix}_ADDRESS`;
    const given = this.#env[name] ?? fallback;
    const address = given.includes('://') ? given : `https://${given}`;
    // Keys and certificates never travel without TLS; the plain port of istiod has no CA.
    const schemes = prefix === 'CA' ? 'https' : 'https?';
    if (!new RegExp(`^${schemes}://([^/:[\\]]+|\\[[^\\]]+\\]):\\d{1,5}$`).test(address)) {
      this.#bad(name, prefix === 'CA' ? 'https://host:port' : 'https://host:port or http://host:port');
    }
    return {
      address,
      rootFile: this.file(`${prefix}_ROOT_CA`, defaultRoot),
    };
  }

  /** `istio`, or names of cases with commas between, or nothing. */
  compat(name: string): Compat {
    const text = this.#env[name] ?? '';
    if (text === 'istio') return new Set(compatCases);
    const chosen = new Set<CompatCase>();
    for (const part of text.split(',').map((s) => s.trim())) {
      if (part === '') continue;
      const known = compatCases.find((c) => c === part);
      if (known) chosen.add(known);
      else this.#bad(name, `istio, or a list of ${compatCases.join(', ')}`);
    }
    return chosen;
  }

  trace(name: string): TraceFilter | undefined {
    const text = this.#env[name];
    if (text === undefined || text === '') return undefined;
    const filter = parseTraceFilter(text);
    if (!filter)
      this.#bad(name, 'src=IP[:PORT],dst=IP[:PORT] (either may be left out), or the first hex digits of a trace id');
    return filter;
  }
}
