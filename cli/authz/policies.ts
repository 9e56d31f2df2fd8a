/** Which policies a proxy enforces, by its own configuration. Pure. */
import type { EnvoyDump, Json } from '../proxy-config/dump.ts';
import { get, objects } from '../proxy-config/dump.ts';
import type { ZtunnelDump } from '../ztunnel-config/dump.ts';

/** By action, then by NAME.NAMESPACE, the number of rules. */
export type Policies = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** `ns[shop]-policy[deny]-rule[0]-generation[2]`, and with a prefix those that ask somebody else. */
const ruleName = /^(istio-ext-authz-(?:.+-)?)?ns\[([^\]]+)\]-policy\[([^\]]+)\]-rule\[(\d+)\]/;

/** Of a waypoint: filters of all of its listeners' chains. */
export function policiesOfEnvoy({ listeners }: EnvoyDump): Policies {
  const found = new Map<string, Map<string, Set<string>>>();
  const filters = listeners
    .flatMap((l) => [...objects(l['filter_chains']), ...objects([l['default_filter_chain']])])
    .flatMap((chain) => objects(chain['filters']))
    .flatMap((filter) => [filter, ...objects(get(filter, 'typed_config', 'http_filters'))]);
  for (const { name, typed_config: config } of filters as readonly Json[]) {
    if (!/^envoy\.filters\.(http|network)\.rbac$/.test(String(name))) continue;
    for (const kind of ['rules', 'shadow_rules']) {
      const action = String(get(config, kind, 'action') ?? 'ALLOW');
      for (const rule of Object.keys((get(config, kind, 'policies') ?? {}) as Json)) {
        const [, custom, namespace, policy, index] = ruleName.exec(rule) ?? [];
        if (policy === undefined || index === undefined) continue;
        add(found, custom === undefined ? action : 'CUSTOM', `${policy}.${namespace}`, index);
      }
    }
  }
  return counted(found);
}

/** Of a node's proxy, for one workload that it serves; undefined: for all. */
export function policiesOfZtunnel(
  dump: ZtunnelDump,
  workload: { readonly name: string; readonly namespace: string } | undefined,
): Policies {
  const own = dump.workloads.find((w) => w.name === workload?.name && w.namespace === workload.namespace);
  const named = new Set(
    (own as { readonly authorizationPolicies?: readonly string[] } | undefined)?.authorizationPolicies,
  );
  const isRoot = (scope: string) => scope === 'Global';
  const found = new Map<string, Map<string, Set<string>>>();
  for (const policy of dump.policies) {
    const { name, namespace, action, scope } = policy;
    const holds =
      workload === undefined ||
      isRoot(scope) ||
      (scope === 'Namespace' && namespace === workload.namespace) ||
      named.has(`${namespace}/${name}`);
    if (!holds) continue;
    const rules = (policy as { readonly rules?: readonly unknown[] }).rules ?? [];
    add(found, action.toUpperCase(), `${name}.${namespace}`);
    for (const i of rules.keys()) add(found, action.toUpperCase(), `${name}.${namespace}`, String(i));
  }
  return counted(found);
}

function add(found: Map<string, Map<string, Set<string>>>, action: string, policy: string, rule?: string): void {
  const policies = found.get(action) ?? new Map<string, Set<string>>();
  found.set(action, policies);
  const rules = policies.get(policy) ?? new Set<string>();
  policies.set(policy, rules);
  if (rule !== undefined) rules.add(rule);
}

function counted(found: ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>): Policies {
  return new Map(
    [...found].map(([action, policies]) => [action, new Map([...policies].map(([name, rules]) => [name, rules.size]))]),
  );
}

/** The order in which they are asked. */
const order = ['CUSTOM', 'DENY', 'ALLOW', 'LOG'];

export function policyRows(policies: Policies): readonly (readonly string[])[] {
  return order.flatMap((action) =>
    [...(policies.get(action) ?? [])]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, rules]) => [action, name, String(rules)]),
  );
}
