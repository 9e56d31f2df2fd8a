/** Which DestinationRules hold for a service as a proxy of some namespace sees it, and what they come to for a port and a subset. */
import type { XBackendTrafficPolicy } from '../../../common/kube/kinds/gateway-api/experimental.ts';
import type { DestinationRule } from '../../../common/kube/kinds/istio/destination-rule.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import type { MeshService, MeshView } from '../inputs.ts';

export type TrafficPolicy = NonNullable<DestinationRule['spec']['trafficPolicy']>;
export type Subset = NonNullable<DestinationRule['spec']['subsets']>[number];
export type Tunnel = NonNullable<TrafficPolicy['tunnel']>;
/** Of one port: what single ports say has been decided. */
export type PortPolicy = Omit<TrafficPolicy, 'portLevelSettings'>;

/** All rules that hold for one service, as one. */
export interface ServiceRules {
  readonly policy: TrafficPolicy | undefined;
  readonly subsets: readonly Subset[];
}

const noRules: ServiceRules = { policy: undefined, subsets: [] };

/**
 * Rules of the client's namespace come before those of the service's, and those before the root namespace's; a host in full before a
 * wildcard, a longer wildcard before a shorter one. Several for the same host are one: the policy of the oldest, subsets of all.
 * `labels` of the client, where it has some: rules with a workloadSelector hold for those alone.
 */
export function rulesFor(
  view: MeshView,
  service: MeshService,
  namespace: string,
  labels: Readonly<Record<string, string>> | undefined,
): ServiceRules {
  const { facts } = view;
  const seen = view
    .destinationRules(service.hostname)
    .filter((r) => isSeen(r, namespace, facts.destinationRuleExportTo) && selects(r, namespace, labels));
  for (const place of new Set([namespace, service.namespace, facts.rootNamespace])) {
    const here = seen.filter((r) => namespaceOf(r) === place);
    const most = Math.max(...here.map((r) => specificity(r.spec.host)));
    const best = here.filter((r) => specificity(r.spec.host) === most);
    if (best.length > 0) return withBudget(merged(best), view.trafficPolicies(service));
  }
  return withBudget(noRules, view.trafficPolicies(service));
}

/** The oldest XBackendTrafficPolicy that bounds retries does so where no rule does. */
function withBudget(rules: ServiceRules, policies: readonly XBackendTrafficPolicy[]): ServiceRules {
  const constraint = policies.find((p) => p.spec.retryConstraint !== undefined)?.spec.retryConstraint;
  if (constraint === undefined || rules.policy?.retryBudget !== undefined) return rules;
  const { budget, minRetryRate } = constraint;
  // Envoy counts requests and retries under way, whatever the intervals.
  const retryBudget = { percent: budget?.percent ?? 20, minRetryConcurrency: minRetryRate?.count ?? 10 };
  return { ...rules, policy: { ...rules.policy, retryBudget } };
}

function isSeen(rule: DestinationRule, namespace: string, fallback: readonly string[]): boolean {
  const { exportTo: given = [] } = rule.spec;
  const exportTo = given.length === 0 ? fallback : given;
  return exportTo.some((to) => to === '*' || to === namespace || (to === '.' && namespaceOf(rule) === namespace));
}

function selects(
  rule: DestinationRule,
  namespace: string,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  const wanted = Object.entries(rule.spec.workloadSelector?.matchLabels ?? {});
  if (wanted.length === 0) return true;
  if (labels === undefined || namespaceOf(rule) !== namespace) return false;
  return wanted.every(([k, v]) => labels[k] === v);
}

/** Wildcards are shorter than any name that they match. */
function specificity(host: string): number {
  return host.startsWith('*') ? host.length : 1_000;
}

function merged(rules: readonly DestinationRule[]): ServiceRules {
  const subsets = new Map<string, Subset>();
  for (const { spec } of rules) {
    for (const subset of spec.subsets ?? []) if (!subsets.has(subset.name)) subsets.set(subset.name, subset);
  }
  return {
    policy: rules.find((r) => r.spec.trafficPolicy !== undefined)?.spec.trafficPolicy,
    subsets: [...subsets.values()],
  };
}

/** Of a port, as the service's policy says it and, where it is about a subset, the subset's. */
export function policyOf({ policy }: ServiceRules, port: number, subset?: Subset): PortPolicy {
  const own = ofPort(policy, port);
  if (subset?.trafficPolicy === undefined) return own;
  // Part by part: what the subset does not speak of stays the service's.
  return { ...own, ...ofPort(subset.trafficPolicy, port) };
}

/** What a port's own settings leave out has its default: they take nothing from those above. */
function ofPort(policy: TrafficPolicy | undefined, port: number): PortPolicy {
  if (policy === undefined) return {};
  const { portLevelSettings = [], ...rest } = policy;
  const own = portLevelSettings.find((s) => s.port?.number === port);
  if (own === undefined) return rest;
  const { tunnel, proxyProtocol, retryBudget } = rest;
  const { port: _, ...settings } = own;
  return {
    ...settings,
    ...(tunnel && { tunnel }),
    ...(proxyProtocol && { proxyProtocol }),
    ...(retryBudget && { retryBudget }),
  };
}
