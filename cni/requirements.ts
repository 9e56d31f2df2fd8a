/** What the agent needs of its process and of the kernel: said by name before anything fails halfway. */
import { readFileSync, statfsSync } from 'node:fs';
import { missingCapabilities, type NeededCapability } from '../common/core/capabilities.ts';
import { MeshError } from '../common/core/errors.ts';
import type { AgentConfig } from './config.ts';

const capabilities: readonly NeededCapability[] = [
  { name: 'CAP_SYS_ADMIN', why: "to enter pods' network namespaces" },
  { name: 'CAP_NET_ADMIN', why: 'to set routes in pods and attach eBPF programs or make rules of nftables' },
];
const ebpfCapabilities: readonly NeededCapability[] = [
  { name: 'CAP_BPF', why: 'to load eBPF programs', instead: 'CAP_SYS_ADMIN' },
];

/** f_type of statfs(2). */
const cgroup2 = 0x63677270;
const bpffs = 0xcafe4a11;

export interface Machine {
  /** Text of /proc/self/status. */
  readonly status: string;
  /** f_type of the file system that holds a path; undefined when the path does not exist. */
  readonly fileSystem: (path: string) => number | undefined;
}

export const thisMachine: Machine = {
  get status() {
    return readFileSync('/proc/self/status', 'utf8');
  },
  fileSystem(path) {
    try {
      return statfsSync(path).type;
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw e;
    }
  },
};

/** What no capture can do without. Throws MeshError CONFIG that names everything that is missing, and what can be done. */
export function checkRequirements(config: AgentConfig, machine: Machine = thisMachine): void {
  const missing = [...lackedCapabilities(machine.status, capabilities), ...missingCgroups(config, machine)];
  if (missing.length === 0) return;
  throw new MeshError('CONFIG', ['the capture agent cannot start:', ...missing].join('\n  '));
}

/** What only eBPF needs of process and machine; undefined: nothing is missing. */
export function missingForEbpf(config: AgentConfig, machine: Machine = thisMachine): string | undefined {
  const missing = [...lackedCapabilities(machine.status, ebpfCapabilities), ...missingBpffs(config, machine)];
  return missing.length === 0 ? undefined : missing.join('; ');
}

function lackedCapabilities(status: string, needed: readonly NeededCapability[]): string[] {
  return missingCapabilities(status, needed).map(
    (c) => `capability ${c.name} is missing, needed ${c.why}: run the agent as root or grant it`,
  );
}

function missingCgroups(config: AgentConfig, { fileSystem }: Machine): string[] {
  const missing: string[] = [];
  for (const [name, path] of [
    ['AQUIFER_CGROUP_ROOT', config.cgroupRoot],
    ['AQUIFER_ZTUNNEL_CGROUP', config.ztunnelCgroup],
  ] as const) {
    if (path === undefined) continue;
    const type = fileSystem(path);
    if (type === undefined) missing.push(`${name}=${path} does not exist`);
    else if (type !== cgroup2) missing.push(`${name}=${path} is not in a cgroup2 file system`);
  }
  return missing;
}

/** The folder itself is made at the start; what it stands in must be a bpffs. */
function missingBpffs(config: AgentConfig, { fileSystem }: Machine): string[] {
  const parent = config.bpfDir.slice(0, config.bpfDir.lastIndexOf('/')) || '/';
  if ((fileSystem(config.bpfDir) ?? fileSystem(parent)) === bpffs) return [];
  return [
    `AQUIFER_BPF_DIR=${config.bpfDir} is not in a BPF file system, without which capture would end with the agent: ` +
      'mount -t bpf bpf /sys/fs/bpf',
  ];
}
