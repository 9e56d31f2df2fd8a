/** From a container's manifest to what is to be run. Pure. */
import type { Container } from '../../common/kube/kinds/core.ts';
import { emptyImage, type Image } from '../image/image.ts';
import { findImage, unknownImage } from '../image/table.ts';
import { type EnvPlan, planEnv } from './env.ts';
import { containerFields, ephemeralFields } from './fields.ts';
import { type Hooks, planHooks } from './lifecycle.ts';
import { type ProbePlan, planProbe } from './probe.ts';
import type { Problems } from './problems.ts';
import { planResources, type ResourcePlan } from './resources.ts';
import { type PodSecurity, planSecurity, type SecurityPlan } from './security.ts';
import { planMounts, type VolumeMountPlan, type VolumePlan } from './volume.ts';

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
  readonly security: SecurityPlan;
  readonly resources: ResourcePlan;
  readonly readiness: ProbePlan | undefined;
  readonly liveness: ProbePlan | undefined;
  readonly startup: ProbePlan | undefined;
  readonly hooks: Hooks;
  /** An init container that goes on beside the others. */
  readonly sidecar: boolean;
  /** `once`: it ends with the first who attaches. */
  readonly stdin: 'none' | 'once' | 'open';
  readonly tty: boolean;
  readonly termination: TerminationPlan;
}

/** Where a container says why it ended. */
export interface TerminationPlan {
  readonly path: string;
  /** The end of its log, when it failed and said nothing. */
  readonly orLog: boolean;
}

/** Where in a pod's spec it stands. */
export type ContainerList = 'containers' | 'initContainers' | 'ephemeralContainers';

export interface PodContext {
  readonly volumes: readonly VolumePlan[];
  readonly security: PodSecurity;
  readonly hostNetwork: boolean;
}

export function planContainer(
  c: Container,
  at: string,
  pod: PodContext,
  list: ContainerList,
  problems: Problems,
): ContainerPlan {
  problems.check(c, at, list === 'ephemeralContainers' ? ephemeralFields : containerFields);
  const isInit = list === 'initContainers';
  const image = findImage(c.image ?? '');
  if (image === undefined) problems.add(`${at}.image`, unknownImage(c.image ?? ''));
  checkPorts(c, at, pod.hostNetwork, problems);
  const sidecar = isInit && c['restartPolicy'] === 'Always';
  if (c['restartPolicy'] !== undefined && !sidecar)
    problems.add(`${at}.restartPolicy`, 'a lab honours it as Always of init containers; others have the pod’s');
  if (isInit && !sidecar) {
    for (const field of ['readinessProbe', 'livenessProbe', 'startupProbe', 'lifecycle']) {
      if (c[field] !== undefined) problems.add(`${at}.${field}`, 'init containers that end have none');
    }
  }
  return {
    name: c.name,
    imageReference: c.image ?? '',
    image: image ?? noImage,
    argv: commandLine(c, image ?? noImage),
    env: planEnv(c, at, problems),
    workingDir: c.workingDir || image?.workingDir || '/',
    mounts: planMounts(c, at, pod.volumes, problems),
    security: planSecurity(c, at, pod.security, problems),
    resources: planResources(c, at, problems),
    readiness: planProbe(c, 'readinessProbe', at, problems),
    liveness: planProbe(c, 'livenessProbe', at, problems),
    startup: planProbe(c, 'startupProbe', at, problems),
    hooks: planHooks(c, at, problems),
    sidecar,
    stdin: c['stdin'] !== true ? 'none' : c['stdinOnce'] === true ? 'once' : 'open',
    tty: c['tty'] === true,
    termination: planTermination(c, at, problems),
  };
}

/** Stands in a plan that has problems and is therefore never run. */
const noImage: Image = { ...emptyImage, name: '' };

/** Kubernetes' table: `command` replaces the entrypoint and drops the image's own arguments, `args` replaces those. */
function commandLine(c: Container, image: Image): readonly string[] {
  if (c.command && c.command.length > 0) return [...c.command, ...(c.args ?? [])];
  return [...image.entrypoint, ...(c.args && c.args.length > 0 ? c.args : image.command)];
}

function checkPorts(c: Container, at: string, hostNetwork: boolean, problems: Problems): void {
  for (const [i, port] of (c.ports ?? []).entries()) {
    const field = `${at}.ports[${i}]`;
    problems.only(port, field, ['name', 'containerPort', 'protocol', 'hostPort']);
    // In the node's network every port is the node's.
    if ((port.hostPort ?? 0) !== 0 && !hostNetwork)
      problems.add(`${field}.hostPort`, 'a lab has no ports of nodes for pods; give hostNetwork');
    if (port.protocol === 'SCTP') problems.add(`${field}.protocol`, 'a lab knows TCP and UDP');
  }
}

function planTermination(c: Container, at: string, problems: Problems): TerminationPlan {
  const path = (c['terminationMessagePath'] as string | undefined) || '/dev/termination-log';
  if (!path.startsWith('/')) problems.add(`${at}.terminationMessagePath`, `"${path}" is not an absolute path`);
  return { path, orLog: c['terminationMessagePolicy'] === 'FallbackToLogsOnError' };
}
