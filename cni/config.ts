/**
 * Settings of the capture agent, from the environment and flags (a flag wins): Istio's names where it has them
 * (ambient-wire 6.4 and 6.7), ours begin with AQUIFER_. Every mistake is reported at once.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Millis, millis } from '../common/core/brand.ts';
import { MeshError } from '../common/core/errors.ts';
import { type LogSink, stdoutSink } from '../common/core/log.ts';
import { type Port, parsePort } from '../common/core/net.ts';

export interface AgentConfig {
  readonly command: 'run' | 'uninstall';
  /** NODE_NAME: only pods with this spec.nodeName are looked at. */
  readonly nodeName: string;
  /** AQUIFER_KUBE_DIR: the folder that holds the Kubernetes objects. */
  readonly kubeDir: string;
  /** INPOD_UDS or --ztunnel-uds-address; the steering socket is `<path>.steer`. */
  readonly zdsPath: string;
  readonly steeringPath: string;
  /** AQUIFER_CGROUP_ROOT: where eBPF attaches, and below it lie the pods' cgroups. Default: the cgroup2 mount. */
  readonly cgroupRoot: string;
  /** Mount point of cgroup2, against which /proc/PID/cgroup is to be read. undefined: none is mounted. */
  readonly cgroupMount: string | undefined;
  /** Roots of cgroup v1 hierarchies, in which pods are looked for too; none when AQUIFER_CGROUP_ROOT is set. */
  readonly legacyCgroupRoots: readonly string[];
  /** AQUIFER_ZTUNNEL_CGROUP: processes in it and below it are never captured. */
  readonly ztunnelCgroup: string;
  /** AQUIFER_PROBER_CGROUP: connections from it reach pods directly. Default: the kubelet's. */
  readonly proberCgroup: string | undefined;
  /** AQUIFER_BPF_DIR: a folder in a bpffs for the pins. */
  readonly bpfDir: string;
  /** AQUIFER_WITHDRAW_GRACE: from announcing that a pod leaves to the end of its capture. Default 1 s. */
  readonly withdrawGrace: Millis;
  /** AQUIFER_CAPTURE. `auto` takes the best that the kernel can do; today that is eBPF or nothing. */
  readonly capture: 'ebpf' | 'auto';
  /** AQUIFER_FAIL_OPEN: without a proxy, connections go direct and in plain text instead of being refused. */
  readonly failOpen: boolean;
  /** EXCLUDED_NAMESPACES, or --exclude-namespaces: never enrolled. Default: kube-system and the agent's own. */
  readonly excludedNamespaces: ReadonlySet<string>;
  /** --monitoring-port. Default 15014. */
  readonly monitoringPort: Port;
}

export interface ConfigInput {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Text of /proc/mounts. */
  readonly mounts: string;
}

const usage = `usage: cni-agent [run | uninstall] [--ztunnel-uds-address PATH] [--monitoring-port PORT] [--exclude-namespaces A,B]`;

export function readConfig(argv: readonly string[]): AgentConfig {
  return parseConfig({ argv, env: process.env, mounts: readFileSync('/proc/mounts', 'utf8') });
}

/** RUST_LOG and LOG_FORMAT. */
export function logSink(): LogSink {
  return stdoutSink(process.env);
}

