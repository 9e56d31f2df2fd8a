/** Flags and environment of `istiod discovery`, under Istio's names where it has one. The only reader of the environment. */
import { parseArgs } from 'node:util';
import { describeError } from '../common/core/errors.ts';
import { type LogSink, stdoutSink } from '../common/core/log.ts';
import { parseIp, parsePort, type SocketAddr } from '../common/core/net.ts';

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
  /** Ms. */
  readonly defaultCertTtl: number;
  /** Ms. */
  readonly maxCertTtl: number;
  readonly kubeDir: string;
  readonly dataDir: string;
  /** undefined: tokens are refused. */
  readonly tokens: { readonly jwksFile: string; readonly issuer: string } | undefined;
}

/** The process's own arguments, environment and output. */
export function readConfig(args: readonly string[]): ConfigResult {
  return parseConfig(args, process.env);
}

/** An absent ip means every address of both families. */
export interface ListenAddress {
  readonly ip: SocketAddr['ip'] | undefined;
  /** 0: the kernel chooses. */
  readonly port: number;
}

export type ConfigResult =
  | { readonly kind: 'config'; readonly config: IstiodConfig; readonly sink: LogSink }
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'errors'; readonly errors: readonly string[] };

type Env = Readonly<Record<string, string | undefined>>;

