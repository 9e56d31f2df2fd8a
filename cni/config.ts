/**
 * Settings of the capture agent, from the environment and flags (a flag wins): Istio's names where it has them
 * (ambient-wire 6.4 and 6.7), ours begin with AQUIFER_. Every mistake is reported at once.
 */
import { readFileSync } from 'node:fs';
import { readCommandLine } from '../common/config/command-line.ts';
import { type ConfigResult, type Settings, SettingsReader, splitList } from '../common/config/reader.ts';
import { type Millis, millis } from '../common/core/brand.ts';
import type { Port } from '../common/core/net.ts';
import { kubeconfigFlag, readSourcePlace, type SourcePlace, sourcePlaceMissing } from '../common/kube/open-source.ts';
import type { BigTcp } from './capture/big-tcp.ts';
import type { PluginPlace } from './install/installer.ts';
import type { Home } from './retirement.ts';

export interface AgentConfig {
  readonly command: 'run' | 'uninstall' | 'retire';
  /** AQUIFER_DAEMONSET, of POD_NAMESPACE: the agent retires when it says so. undefined: this agent is no DaemonSet's pod. */
  readonly home: Home | undefined;
  /** NODE_NAME: only pods with this spec.nodeName are looked at. */
  readonly nodeName: string;
  /** --kubeconfig, KUBECONFIG or the pod's own; undefined: an uninstallation without. */
  readonly objects: SourcePlace | undefined;
  /** INPOD_UDS or --ztunnel-uds-address; the steering socket is `<path>.steer`. */
  readonly zdsPath: string;
  readonly steeringPath: string;
  /** AQUIFER_CGROUP_ROOT: where eBPF attaches, and below it lie the pods' cgroups. Default: the cgroup2 mount. */
  readonly cgroupRoot: string;
  /** Mount point of cgroup2, against which /proc/PID/cgroup is to be read. undefined: none is mounted. */
  readonly cgroupMount: string | undefined;
  /** Roots of cgroup v1 hierarchies, in which pods are looked for too; none when AQUIFER_CGROUP_ROOT is set. */
  readonly legacyCgroupRoots: readonly string[];
  /**
   * AQUIFER_ZTUNNEL_CGROUP: processes in it and below it are never captured. undefined: the cgroup of each process that connects over
   * ZDS, or that of its pod.
   */
  readonly ztunnelCgroup: string | undefined;
  /** AQUIFER_PROBER_CGROUP: connections from it reach pods directly. Default: the kubelet's. */
  readonly proberCgroup: string | undefined;
  /** AQUIFER_BPF_DIR: a folder in a bpffs for the pins. */
  readonly bpfDir: string;
  /** AQUIFER_WITHDRAW_GRACE: from announcing that a pod leaves to the end of its capture. Default 1 s. */
  readonly withdrawGrace: Millis;
  /** AQUIFER_CAPTURE. `auto` takes eBPF where the kernel can do it, else nftables. */
  readonly capture: 'ebpf' | 'nft' | 'auto';
  /** AQUIFER_FAIL_OPEN: without a proxy, connections go direct and in plain text instead of being refused. eBPF only. */
  readonly failOpen: boolean;
  /** AQUIFER_SAME_NODE: pairs of pods that their owners label so connect directly where no policy needs the proxy. Default off; eBPF only. */
  readonly sameNode: boolean;
  /** AQUIFER_BIG_TCP. Default auto. */
  readonly bigTcp: BigTcp;
  /** EXCLUDED_NAMESPACES, or --exclude-namespaces: never enrolled. Default: kube-system and the agent's own. */
  readonly excludedNamespaces: ReadonlySet<string>;
  /** --monitoring-port. Default 15014. */
  readonly monitoringPort: Port;
  /** undefined: no CNI plugin is served; pods are found once they run. */
  readonly plugin: PluginConfig | undefined;
}

export interface PluginConfig {
  /** CNI_AGENT_RUN_DIR: where the plugin finds the agent's socket. Default /var/run/istio-cni. */
  readonly runDir: string;
  /** Where to install the plugin; undefined without CNI_NET_DIR: somebody else does. */
  readonly place: PluginPlace | undefined;
}

export interface ConfigInput {
  readonly argv: readonly string[];
  readonly env: Settings;
  /** Text of /proc/mounts. */
  readonly mounts: string;
}

export const usage =
  'usage: cni-agent [run | uninstall | retire | redirect add|remove] [--ztunnel-uds-address PATH] [--monitoring-port PORT] [--exclude-namespaces A,B] [--kubeconfig FILE]';

export function readConfig(argv: readonly string[]): ConfigResult<AgentConfig> {
  return parseConfig({ argv, env: process.env, mounts: readFileSync('/proc/mounts', 'utf8') });
}

const flagNames = ['--ztunnel-uds-address', '--monitoring-port', '--exclude-namespaces', kubeconfigFlag] as const;

