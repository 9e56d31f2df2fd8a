/** From a Pod's manifest to what is to be run. Pure; everything the lab does not honour is a problem that names the field. */
import type { Container, PodSpec } from '../../common/kube/kinds/core.ts';
import { type ContainerList, type ContainerPlan, planContainer } from './container-plan.ts';
import { type NamePlan, planNames } from './dns.ts';
import { podFields } from './fields.ts';
import type { Problems } from './problems.ts';
import { planPodSecurity } from './security.ts';
import { planVolumes, type VolumePlan } from './volume.ts';

export type RestartPolicy = 'Always' | 'OnFailure' | 'Never';

export interface PodPlan {
  readonly hostNetwork: boolean;
  readonly names: NamePlan;
  readonly restartPolicy: RestartPolicy;
  /** Milliseconds between SIGTERM and SIGKILL. Default 30,000. */
  readonly grace: number;
  /** Milliseconds; undefined: as long as it likes. */
  readonly activeDeadline: number | undefined;
  readonly serviceAccount: string;
  /** Containers get variables for the Services of their namespace. */
  readonly serviceLinks: boolean;
  readonly volumes: readonly VolumePlan[];
  /** Group of what is in its volumes. */
  readonly fsGroup: number | undefined;
  readonly sysctls: Readonly<Record<string, string>>;
  /** Types of conditions that others set, without which it is not ready. */
  readonly readinessGates: readonly string[];
  readonly init: readonly ContainerPlan[];
  readonly containers: readonly ContainerPlan[];
  /** Added to a pod that runs, to look into it. */
  readonly ephemeral: readonly ContainerPlan[];
}

/** `field` is where the pod's spec stands in its manifest: `spec`, or `spec.template.spec`. */
export function planPod(spec: PodSpec, field: string, problems: Problems): PodPlan {
  problems.check(spec, field, podFields);
  const volumes = planVolumes(spec, field, problems);
  const security = planPodSecurity(spec, field, problems);
  const os = (spec['os'] as { readonly name?: string } | undefined)?.name;
  if (os !== undefined && os !== 'linux') problems.add(`${field}.os.name`, `"${os}" is not linux, which nodes have`);
  const hostNetwork = spec.hostNetwork ?? false;
  const context = { volumes, security, hostNetwork };
  const plan = (list: ContainerList) =>
    ((spec[list] ?? []) as readonly Container[]).map((c, i) =>
      planContainer(c, `${field}.${list}[${i}]`, context, list, problems),
    );
  const { activeDeadlineSeconds, readinessGates } = spec as {
    readonly activeDeadlineSeconds?: number;
    readonly readinessGates?: readonly { readonly conditionType: string }[];
  };
  return {
    hostNetwork,
    names: planNames(spec, field, problems),
    restartPolicy: spec.restartPolicy ?? 'Always',
    grace: (spec.terminationGracePeriodSeconds ?? 30) * 1000,
    activeDeadline: activeDeadlineSeconds === undefined ? undefined : activeDeadlineSeconds * 1000,
    serviceAccount: spec.serviceAccountName || 'default',
    serviceLinks: spec['enableServiceLinks'] !== false,
    volumes,
    fsGroup: security.fsGroup,
    sysctls: Object.fromEntries((security.sysctls ?? []).map((s) => [s.name.replaceAll('.', '/'), s.value])),
    readinessGates: (readinessGates ?? []).map((g) => g.conditionType),
    init: plan('initContainers'),
    containers: plan('containers'),
    ephemeral: plan('ephemeralContainers'),
  };
}
