/** From a Pod's manifest to what is to be run. Pure; everything the lab does not honour is a problem that names the field. */
import type { Container, PodSpec } from '../../common/kube/kinds/core.ts';
import type { Image } from '../image/image.ts';
import { findImage, unknownImage } from '../image/table.ts';
import type { Privileges } from '../pods/launch.ts';
import { type EnvPlan, planEnv } from './env.ts';
import { type ProbePlan, planProbe } from './probe.ts';
import type { Problems } from './problems.ts';
import { planMounts, planVolumes, type VolumeMountPlan, type VolumePlan } from './volume.ts';

export type RestartPolicy = 'Always' | 'OnFailure' | 'Never';

export interface PodPlan {
  readonly hostNetwork: boolean;
  readonly hostname: string | undefined;
  readonly restartPolicy: RestartPolicy;
  /** Milliseconds between SIGTERM and SIGKILL. Default 30,000. */
  readonly grace: number;
  readonly serviceAccount: string;
  readonly mountToken: boolean;
  readonly volumes: readonly VolumePlan[];
  readonly init: readonly ContainerPlan[];
  readonly containers: readonly ContainerPlan[];
}

export type PreStop =
  | { readonly kind: 'exec'; readonly command: readonly string[] }
  | { readonly kind: 'sleep'; readonly milliseconds: number };

export interface ContainerPlan {
  readonly name: string;
  /** As the manifest says it. */
  readonly imageReference: string;
  readonly image: Image;
  /** `$(VAR)` not yet expanded. */
  readonly argv: readonly string[];
  readonly env: readonly EnvPlan[];
  readonly workingDir: string;
  readonly mounts: readonly VolumeMountPlan[];
  readonly privileges: Privileges;
  readonly readiness: ProbePlan | undefined;
  readonly liveness: ProbePlan | undefined;
  readonly startup: ProbePlan | undefined;
  readonly preStop: PreStop | undefined;
}

const podFields = [
  'containers',
  'initContainers',
  'restartPolicy',
  'terminationGracePeriodSeconds',
  'nodeName',
  'nodeSelector',
  'hostNetwork',
  'hostname',
  'subdomain',
  'serviceAccountName',
  'automountServiceAccountToken',
  'volumes',
  'securityContext',
  'dnsPolicy',
  'enableServiceLinks',
];

const containerFields = [
  'name',
  'image',
  'command',
  'args',
  'env',
  'envFrom',
  'workingDir',
  'ports',
  'volumeMounts',
  'readinessProbe',
  'livenessProbe',
  'startupProbe',
  'lifecycle',
  'securityContext',
  // Accepted without effect: a lab sets no limits, and has one build of every image.
  'resources',
  'imagePullPolicy',
];

interface SecurityContext {
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly runAsNonRoot?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
}

/** `field` is where the pod's spec stands in its manifest: `spec`, or `spec.template.spec`. */
export function planPod(spec: PodSpec, field: string, problems: Problems): PodPlan {
  problems.only(spec, field, podFields);
  checkDns(spec, field, problems);
  const volumes = planVolumes(spec, field, problems);
  const podSecurity = spec['securityContext'] as SecurityContext | undefined;
  problems.only(podSecurity, `${field}.securityContext`, ['runAsUser', 'runAsGroup', 'runAsNonRoot']);
  const plan = (c: Container, at: string, isInit: boolean) =>
    planContainer(c, at, { volumes, podSecurity: podSecurity ?? {}, isInit }, problems);
  return {
    hostNetwork: spec.hostNetwork ?? false,
    hostname: spec.hostname,
    restartPolicy: spec.restartPolicy ?? 'Always',
    grace: (spec.terminationGracePeriodSeconds ?? 30) * 1000,
    serviceAccount: spec.serviceAccountName ?? 'default',
    mountToken: spec.automountServiceAccountToken ?? true,
    volumes,
    init: (spec.initContainers ?? []).map((c, i) => plan(c, `${field}.initContainers[${i}]`, true)),
    containers: spec.containers.map((c, i) => plan(c, `${field}.containers[${i}]`, false)),
  };
}

function checkDns(spec: PodSpec, field: string, problems: Problems): void {
  const policy = spec['dnsPolicy'];
  if (policy !== undefined && policy !== 'ClusterFirst' && policy !== 'ClusterFirstWithHostNet') {
    problems.add(`${field}.dnsPolicy`, 'pods of a lab always use the cluster DNS: ClusterFirst');
  }
  if (spec['enableServiceLinks'] === true) {
    problems.add(`${field}.enableServiceLinks`, 'a lab sets no variables for Services; say false, or leave it out');
  }
}

interface ContainerContext {
  readonly volumes: readonly VolumePlan[];
  readonly podSecurity: SecurityContext;
  readonly isInit: boolean;
}

