/** AuthorizationPolicies that name a target are for waypoints: whether they reach one; and the policy that lets only waypoints in. */
import { formatSpiffe } from '../../common/identity/spiffe.ts';
import type { HttpRoute } from '../../common/kube/kinds/gateway-api/http-route.ts';
import type {
  AuthorizationPolicy as KubePolicy,
  PolicyTargetReference,
  RequestAuthentication,
} from '../../common/kube/kinds/security.ts';
import { namespaceOf } from '../../common/kube/names.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { emptyMatch } from '../../common/mesh/policy-match.ts';
import type { AuthorizationPolicy } from '../../common/mesh/types.ts';
import { unasked, unaskedPorts } from '../envoy/rbac/custom.ts';
import { actionOf, unenforced } from '../envoy/rbac/filters.ts';
import type { WantedCondition } from './condition.ts';
import type { NamedPort } from './service-info.ts';
import type { MeshSettings } from './settings.ts';
import { type Waypoint, type WaypointClass, waypointController } from './waypoint.ts';

/** An object that is attached to waypoints. */
export interface Targeting extends KubeObject {
  readonly spec?: {
    readonly targetRef?: PolicyTargetReference;
    readonly targetRefs?: readonly PolicyTargetReference[];
  };
}

export function targetsOf({ spec }: Targeting): readonly PolicyTargetReference[] {
  return spec?.targetRefs ?? (spec?.targetRef ? [spec.targetRef] : []);
}

/** `Service/namespace/name`, `ServiceEntry/namespace/name`, `Gateway/namespace/name` or `GatewayClass/name` of each target. */
export function targetKeys(policy: Targeting): readonly string[] {
  const { namespace = 'default' } = policy.metadata;
  return targetsOf(policy).map(({ kind, name }) =>
    kind === 'GatewayClass' ? `${kind}/${name}` : `${kind}/${namespace}/${name}`,
  );
}

export interface TargetLookup {
  readonly waypoint: (id: string) => Waypoint | undefined;
  /** undefined: there is no such object. */
  readonly waypointOf: (
    kind: 'Service' | 'ServiceEntry',
    id: string,
  ) => { readonly waypointId: string | undefined; readonly ports: readonly NamedPort[] } | undefined;
  readonly gatewayClass: (name: string) => WaypointClass | undefined;
  /** For policies that may name one. */
  readonly httpRoute?: (id: string) => HttpRoute | undefined;
}

/** Of type WaypointAccepted (ambient-wire 9.3); undefined for policies without targets. `neighbours`: all with one of its targets. */
export function waypointAcceptance(
  policy: KubePolicy,
  neighbours: readonly KubePolicy[],
  lookup: TargetLookup,
  settings: MeshSettings,
): WantedCondition | undefined {
  const bound = boundTargets(policy, lookup, settings);
  const asking = actionOf(policy) === 'CUSTOM' ? neighbours.filter((p) => actionOf(p) === 'CUSTOM') : [];
  const refusing = asking.length > 0 ? unasked(asking, settings.envoy) : undefined;
  const problems = unenforced(policy, { ...settings.envoy, trustDomain: settings.trustDomain });
  if (asking.length === 0) return withProblems(bound, problems);
  return withProblems(
    noted(bound, policy),
    refusing === undefined ? [...streamProblems(policy, lookup), ...problems] : [refusing, ...problems],
  );
}

/** A waypoint asks about requests; ports that are known to carry none are named. */
function streamProblems(policy: KubePolicy, lookup: TargetLookup): readonly string[] {
  const { namespace = 'default' } = policy.metadata;
  return targetsOf(policy).flatMap(({ kind, name }) => {
    if (kind !== 'Service' && kind !== 'ServiceEntry') return [];
    const ports = lookup.waypointOf(kind, `${namespace}/${name}`)?.ports ?? [];
    const streams = ports.filter((p) => p.appProtocol === 'TCP' || p.appProtocol === 'TLS').map((p) => p.servicePort);
    const refused = unaskedPorts(policy, streams);
    if (refused.length === 0) return [];
    const which = `${refused.length === 1 ? 'port' : 'ports'} ${refused.join(', ')} of ${kind} ${namespace}/${name}`;
    return [
      `nobody is asked about connections, which carry no requests, to ${which}: those that the rules match are refused; give the rules the ports of requests (to.operation.ports), or the others a policy of action ALLOW or DENY`,
    ];
  });
}

/** Of what is behind a whole waypoint no ports are looked up: what holds of all is said. */
function noted(bound: WantedCondition | undefined, policy: KubePolicy): WantedCondition | undefined {
  const isWhole = targetsOf(policy).some(({ kind }) => kind === 'Gateway' || kind === 'GatewayClass');
  if (bound === undefined || !isWhole || bound.status !== 'True') return bound;
  return {
    ...bound,
    message: `${bound.message}; nobody is asked about connections without requests: those that the rules match are refused`,
  };
}

/** The same of a RequestAuthentication, which nobody but waypoints reads; `problems`: of the keys of its issuers. */
export function authenticationAcceptance(
  object: RequestAuthentication,
  lookup: TargetLookup,
  settings: MeshSettings,
  problems: readonly string[],
): WantedCondition {
  const bound = boundTargets(object, lookup, settings) ?? {
    status: 'False',
    reason: 'Invalid',
    message: 'node proxies read no tokens; attach it to a waypoint by targetRefs',
  };
  return withProblems(bound, problems)!;
}

