/** The filters that enforce AuthorizationPolicies at a service's port. */
import { assertNever } from '../../../common/core/errors.ts';
import type { AuthorizationPolicy } from '../../../common/kube/kinds/security.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import type { MeshFacts, MeshService, MeshView } from '../inputs.ts';
import type { WaypointProxy } from '../proxy.ts';
import { extension, type Message } from '../values.ts';
import { convertRule, type Level } from './rules.ts';

/** By what a chain sees. */
export const rbacExtension = {
  http: { name: 'envoy.filters.http.rbac', message: 'envoy.extensions.filters.http.rbac.v3.RBAC' },
  tcp: { name: 'envoy.filters.network.rbac', message: 'envoy.extensions.filters.network.rbac.v3.RBAC' },
} as const;

/** Of Istio: its tools read these names in metrics and logs. */
const dryRunAnnotation = 'istio.io/dry-run';
export const waypointClass = 'istio-waypoint';

export type Action = 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM';

/** Policies with the service, its waypoint or the class of waypoints as target. */
export function policiesFor(
  view: MeshView,
  proxy: WaypointProxy,
  service: MeshService,
): readonly AuthorizationPolicy[] {
  const own = view.policies(`${service.kind}/${service.namespace}/${service.name}`);
  return [...new Set([...policiesOfGateway(view, proxy), ...own])];
}

/** Policies for whatever is behind the waypoint. */
export function policiesOfGateway(view: MeshView, { gateway }: WaypointProxy): readonly AuthorizationPolicy[] {
  const ofClass = view
    .policies(`GatewayClass/${waypointClass}`)
    .filter((p) => p.metadata.namespace === view.facts.rootNamespace);
  return [...ofClass, ...view.policies(`Gateway/${gateway as `${string}/${string}`}`)];
}

/** In the order in which they decide, after those of CUSTOM (`customFilters`): what is noted, what is refused, what is allowed. */
export function rbacFilters(
  policies: readonly AuthorizationPolicy[],
  level: Level,
  facts: MeshFacts,
  statPrefix: string,
): readonly Message[] {
  const of = (action: Action) => policies.filter((p) => actionOf(p) === action);
  return [
    ...filter(of('AUDIT'), 'LOG', level, facts, statPrefix),
    ...filter(of('DENY'), 'DENY', level, facts, statPrefix),
    ...filter(of('ALLOW'), 'ALLOW', level, facts, statPrefix),
  ];
}

export function actionOf({ spec }: AuthorizationPolicy): Action {
  return spec?.action ?? 'ALLOW';
}

export function isOnTrial({ metadata }: AuthorizationPolicy): boolean {
  return metadata.annotations?.[dryRunAnnotation] === 'true';
}

function filter(
  policies: readonly AuthorizationPolicy[],
  action: 'ALLOW' | 'DENY' | 'LOG',
  level: Level,
  facts: MeshFacts,
  statPrefix: string,
): readonly Message[] {
  const rules = rulesOf(
    policies.filter((p) => !isOnTrial(p)),
    action,
    level,
    facts,
  );
  const shadow = rulesOf(policies.filter(isOnTrial), action, level, facts);
  if (rules === undefined && shadow === undefined) return [];
  const { name, message } = rbacExtension[level];
  return [
    extension(name, message, {
      ...(rules && { rules }),
      ...(shadow && { shadow_rules: shadow, shadow_rules_stat_prefix: `istio_dry_run_${action.toLowerCase()}_` }),
      ...(level === 'tcp' && { stat_prefix: statPrefix }),
    }),
  ];
}

/** Message `RBAC`; undefined: it decides nothing. `named` makes names of policies of those that say where a rule is from. */
export function rulesOf(
  policies: readonly AuthorizationPolicy[],
  action: 'ALLOW' | 'DENY' | 'LOG',
  level: Level,
  facts: MeshFacts,
  named: (rule: string) => string = (rule) => rule,
): Message | undefined {
  if (policies.length === 0) return undefined;
  const trustDomains = [facts.trustDomain, ...facts.trustDomainAliases];
  const made = policies.flatMap((source) => {
    const namespace = namespaceOf(source);
    const rules = source.spec?.rules ?? [];
    // One that allows nothing is told of, too, where nothing was allowed.
    if (action === 'ALLOW' && rules.length === 0) return [[named(ruleName(source, 'none')), never] as const];
    return rules.flatMap((rule, i) => {
      const scope = { level, namespace, trustDomains, hasTokens: actionOf(source) !== 'CUSTOM' };
      const { policy } = convertRule(rule, action === 'ALLOW', `rules[${i}]`, scope);
      // Only a rule that allows can come to nothing; it is told of all the same.
      return [[named(ruleName(source, i)), policy ?? never] as const];
    });
  });
  // Without a rule ALLOW allows nothing, and the others match nothing.
  if (made.length === 0 && action !== 'ALLOW') return undefined;
  return { action, policies: Object.fromEntries(made) };
}

const never: Message = { permissions: [{ not_rule: { any: true } }], principals: [{ any: true }] };

/** As Istio's, whose tools find it anywhere in a text; and of which generation of the policy, where it has one. */
function ruleName({ metadata }: AuthorizationPolicy, i: number | 'none'): string {
  const { generation } = metadata;
  const name = `ns[${namespaceOf({ metadata })}]-policy[${metadata.name}]-rule[${i}]`;
  return generation === undefined ? name : `${name}-generation[${generation}]`;
}

/** Why a policy is not enforced as it says, by its fields; empty: it is. */
export function unenforced(
  policy: AuthorizationPolicy,
  facts: Pick<MeshFacts, 'trustDomain' | 'trustDomainAliases'>,
): readonly string[] {
  const action = actionOf(policy);
  const scope = {
    level: 'http',
    namespace: namespaceOf(policy),
    trustDomains: [facts.trustDomain, ...facts.trustDomainAliases],
    hasTokens: action !== 'CUSTOM',
  } as const;
  const fields = (policy.spec?.rules ?? []).flatMap(
    (rule, i) => convertRule(rule, action === 'ALLOW', `rules[${i}]`, scope).unsupported,
  );
  const effect = effectOf(action);
  return [...(fields.length > 0 ? [`waypoints cannot check ${fields.join(', ')} yet: ${effect}`] : [])];
}

function effectOf(action: Action): string {
  switch (action) {
    case 'ALLOW':
      return 'rules that use them allow nothing';
    case 'DENY':
    case 'CUSTOM':
      return 'these parts are left out, so their rules refuse more than they say';
    case 'AUDIT':
      return 'these parts are left out, so more is logged';
    default:
      return assertNever(action);
  }
}