export function parseConfig({ argv, env, mounts }: ConfigInput): ConfigResult<AgentConfig> {
  const { flags, words, errors } = readCommandLine(argv, flagNames);
  const r = new SettingsReader({ ...env, ...flags });
  for (const error of errors) r.mistake(error);
  const command = words[0] === 'uninstall' || words[0] === 'retire' ? words[0] : 'run';
  for (const word of words[0] === command ? words.slice(1) : words) r.mistake(`"${word}" is not understood`);
  /** An uninstallation does what it can without them. */
  const required = (name: string, meaning: string): string =>
    command === 'run' ? r.required(name, meaning) : (r.text(name) ?? '');

  const zdsName = r.first('--ztunnel-uds-address', 'INPOD_UDS');
  const zdsPath = r.absolutePath(zdsName) ?? '/var/run/ztunnel/ztunnel.sock';
  // sun_path holds 108 bytes with the final zero (unix(7)), and the steering socket's name is longer.
  if (Buffer.byteLength(`${zdsPath}.steer`) > 107) r.mistake(`${zdsName}=${zdsPath}: at most 101 bytes fit`);
  const givenRoot = r.absolutePath('AQUIFER_CGROUP_ROOT');
  const found = cgroupMounts(mounts);
  if (command !== 'retire' && r.text('AQUIFER_CGROUP_ROOT') === undefined && found.unified === undefined) {
    r.mistake(
      'AQUIFER_CGROUP_ROOT is not set and no cgroup2 is mounted: capture knows the node proxy by its cgroup2 folder',
    );
  }
  // A list that came out empty is taken for a mistake: it would let in what the mesh itself needs.
  const excluded = r.parsed(
    r.first('--exclude-namespaces', 'EXCLUDED_NAMESPACES'),
    (text) => (splitList(text).length > 0 ? splitList(text) : undefined),
    'one or more namespaces with commas between them',
  );
  const objects = readSourcePlace(r);
  if (objects === undefined && command !== 'uninstall') r.mistake(sourcePlaceMissing);
  return r.finish<AgentConfig>({
    command,
    home: homeOf(r, command),
    nodeName: required('NODE_NAME', 'the name of the Node object of this machine'),
    objects,
    zdsPath,
    steeringPath: `${zdsPath}.steer`,
    cgroupRoot: givenRoot ?? found.unified ?? '',
    cgroupMount: found.unified,
    legacyCgroupRoots: givenRoot === undefined ? found.legacy : [],
    ztunnelCgroup: r.absolutePath('AQUIFER_ZTUNNEL_CGROUP'),
    proberCgroup: r.absolutePath('AQUIFER_PROBER_CGROUP'),
    bpfDir: r.absolutePath('AQUIFER_BPF_DIR') ?? '/sys/fs/bpf/aquifer',
    withdrawGrace: r.duration('AQUIFER_WITHDRAW_GRACE') ?? millis(1_000),
    capture: r.choice('AQUIFER_CAPTURE', ['ebpf', 'nft', 'auto']) ?? 'auto',
    failOpen: r.boolean('AQUIFER_FAIL_OPEN') ?? false,
    sameNode: r.choice('AQUIFER_SAME_NODE', ['off', 'direct']) === 'direct',
    bigTcp: r.choice('AQUIFER_BIG_TCP', ['auto', 'all', 'off']) ?? 'auto',
    excludedNamespaces: new Set(excluded ?? ['kube-system', r.text('POD_NAMESPACE') ?? 'istio-system']),
    monitoringPort: r.port('--monitoring-port') ?? (15_014 as Port),
    plugin: pluginConfig(r),
  });
}

function homeOf(r: SettingsReader, command: AgentConfig['command']): Home | undefined {
  const namespace = r.text('POD_NAMESPACE') ?? 'istio-system';
  const name =
    command === 'retire' ? r.required('AQUIFER_DAEMONSET', 'the agents to retire') : r.text('AQUIFER_DAEMONSET');
  return name === undefined || name === '' ? undefined : { namespace, name };
}

/** Names as Istio's chart has them. A machine without Kubernetes has no such folders, so nothing is put there unasked. */
function pluginConfig(r: SettingsReader): PluginConfig | undefined {
  const netDir = r.absolutePath('CNI_NET_DIR');
  const runDir = r.absolutePath('CNI_AGENT_RUN_DIR');
  const binDir = r.absolutePath('CNI_BIN_DIR') ?? '/opt/cni/bin';
  const confName = r.parsed(
    'CNI_CONF_NAME',
    (text) => (/^[^/]+$/.test(text) ? text : undefined),
    'the name of a file in CNI_NET_DIR',
  );
  if (netDir === undefined && runDir === undefined) {
    for (const name of ['CNI_BIN_DIR', 'CNI_CONF_NAME']) {
      if (r.text(name) !== undefined)
        r.mistake(`${name} is set without CNI_NET_DIR, the folder of the network configurations`);
    }
    return undefined;
  }
  const dir = runDir ?? '/var/run/istio-cni';
  // sun_path holds 108 bytes with the final zero (unix(7)).
  if (Buffer.byteLength(dir) > 90) r.mistake(`CNI_AGENT_RUN_DIR=${dir}: at most 90 bytes fit`);
  return { runDir: dir, place: netDir === undefined ? undefined : { netDir, binDir, confName } };
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