const flags = {
  grpcAddr: { type: 'string', default: ':15010' },
  secureGRPCAddr: { type: 'string', default: ':15012' },
  monitoringAddr: { type: 'string', default: ':15014' },
  domain: { type: 'string', default: 'cluster.local' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

export const helpText = `istiod discovery: announces the mesh to node proxies and signs their certificates

Flags
  --grpcAddr ADDR        xDS in plain text, default :15010; empty turns it off
  --secureGRPCAddr ADDR  xDS and certificates over TLS, default :15012
  --monitoringAddr ADDR  /metrics, /ready and /debug, default :15014
  --domain NAME          suffix of service names, default cluster.local
Environment
  AQUIFER_KUBE_DIR           folder of Kubernetes YAML to serve (required)
  AQUIFER_DATA_DIR           folder that keeps the key of the CA (required)
  AQUIFER_JWKS               file with the public keys of the token issuer
  AQUIFER_TOKEN_ISSUER       the issuer's name in tokens
  CLUSTER_ID                 default Kubernetes
  POD_NAMESPACE              default istio-system
  CA_TRUSTED_NODE_ACCOUNTS   default istio-system/ztunnel; several are separated by commas
  DEFAULT_WORKLOAD_CERT_TTL  default 24h
  MAX_WORKLOAD_CERT_TTL      default 2160h
  RUST_LOG, LOG_FORMAT       level (info) and format (plain or json) of the log`;

/** Finds all mistakes before it gives up. */
export function parseConfig(args: readonly string[], env: Env): ConfigResult {
  const errors: string[] = [];
  const { values, positionals } = readFlags(args, errors);
  if (values.help) return { kind: 'help', text: helpText };
  const [command, ...surplus] = positionals;
  if (command !== 'discovery') errors.push(`expected the command "discovery", found ${JSON.stringify(command ?? '')}`);
  for (const extra of surplus) errors.push(`unexpected argument ${JSON.stringify(extra)}`);

  const address = (flag: 'grpcAddr' | 'secureGRPCAddr' | 'monitoringAddr'): ListenAddress | undefined => {
    const text = values[flag];
    if (text === '') return undefined;
    const parsed = parseListenAddress(text);
    if (parsed === undefined) errors.push(`--${flag} ${JSON.stringify(text)}: expected ADDRESS:PORT or :PORT`);
    return parsed;
  };
  const required = (name: string, what: string): string => {
    const value = env[name] ?? '';
    if (value === '') errors.push(`${name} is not set: ${what}`);
    return value;
  };
  const duration = (name: string, fallback: string): number => {
    const text = env[name] || fallback;
    const ms = parseDuration(text);
    if (ms === undefined) errors.push(`${name}=${JSON.stringify(text)}: expected a duration such as 24h or 90m`);
    return ms ?? 0;
  };

  const grpc = address('grpcAddr');
  const secureGrpc = address('secureGRPCAddr');
  const monitoring = address('monitoringAddr');
  const kubeDir = required('AQUIFER_KUBE_DIR', 'the folder of Kubernetes YAML to serve');
  const dataDir = required('AQUIFER_DATA_DIR', 'the folder that keeps the key of the CA');
  const defaultCertTtl = duration('DEFAULT_WORKLOAD_CERT_TTL', '24h');
  const maxCertTtl = duration('MAX_WORKLOAD_CERT_TTL', '2160h');
  if (defaultCertTtl > maxCertTtl && maxCertTtl > 0) {
    errors.push('DEFAULT_WORKLOAD_CERT_TTL is longer than MAX_WORKLOAD_CERT_TTL');
  }
  const accounts = (env['CA_TRUSTED_NODE_ACCOUNTS'] ?? 'istio-system/ztunnel').split(',').map((a) => a.trim());
  for (const a of accounts) {
    if (a !== '' && !/^[^/\s]+\/[^/\s]+$/.test(a)) {
      errors.push(`CA_TRUSTED_NODE_ACCOUNTS: ${JSON.stringify(a)} is not namespace/service-account`);
    }
  }
  const [jwksFile, issuer] = [env['AQUIFER_JWKS'] ?? '', env['AQUIFER_TOKEN_ISSUER'] ?? ''];
  if ((jwksFile === '') !== (issuer === '')) {
    errors.push('AQUIFER_JWKS and AQUIFER_TOKEN_ISSUER belong together: set both, or none to refuse all tokens');
  }
  const sink = readSink(env, errors);
  if (errors.length > 0 || sink === undefined) return { kind: 'errors', errors };
  return {
    kind: 'config',
    sink,
    config: {
      grpc,
      secureGrpc,
      monitoring,
      domain: values.domain,
      trustDomain: 'cluster.local',
      clusterId: env['CLUSTER_ID'] || 'Kubernetes',
      namespace: env['POD_NAMESPACE'] || 'istio-system',
      trustedNodeAccounts: new Set(accounts.filter((a) => a !== '')),
      defaultCertTtl,
      maxCertTtl,
      kubeDir,
      dataDir,
      tokens: jwksFile === '' ? undefined : { jwksFile, issuer },
    },
  };
}

function readSink(env: Env, errors: string[]): LogSink | undefined {
  try {
    return stdoutSink(env);
  } catch (e) {
    errors.push(`RUST_LOG: ${describeError(e)}`);
    return undefined;
  }
}

interface Flags {
  readonly values: {
    readonly grpcAddr: string;
    readonly secureGRPCAddr: string;
    readonly monitoringAddr: string;
    readonly domain: string;
    readonly help: boolean;
  };
  readonly positionals: readonly string[];
}

function readFlags(args: readonly string[], errors: string[]): Flags {
  const { values, positionals, tokens } = parseArgs({
    args: [...args],
    options: flags,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    if (!Object.hasOwn(flags, token.name)) errors.push(`unknown flag ${token.rawName}; see istiod --help`);
    else if (flags[token.name as keyof typeof flags].type === 'string' && token.value === undefined) {
      errors.push(`flag ${token.rawName} needs a value`);
    }
  }
  const text = (name: 'grpcAddr' | 'secureGRPCAddr' | 'monitoringAddr' | 'domain') => {
    const value = values[name];
    return typeof value === 'string' ? value : flags[name].default;
  };
  return {
    values: {
      grpcAddr: text('grpcAddr'),
      secureGRPCAddr: text('secureGRPCAddr'),
      monitoringAddr: text('monitoringAddr'),
      domain: text('domain'),
      help: values.help === true,
    },
    positionals,
  };
}

/** `:15010`, `127.0.0.1:0` or `[::1]:0`. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const colon = text.lastIndexOf(':');
  const port = colon < 0 ? undefined : parsePort(text.slice(colon + 1));
  if (port === undefined) return undefined;
  const host = text.slice(0, colon);
  if (host === '') return { ip: undefined, port };
  const ip = parseIp(host.replace(/^\[(.*)\]$/, '$1'));
  return ip === undefined || (ip.includes(':') && !host.startsWith('[')) ? undefined : { ip, port };
}

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

/** Go's notation, `1h30m`, in ms; undefined when it is none or not positive. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) {
    ms += Number(number) * units[unit as keyof typeof units];
  }
  return ms > 0 && Number.isFinite(ms) ? ms : undefined;
}
