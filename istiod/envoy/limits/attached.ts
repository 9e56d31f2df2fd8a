/** Which RateLimitPolicies count for requests to a port of a service. */
import type { RateLimitPolicy } from '../../../common/kube/kinds/aquifer/rate-limit-policy.ts';
import type { HttpRoute } from '../../../common/kube/kinds/gateway-api/http-route.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import type { KubeObject } from '../../../common/kube/types.ts';
import type { MeshPort, MeshService, MeshView } from '../inputs.ts';
import type { WaypointProxy } from '../proxy.ts';
import { waypointClass } from '../rbac/filters.ts';
import type { Struct } from '../routes/envoy.ts';

export interface Attached {
  readonly policy: RateLimitPolicy;
  /** Of HTTPRoutes: for requests alone whose route is marked by it. */
  readonly ofRoutes: boolean;
}

/** Of filter_metadata of routes: `namespace/name` of the policies that name them. */
export const markedBy = 'aquifer.limits';
export const mark = 'yes';

/** Those with the service or its port, its waypoint or the class of waypoints as target, then those of its HTTPRoutes. */
export function limitsFor(
  view: MeshView,
  { gateway }: WaypointProxy,
  service: MeshService,
  port: MeshPort,
  routes: readonly HttpRoute[],
): readonly Attached[] {
  const ofClass = view
    .rateLimits(`GatewayClass/${waypointClass}`)
    .filter((policy) => namespaceOf(policy) === view.facts.rootNamespace);
  const { kind, namespace, name } = service;
  const whole = new Set([
    ...ofClass,
    ...view.rateLimits(`Gateway/${gateway as `${string}/${string}`}`),
    ...view.rateLimits(`${kind}/${namespace}/${name}`).filter((p) => names(p, kind, name, port.name)),
  ]);
  const others = new Set(routes.flatMap((route) => ofRoute(view, route)).filter((policy) => !whole.has(policy)));
  return [
    ...[...whole].map((policy) => ({ policy, ofRoutes: false })),
    ...[...others].map((policy) => ({ policy, ofRoutes: true })),
  ];
}

/** What limits its requests, in filter_metadata. `rule`: its name, if it has one. */
export function limitMarks(
  view: MeshView,
  route: KubeObject,
  rule: string | undefined,
): Readonly<Record<string, Struct>> {
  const policies = ofRoute(view, route).filter((p) => names(p, 'HTTPRoute', route.metadata.name, rule));
  if (policies.length === 0) return {};
  return { [markedBy]: { fields: Object.fromEntries(policies.map((p) => [keyOf(p), { stringValue: mark }])) } };
}

export function keyOf(policy: RateLimitPolicy): string {
  return `${namespaceOf(policy)}/${policy.metadata.name}`;
}

function ofRoute(view: MeshView, route: KubeObject): readonly RateLimitPolicy[] {
  return route.kind === 'HTTPRoute' ? view.rateLimits(`HTTPRoute/${namespaceOf(route)}/${route.metadata.name}`) : [];
}

function names({ spec }: RateLimitPolicy, kind: string, name: string, section: string | undefined): boolean {
  return [...(spec.targetRefs ?? []), spec.targetRef].some(
    (ref) => ref?.kind === kind && ref.name === name && (ref.sectionName === undefined || ref.sectionName === section),
  );
}