function planContainer(c: Container, at: string, context: ContainerContext, problems: Problems): ContainerPlan {
  problems.only(c, at, containerFields);
  const image = findImage(c.image ?? '');
  if (image === undefined) problems.add(`${at}.image`, unknownImage(c.image ?? ''));
  checkPorts(c, at, problems);
  if (context.isInit) {
    for (const probe of ['readinessProbe', 'livenessProbe', 'startupProbe', 'lifecycle']) {
      if (c[probe] !== undefined) problems.add(`${at}.${probe}`, 'init containers have none');
    }
  }
  const probe = (name: 'readinessProbe' | 'livenessProbe' | 'startupProbe') =>
    planProbe(c[name], `${at}.${name}`, (port) => containerPort(c, port), problems);
  return {
    name: c.name,
    imageReference: c.image ?? '',
    image: image ?? noImage,
    argv: commandLine(c, image ?? noImage),
    env: planEnv(c, at, problems),
    workingDir: c.workingDir ?? image?.workingDir ?? '/',
    mounts: planMounts(c, at, context.volumes, problems),
    privileges: planPrivileges(c, at, context.podSecurity, problems),
    readiness: probe('readinessProbe'),
    liveness: probe('livenessProbe'),
    startup: probe('startupProbe'),
    preStop: planPreStop(c, at, problems),
  };
}

/** Stands in a plan that has problems and is therefore never run. */
const noImage: Image = {
  name: '',
  packages: [],
  entrypoint: [],
  command: [],
  workingDir: '/',
  env: {},
  files: {},
  needsCheckout: false,
};

/** Kubernetes' table: `command` replaces the entrypoint and drops the image's own arguments, `args` replaces those. */
function commandLine(c: Container, image: Image): readonly string[] {
  if (c.command && c.command.length > 0) return [...c.command, ...(c.args ?? [])];
  return [...image.entrypoint, ...(c.args && c.args.length > 0 ? c.args : image.command)];
}

function checkPorts(c: Container, at: string, problems: Problems): void {
  for (const [i, port] of (c.ports ?? []).entries()) {
    problems.only(port, `${at}.ports[${i}]`, ['name', 'containerPort', 'protocol']);
    if (port.protocol === 'SCTP') problems.add(`${at}.ports[${i}].protocol`, 'a lab knows TCP and UDP');
  }
}

function containerPort(c: Container, port: number | string): number | undefined {
  if (typeof port === 'number') return port;
  return c.ports?.find((p) => p.name === port)?.containerPort;
}

function planPrivileges(c: Container, at: string, pod: SecurityContext, problems: Problems): Privileges {
  const field = `${at}.securityContext`;
  const own = c['securityContext'] as SecurityContext | undefined;
  const known = ['runAsUser', 'runAsGroup', 'runAsNonRoot', 'allowPrivilegeEscalation', 'capabilities'];
  problems.only(own, field, known);
  const { add = [], drop = [] } = own?.capabilities ?? {};
  problems.only(own?.capabilities, `${field}.capabilities`, ['add', 'drop']);
  const capabilities = [
    ...drop.map((name) => `-${capability(name, `${field}.capabilities.drop`, problems)}`),
    ...add.map((name) => `+${capability(name, `${field}.capabilities.add`, problems)}`),
  ];
  const all = { ...pod, ...own };
  const uid = all.runAsUser;
  if (all.runAsNonRoot && (uid ?? 0) === 0) {
    problems.add(`${field}.runAsNonRoot`, 'images of a lab run as root; give runAsUser');
  }
  return {
    user: uid === undefined && all.runAsGroup === undefined ? undefined : { uid: uid ?? 0, gid: all.runAsGroup ?? 0 },
    noNewPrivileges: all.allowPrivilegeEscalation === false,
    capabilities,
  };
}

/** capabilities(7) without `CAP_`, in setpriv's lower case. */
function capability(name: string, field: string, problems: Problems): string {
  const known = name.toLowerCase().replace(/^cap_/, '');
  if (known !== 'all' && !capabilityNames.has(known)) {
    problems.add(field, `"${name}" is not a capability of Linux; NET_ADMIN is one`);
  }
  return known;
}

const capabilityNames = new Set([
  ...['chown', 'dac_override', 'dac_read_search', 'fowner', 'fsetid', 'kill', 'setgid', 'setuid', 'setpcap'],
  ...['linux_immutable', 'net_bind_service', 'net_broadcast', 'net_admin', 'net_raw', 'ipc_lock', 'ipc_owner'],
  ...['sys_module', 'sys_rawio', 'sys_chroot', 'sys_ptrace', 'sys_pacct', 'sys_admin', 'sys_boot', 'sys_nice'],
  ...['sys_resource', 'sys_time', 'sys_tty_config', 'mknod', 'lease', 'audit_write', 'audit_control', 'setfcap'],
  ...['mac_override', 'mac_admin', 'syslog', 'wake_alarm', 'block_suspend', 'audit_read', 'perfmon', 'bpf'],
  'checkpoint_restore',
]);

function planPreStop(c: Container, at: string, problems: Problems): PreStop | undefined {
  const lifecycle = c['lifecycle'] as
    | { preStop?: { exec?: { command?: string[] }; sleep?: { seconds: number } } }
    | undefined;
  problems.only(lifecycle, `${at}.lifecycle`, ['preStop']);
  problems.only(lifecycle?.preStop, `${at}.lifecycle.preStop`, ['exec', 'sleep']);
  const { exec, sleep } = lifecycle?.preStop ?? {};
  if (exec) return { kind: 'exec', command: exec.command ?? [] };
  if (sleep) return { kind: 'sleep', milliseconds: sleep.seconds * 1000 };
  return undefined;
}
