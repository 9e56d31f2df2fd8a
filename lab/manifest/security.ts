/** With which rights a container's processes run. */
import type { Container, PodSpec } from '../../common/kube/kinds/core.ts';
import { containerSecurityFields, podSecurityFields } from './fields.ts';
import type { Problems } from './problems.ts';

/** Which rights a container's processes have. */
export interface Privileges {
  /** undefined: root. */
  readonly user: { readonly uid: number; readonly gid: number } | undefined;
  /** Supplementary. */
  readonly groups: readonly number[];
  readonly noNewPrivileges: boolean;
  /** Changes to what the lab's root has (setpriv(1)): `-all`, `+net_bind_service`, in this order; empty: it has all. */
  readonly capabilities: readonly string[];
  /** Which system calls they may make. */
  readonly seccomp: 'runtime-default' | 'unconfined';
}

export interface SecurityPlan {
  readonly privileges: Privileges;
  /** It sees the devices of the machine. */
  readonly privileged: boolean;
  readonly readOnlyRoot: boolean;
  /** runAsNonRoot, and it would be root: why it is not created. */
  readonly rootRefused: string | undefined;
}

interface Profile {
  readonly type?: string;
}

export interface PodSecurity {
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly runAsNonRoot?: boolean;
  readonly supplementalGroups?: readonly number[];
  readonly fsGroup?: number;
  readonly sysctls?: readonly { readonly name: string; readonly value: string }[];
  readonly seccompProfile?: Profile;
  readonly appArmorProfile?: Profile;
}

interface ContainerSecurity {
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly runAsNonRoot?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly privileged?: boolean;
  readonly readOnlyRootFilesystem?: boolean;
  readonly seccompProfile?: Profile;
  readonly appArmorProfile?: Profile;
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
}

export function planPodSecurity(spec: PodSpec, field: string, problems: Problems): PodSecurity {
  const security = (spec['securityContext'] ?? {}) as PodSecurity;
  const at = `${field}.securityContext`;
  problems.check(security, at, podSecurityFields);
  checkProfiles(security, at, problems);
  for (const [i, { name }] of (security.sysctls ?? []).entries()) {
    if (!safeSysctls.has(name.replaceAll('/', '.')))
      problems.add(`${at}.sysctls[${i}].name`, `"${name}" is not among those that kubelet takes for safe`);
    else if (spec.hostNetwork) problems.add(`${at}.sysctls[${i}].name`, "would change the node's network");
  }
  return security;
}

/** Of a network namespace, those that kubelet allows without being told to. */
const safeSysctls = new Set([
  ...['ip_local_port_range', 'tcp_syncookies', 'ping_group_range', 'ip_unprivileged_port_start'].map(ipv4),
  ...['ip_local_reserved_ports', 'tcp_keepalive_time', 'tcp_fin_timeout', 'tcp_keepalive_intvl'].map(ipv4),
  ...['tcp_keepalive_probes', 'tcp_rmem', 'tcp_wmem'].map(ipv4),
]);

function ipv4(name: string): string {
  return `net.ipv4.${name}`;
}

export function planSecurity(c: Container, at: string, pod: PodSecurity, problems: Problems): SecurityPlan {
  const field = `${at}.securityContext`;
  const own = (c['securityContext'] ?? {}) as ContainerSecurity;
  problems.check(own, field, containerSecurityFields);
  checkProfiles(own, field, problems);
  const { add = [], drop = [] } = own.capabilities ?? {};
  problems.only(own.capabilities, `${field}.capabilities`, ['add', 'drop']);
  const dropped = drop.map((name) => capability(name, `${field}.capabilities.drop`, problems));
  const added = add.map((name) => capability(name, `${field}.capabilities.add`, problems));
  const kept = dropped.includes('all') ? [] : usual.filter((name) => !dropped.includes(name));
  const capabilities = ['-all', ...new Set([...kept, ...added])].map((name, i) => (i === 0 ? name : `+${name}`));
  const uid = own.runAsUser ?? pod.runAsUser;
  const gid = own.runAsGroup ?? pod.runAsGroup;
  const profile = own.seccompProfile ?? pod.seccompProfile;
  const groups = [...(pod.supplementalGroups ?? []), ...(pod.fsGroup === undefined ? [] : [pod.fsGroup])];
  return {
    privileges: {
      user: uid === undefined && gid === undefined ? undefined : { uid: uid ?? 0, gid: gid ?? 0 },
      groups: [...new Set(groups)],
      noNewPrivileges: own.allowPrivilegeEscalation === false,
      capabilities: own.privileged ? [] : capabilities,
      seccomp: !own.privileged && profile?.type === 'RuntimeDefault' ? 'runtime-default' : 'unconfined',
    },
    privileged: own.privileged ?? false,
    readOnlyRoot: own.readOnlyRootFilesystem ?? false,
    rootRefused: rootRefusal(own.runAsNonRoot ?? pod.runAsNonRoot ?? false, uid),
  };
}

/** In kubelet's words. */
function rootRefusal(nonRoot: boolean, uid: number | undefined): string | undefined {
  if (!nonRoot || (uid !== undefined && uid !== 0)) return undefined;
  return uid === 0
    ? "container's runAsUser breaks non-root policy"
    : 'container has runAsNonRoot and image will run as root';
}

function checkProfiles(context: PodSecurity | ContainerSecurity, at: string, problems: Problems): void {
  for (const name of ['seccompProfile', 'appArmorProfile'] as const) {
    if (context[name]?.type === 'Localhost')
      problems.add(`${at}.${name}.type`, 'a lab has no profiles of its nodes; it knows RuntimeDefault and Unconfined');
  }
}

/** capabilities(7) without `CAP_`, in setpriv's lower case. */
function capability(name: string, field: string, problems: Problems): string {
  const known = name.toLowerCase().replace(/^cap_/, '');
  if (known !== 'all' && !capabilityNames.has(known)) {
    problems.add(field, `"${name}" is not a capability of Linux; NET_ADMIN is one`);
  }
  return known;
}

/** What containers have that ask for nothing, by containerd and all others alike. */
const usual = [
  ...['chown', 'dac_override', 'fowner', 'fsetid', 'kill', 'setgid', 'setuid', 'setpcap', 'net_bind_service'],
  ...['net_raw', 'sys_chroot', 'mknod', 'audit_write', 'setfcap'],
];

const capabilityNames = new Set([
  ...['chown', 'dac_override', 'dac_read_search', 'fowner', 'fsetid', 'kill', 'setgid', 'setuid', 'setpcap'],
  ...['linux_immutable', 'net_bind_service', 'net_broadcast', 'net_admin', 'net_raw', 'ipc_lock', 'ipc_owner'],
  ...['sys_module', 'sys_rawio', 'sys_chroot', 'sys_ptrace', 'sys_pacct', 'sys_admin', 'sys_boot', 'sys_nice'],
  ...['sys_resource', 'sys_time', 'sys_tty_config', 'mknod', 'lease', 'audit_write', 'audit_control', 'setfcap'],
  ...['mac_override', 'mac_admin', 'syslog', 'wake_alarm', 'block_suspend', 'audit_read', 'perfmon', 'bpf'],
  'checkpoint_restore',
]);