/** `bound`, and what of the policy does not count although it is bound. */
export function withProblems(
  bound: WantedCondition | undefined,
  missing: readonly string[],
): WantedCondition | undefined {
  if (bound?.status !== 'True') return bound;
  if (missing.length === 0) return bound;
  return { status: 'True', reason: 'PartiallyInvalid', message: [bound.message, ...missing].join('; ') };
}

/** undefined: it names no target. */
export function boundTargets(
  policy: Targeting,
  lookup: TargetLookup,
  settings: MeshSettings,
): WantedCondition | undefined {
  const verdicts = targetsOf(policy).map((target) =>
    judge(target, policy.metadata.namespace ?? 'default', lookup, settings),
  );
  const [first] = verdicts;
  if (!first) return undefined;
  if (verdicts.length === 1)
    return { status: first.ok ? 'True' : 'False', reason: first.reason, message: first.message };
  const good = verdicts.filter((v) => v.ok);
  const message = verdicts.map((v) => v.message).join('; ');
  if (good.length === verdicts.length) return { status: 'True', reason: 'Accepted', message };
  return good.length > 0
    ? { status: 'True', reason: 'PartiallyInvalid', message }
    : { status: 'False', reason: 'Invalid', message };
}

interface Verdict {
  readonly ok: boolean;
  readonly reason: 'Accepted' | 'Invalid' | 'AncestorNotBound' | 'TargetNotFound';
  readonly message: string;
}

function judge(
  { kind, name }: PolicyTargetReference,
  namespace: string,
  lookup: TargetLookup,
  { rootNamespace }: MeshSettings,
): Verdict {
  const id = `${namespace}/${name}`;
  const no = (reason: Verdict['reason'], message: string): Verdict => ({ ok: false, reason, message });
  switch (kind) {
    case 'GatewayClass': {
      const found = lookup.gatewayClass(name);
      if (namespace !== rootNamespace)
        return no('Invalid', `a policy for GatewayClass ${name} has to be in the root namespace ${rootNamespace}`);
      if (!found) return no('TargetNotFound', `GatewayClass ${name} does not exist`);
      if (found.spec.controllerName !== waypointController)
        return no('Invalid', `GatewayClass ${name} is not of waypoints: its controller is not ${waypointController}`);
      return { ok: true, reason: 'Accepted', message: `bound to all waypoints of GatewayClass ${name}` };
    }
    case 'Gateway':
      if (!lookup.waypoint(id)) return no('TargetNotFound', `waypoint ${id} does not exist`);
      return { ok: true, reason: 'Accepted', message: `bound to waypoint ${id}` };
    case 'Service':
    case 'ServiceEntry': {
      const found = lookup.waypointOf(kind, id);
      if (!found) return no('TargetNotFound', `${kind} ${id} does not exist`);
      if (found.waypointId === undefined)
        return no('AncestorNotBound', `${kind} ${id} is behind no waypoint, and node proxies do not read this policy`);
      return { ok: true, reason: 'Accepted', message: `bound to waypoint ${found.waypointId}` };
    }
    case 'HTTPRoute': {
      if (!lookup.httpRoute) return no('Invalid', 'a policy of this kind cannot be attached to an HTTPRoute');
      const route = lookup.httpRoute(id);
      if (!route) return no('TargetNotFound', `HTTPRoute ${id} does not exist`);
      const waypoints = waypointsOf(route, lookup);
      if (waypoints.length === 0)
        return no(
          'AncestorNotBound',
          `HTTPRoute ${id} is of no service behind a waypoint, which alone limits requests`,
        );
      return { ok: true, reason: 'Accepted', message: `bound to HTTPRoute ${id} at waypoint ${waypoints.join(', ')}` };
    }
    default:
      return no(
        'Invalid',
        `a policy cannot be attached to a ${kind}; expected Gateway, GatewayClass, Service or ServiceEntry`,
      );
  }
}

function waypointsOf(route: HttpRoute, lookup: TargetLookup): readonly string[] {
  const found = (route.spec.parentRefs ?? []).flatMap(({ kind, name, namespace = namespaceOf(route) }) => {
    if (kind !== 'Service' && kind !== 'ServiceEntry') return [];
    return lookup.waypointOf(kind, `${namespace}/${name}`)?.waypointId ?? [];
  });
  return [...new Set(found)];
}

/** PILOT_AUTO_ALLOW_WAYPOINT_POLICY (ambient-wire 5.4). undefined while the waypoint has no pods, whose accounts it would name. */
export function allowWaypoint(
  { namespace, gateway }: Waypoint,
  accounts: readonly string[],
  { trustDomain }: MeshSettings,
): AuthorizationPolicy | undefined {
  if (accounts.length === 0) return undefined;
  const principals = [...new Set(accounts)].sort().map((serviceAccount) => ({
    kind: 'exact' as const,
    value: formatSpiffe({ trustDomain, namespace, serviceAccount }).slice('spiffe://'.length),
  }));
  return {
    // There is no Kubernetes object of this name, which the underscores rule out.
    name: `istio_allow_waypoint_${namespace}_${gateway.metadata.name}`,
    namespace,
    scope: 'WORKLOAD_SELECTOR',
    action: 'ALLOW',
    groups: [{ rules: [{ matches: [{ ...emptyMatch, principals }] }] }],
    dryRun: false,
  };
}
