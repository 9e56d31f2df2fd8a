/** What of an object the lab's nodes do not honour, before it is applied. */
import type { PodSpec, Service, ServiceSpec } from '../../common/kube/kinds/core.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { planPod } from './pod-plan.ts';
import { type FieldProblem, Problems } from './problems.ts';

/** Pods, what makes pods, and Services; all else is the API server's and istiod's to judge. The object is one of its kind's schema. */
export function checkObject(object: KubeObject): readonly FieldProblem[] {
  const problems = new Problems();
  const pod = podSpecOf(object);
  if (pod !== undefined) planPod(pod.spec, pod.field, problems);
  if (object.apiVersion === 'v1' && object.kind === 'Service') checkService((object as Service).spec, problems);
  return problems.found;
}

interface WithTemplate {
  readonly template?: { readonly spec?: PodSpec };
  readonly jobTemplate?: { readonly spec?: WithTemplate };
}

/** The Pod's own, or that of the pods that the object makes. */
export function podSpecOf({
  apiVersion,
  kind,
  spec,
}: KubeObject | { apiVersion: string; kind: string; spec?: unknown }) {
  if (apiVersion === 'v1' && kind === 'Pod') return { spec: spec as PodSpec, field: 'spec' };
  if (!/^(apps|batch)\//.test(apiVersion)) return undefined;
  const { template, jobTemplate } = (spec ?? {}) as WithTemplate;
  if (template?.spec !== undefined) return { spec: template.spec, field: 'spec.template.spec' };
  const job = jobTemplate?.spec?.template?.spec;
  return job === undefined ? undefined : { spec: job, field: 'spec.jobTemplate.spec.template.spec' };
}

function checkService(spec: ServiceSpec, problems: Problems): void {
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') {
    problems.add(
      'spec.type',
      `a lab has no ports of nodes and no load balancers; use ClusterIP instead of ${spec.type}`,
    );
  }
  for (const [i, port] of (spec.ports ?? []).entries()) {
    if (port.protocol === 'SCTP') problems.add(`spec.ports[${i}].protocol`, 'a lab knows TCP and UDP');
  }
}