/** MeshError CONFIG with every mistake, one a line. */
export function parseConfig({ argv, env, mounts }: ConfigInput): AgentConfig {
  const errors: string[] = [];
  const { flags, command } = parseFlags(argv, errors);
  const set = (name: string): string | undefined => env[name] || undefined;
  const required = (name: string, meaning: string): string => {
    const value = set(name);
    if (value === undefined && command === 'run') errors.push(`${name} is not set: ${meaning}`);
    return value ?? '';
  };
  const absolute = (name: string, path: string | undefined): string | undefined => {
    if (path !== undefined && !path.startsWith('/')) errors.push(`${name}=${path}: expected an absolute path`);
    return path;
  };
  const choice = <T extends string>(name: string, values: readonly T[], fallback: T): T => {
    const value = set(name);
    const known = values.find((v) => v === value);
    if (value !== undefined && known === undefined) errors.push(`${name}=${value}: expected ${values.join(' or ')}`);
    return known ?? fallback;
  };

  const zdsPath =
    absolute('INPOD_UDS', flags['ztunnel-uds-address'] ?? set('INPOD_UDS')) ?? '/var/run/ztunnel/ztunnel.sock';
  // sun_path holds 108 bytes with the final zero (unix(7)), and the steering socket's name is longer.
  if (Buffer.byteLength(`${zdsPath}.steer`) > 107) errors.push(`INPOD_UDS=${zdsPath}: at most 101 bytes fit`);
  const givenRoot = absolute('AQUIFER_CGROUP_ROOT', set('AQUIFER_CGROUP_ROOT'));
  const found = cgroupMounts(mounts);
  const cgroupRoot = givenRoot ?? found.unified;
  if (cgroupRoot === undefined) {
    errors.push('AQUIFER_CGROUP_ROOT is not set and no cgroup2 is mounted: eBPF capture attaches to a cgroup2 folder');
  }
  absolute('AQUIFER_ZTUNNEL_CGROUP', set('AQUIFER_ZTUNNEL_CGROUP'));
  const config: AgentConfig = {
    command,
    nodeName: required('NODE_NAME', 'the name of the Node object of this machine'),
    kubeDir: required('AQUIFER_KUBE_DIR', 'the folder with the Kubernetes objects'),
    zdsPath,
    steeringPath: `${zdsPath}.steer`,
    cgroupRoot: cgroupRoot ?? '',
    cgroupMount: found.unified,
    legacyCgroupRoots: givenRoot === undefined ? found.legacy : [],
    ztunnelCgroup: required('AQUIFER_ZTUNNEL_CGROUP', 'the cgroup2 folder in which this node runs its ztunnel'),
    proberCgroup: absolute('AQUIFER_PROBER_CGROUP', set('AQUIFER_PROBER_CGROUP')),
    bpfDir: absolute('AQUIFER_BPF_DIR', set('AQUIFER_BPF_DIR')) ?? '/sys/fs/bpf/aquifer',
    withdrawGrace: duration('AQUIFER_WITHDRAW_GRACE', set('AQUIFER_WITHDRAW_GRACE') ?? '1s', errors),
    capture: choice('AQUIFER_CAPTURE', ['ebpf', 'auto'], 'auto'),
    failOpen: choice('AQUIFER_FAIL_OPEN', ['true', 'false'], 'false') === 'true',
    excludedNamespaces: new Set(
      (
        flags['exclude-namespaces'] ??
        set('EXCLUDED_NAMESPACES') ??
        `kube-system,${set('POD_NAMESPACE') ?? 'istio-system'}`
      )
        .split(',')
        .map((s) => s.trim())
        .filter((s) => s !== ''),
    ),
    monitoringPort: port('--monitoring-port', flags['monitoring-port'] ?? '15014', errors),
  };
  if (errors.length > 0) throw new MeshError('CONFIG', [...errors, usage].join('\n'));
  return config;
}

type Flags = Readonly<Record<'ztunnel-uds-address' | 'monitoring-port' | 'exclude-namespaces', string | undefined>>;

function parseFlags(
  argv: readonly string[],
  errors: string[],
): { readonly flags: Flags; readonly command: AgentConfig['command'] } {
  const flags: Record<keyof Flags, string | undefined> = {
    'ztunnel-uds-address': undefined,
    'monitoring-port': undefined,
    'exclude-namespaces': undefined,
  };
  const string = { type: 'string' } as const;
  const { tokens } = parseArgs({
    args: [...argv],
    options: { 'ztunnel-uds-address': string, 'monitoring-port': string, 'exclude-namespaces': string },
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  let command: AgentConfig['command'] | undefined;
  for (const token of tokens) {
    if (token.kind === 'option' && token.name in flags) {
      if (token.value) flags[token.name as keyof Flags] = token.value;
      else errors.push(`${token.rawName} needs a value`);
    } else if (token.kind === 'option') {
      errors.push(`${token.rawName} is not an option`);
    } else if (token.kind === 'positional') {
      if (command === undefined && (token.value === 'run' || token.value === 'uninstall')) command = token.value;
      else errors.push(`"${token.value}" is not understood`);
    }
  }
  return { flags, command: command ?? 'run' };
}

/** Istio's durations are Go's; the units that make sense here are enough. */
function duration(name: string, text: string, errors: string[]): Millis {
  const m = /^(\d{1,7})(ms|s|m)$/.exec(text);
  if (m) return millis(Number(m[1]) * { ms: 1, s: 1000, m: 60_000 }[m[2] as 'ms' | 's' | 'm']);
  errors.push(`${name}=${text}: expected a duration such as 500ms, 1s or 1m`);
  return millis(0);
}

function port(name: string, text: string, errors: string[]): Port {
  const value = parsePort(text);
  if (value === undefined) errors.push(`${name} ${text}: expected a port from 0 to 65535`);
  return value ?? (0 as Port);
}

/** Mount points in /proc/mounts, which writes space, tab, newline and backslash as octal (proc(5)). */
export function cgroupMounts(mounts: string): {
  readonly unified: string | undefined;
  readonly legacy: readonly string[];
} {
  const entries = mounts.split('\n').map((line) => line.split(' '));
  const path = (text: string) =>
    text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
  const of = (type: string) => entries.filter((e) => e[2] === type).map((e) => path(e[1]!));
  return { unified: of('cgroup2')[0], legacy: of('cgroup') };
}
