/** Whether a RateLimitPolicy counts: where it is attached, by which parts of its targets, and who counts for it. */
import type { LimitTarget, RateLimitPolicy } from '../../common/kube/kinds/aquifer/rate-limit-policy.ts';
import { namespaceOf } from '../../common/kube/names.ts';
import { mostStages } from '../envoy/limits/counted.ts';
import type { WantedCondition } from './condition.ts';
import type { ServiceInfo } from './service-info.ts';
import type { MeshSettings } from './settings.ts';
import { boundTargets, type TargetLookup, targetsOf, withProblems } from './waypoint-policy.ts';

export interface LimitLookup extends TargetLookup {
  readonly httpRoute: NonNullable<TargetLookup['httpRoute']>;
  /** undefined: there is no such object, or none of its hosts counts. */
  readonly service: (kind: 'Service' | 'ServiceEntry', id: string) => Pick<ServiceInfo, 'ports'> | undefined;
}

/** `neighbours`: all with one of its targets, itself too, oldest first. */
export function limitAcceptance(
  object: RateLimitPolicy,
  neighbours: readonly RateLimitPolicy[],
  lookup: LimitLookup,
  settings: MeshSettings,
): WantedCondition {
  const nowhere = { status: 'False', reason: 'Invalid', message: 'attach it to a waypoint by targetRefs' } as const;
  const bound = boundTargets(object, lookup, settings) ?? nowhere;
  const sections = targetsOf(object).flatMap((target) => sectionProblem(target, namespaceOf(object), lookup) ?? []);
  const counter = counterProblem(object, neighbours, lookup);
  return withProblems(bound, [...sections, ...(counter === undefined ? [] : [counter])])!;
}

/** `namespace/name` of the Service that counts. */
export function counterOf(policy: RateLimitPolicy): string | undefined {
  const { counter } = policy.spec;
  return counter && `${counter.service.namespace ?? namespaceOf(policy)}/${counter.service.name}`;
}

function sectionProblem(target: LimitTarget, namespace: string, lookup: LimitLookup): string | undefined {
  const { kind, name, sectionName } = target;
  if (sectionName === undefined) return undefined;
  const id = `${namespace}/${name}`;
  if (kind === 'HTTPRoute') {
    const rules = lookup.httpRoute(id)?.spec.rules ?? [];
    if (rules.some((rule) => rule.name === sectionName)) return undefined;
    return `HTTPRoute ${id} has no rule of the name ${sectionName}, so nothing of it is limited`;
  }
  if (kind !== 'Service' && kind !== 'ServiceEntry') return undefined;
  if (lookup.service(kind, id)?.ports.some((port) => port.name === sectionName)) return undefined;
  return `${kind} ${id} has no port of the name ${sectionName}, so nothing of it is limited`;
}

function counterProblem(
  object: RateLimitPolicy,
  neighbours: readonly RateLimitPolicy[],
  lookup: LimitLookup,
): string | undefined {
  const { counter } = object.spec;
  const id = counterOf(object);
  if (counter === undefined || id === undefined) return undefined;
  const then = counter.failure === 'Pass' ? 'is not counted' : 'is refused';
  const why = unasked(object, neighbours, lookup, id, counter.port);
  return why && `counter: ${why}, so what the limits mean ${then}`;
}

function unasked(
  object: RateLimitPolicy,
  neighbours: readonly RateLimitPolicy[],
  lookup: LimitLookup,
  id: string,
  number: number,
): string | undefined {
  const service = lookup.service('Service', id);
  if (!service) return `Service ${id} does not exist`;
  const port = service.ports.find((p) => p.servicePort === number);
  if (!port) {
    const there = service.ports.map((p) => p.servicePort).join(', ');
    return `Service ${id} has no port ${number} (it has ${there})`;
  }
  if (port.appProtocol !== 'GRPC' && port.appProtocol !== 'HTTP2')
    return `port ${number} of Service ${id} is not of gRPC: name it grpc, or give it appProtocol grpc`;
  const asked = [...new Set(neighbours.filter((p) => p.spec.counter).map(whomOf))];
  if (asked.indexOf(whomOf(object)) < mostStages) return undefined;
  return `a waypoint asks at most ${mostStages} services for the requests of one port, and ${asked.length} are named`;
}

/** Policies that say the same here ask together. */
function whomOf(policy: RateLimitPolicy): string {
  const { port, failure = 'Refuse' } = policy.spec.counter!;
  return `${counterOf(policy)}:${port} ${failure}`;
}
