/** AuthorizationPolicies of Kubernetes to what a node proxy can enforce (ambient-wire 5.4; DESIGN 12, case `l7-deny`). */
import { type Cidr, parseCidr } from '../../common/core/net.ts';
import type {
  AuthorizationPolicy as KubePolicy,
  PolicyCondition,
  PolicyOperation,
  PolicyRuleSpec,
  PolicySource,
} from '../../common/kube/kinds/security.ts';
import { emptyMatch, isEmptyMatch } from '../../common/mesh/policy-match.ts';
import type {
  AuthorizationPolicy,
  PolicyGroup,
  PolicyMatch,
  PolicyRule,
  ServiceAccountMatch,
  StringMatch,
} from '../../common/mesh/types.ts';
import type { MeshSettings } from './settings.ts';

export interface ConvertedPolicy {
  /** undefined: not sent to node proxies. */
  readonly policy: AuthorizationPolicy | undefined;
  /** `ZtunnelAccepted`; undefined for policies of a waypoint, which are no matter of node proxies. */
  readonly accepted: AcceptedCondition | undefined;
}

export interface AcceptedCondition {
  readonly status: 'True' | 'False';
  readonly reason: 'Accepted' | 'UnsupportedValue';
  readonly message: string;
}

export function convertPolicy(source: KubePolicy, settings: MeshSettings): ConvertedPolicy {
  const spec = source.spec ?? {};
  if (spec.targetRef !== undefined || (spec.targetRefs?.length ?? 0) > 0) {
    return { policy: undefined, accepted: undefined };
  }
  const action = spec.action ?? 'ALLOW';
  if (action !== 'ALLOW' && action !== 'DENY') {
    return refused(`action ${action} needs a waypoint; node proxies enforce ALLOW and DENY`);
  }
  const dryRun = source.metadata.annotations?.['istio.io/dry-run'] === 'true';
  if (dryRun && !settings.dryRun) {
    return refused('the annotation istio.io/dry-run keeps this policy from being enforced');
  }
  const namespace = source.metadata.namespace ?? 'default';
  const rules = (spec.rules ?? []).map((rule, i) =>
    convertRule(rule, { action, namespace, path: `rules[${i}]`, settings }),
  );
  const policy: AuthorizationPolicy = {
    name: source.metadata.name,
    namespace,
    scope:
      spec.selector !== undefined ? 'WORKLOAD_SELECTOR' : namespace === settings.rootNamespace ? 'GLOBAL' : 'NAMESPACE',
    action,
    groups: rules.flatMap((r) => r.group ?? []),
    dryRun,
  };
  return { policy, accepted: acceptance(action, rules) };
}

interface ConvertedRule {
  /** undefined: the rule was dropped. */
  readonly group: PolicyGroup | undefined;
  /** Paths of fields that node proxies cannot check. */
  readonly unsupported: readonly string[];
}

interface RulePlace {
  readonly action: 'ALLOW' | 'DENY';
  readonly namespace: string;
  readonly path: string;
  readonly settings: MeshSettings;
}

/**
 * Of an ALLOW a rule with parts that we cannot check is dropped; of a DENY those parts are. Both refuse more than was asked for, never
 * less. What a DENY keeps then matches everything of its from and to: with Istio it matches nothing (`l7-deny`).
 */
function convertRule(rule: PolicyRuleSpec, { action, namespace, path, settings }: RulePlace): ConvertedRule {
  const parts: readonly (readonly Part[])[] = [
    (rule.to ?? []).map((to, i) => operationPart(to.operation ?? {}, `${path}.to[${i}].operation`)),
    (rule.from ?? []).map((from, i) => sourcePart(from.source ?? {}, namespace, `${path}.from[${i}].source`)),
    ...(rule.when ?? []).map((when, i) => [conditionPart(when, namespace, `${path}.when[${i}]`)]),
  ];
  const unsupported = parts.flat().flatMap((p) => p.unsupported);
  if (action === 'ALLOW' && unsupported.length > 0) return { group: undefined, unsupported };
  if (action === 'ALLOW' || settings.compat.has('l7-deny')) {
    const rules = parts.filter((p) => p.length > 0).map((p) => ({ matches: p.map((m) => m.match) }));
    return { group: { rules }, unsupported };
  }
  const rules = parts.flatMap((alternatives): readonly PolicyRule[] => {
    // One alternative that is left without a condition makes the whole list true.
    if (alternatives.length === 0 || alternatives.some((p) => isEmptyMatch(p.match))) return [];
    return [{ matches: alternatives.map((p) => p.match) }];
  });
  return { group: { rules }, unsupported };
}

function acceptance(action: 'ALLOW' | 'DENY', rules: readonly ConvertedRule[]): AcceptedCondition {
  const unsupported = rules.flatMap((r) => r.unsupported);
  if (unsupported.length === 0) {
    return { status: 'True', reason: 'Accepted', message: 'enforced by the node proxies' };
  }
  const fields = unsupported.join(', ');
  const effect =
    action === 'ALLOW'
      ? 'rules that use them are left out, so they allow nothing'
      : 'these parts are left out, so their rules refuse more than they say';
  return {
    status: 'True',
    reason: 'UnsupportedValue',
    message: `node proxies cannot check ${fields}: ${effect}; a waypoint can check them`,
  };
}

function refused(message: string): ConvertedPolicy {
  return { policy: undefined, accepted: { status: 'False', reason: 'UnsupportedValue', message } };
}

interface Part {
  readonly match: PolicyMatch;
  readonly unsupported: readonly string[];
}

/** Collects the fields of one `from`, `to` or `when`, and the names of those that cannot be checked. */
class Reader {
  readonly unsupported: string[] = [];
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** All values or, where one does not parse, none: half a list would mean something else. */
  list<T>(field: string, values: readonly string[] | undefined, parse: (text: string) => T | undefined): readonly T[] {
    const parsed = (values ?? []).map(parse);
    if (parsed.every((v) => v !== undefined)) return parsed as readonly T[];
    this.unsupported.push(`${this.#path}.${field}`);
    return [];
  }

  refuse(fields: Readonly<Record<string, readonly string[] | undefined>>): void {
    for (const [field, values] of Object.entries(fields)) {
      if (values !== undefined && values.length > 0) this.unsupported.push(`${this.#path}.${field}`);
    }
  }
}

function operationPart(o: PolicyOperation, path: string): Part {
  const { ports, notPorts, ...others } = o;
  const read = new Reader(path);
  read.refuse(others as Readonly<Record<string, readonly string[]>>);
  const match = {
    ...emptyMatch,
    destinationPorts: read.list('ports', ports, parsePolicyPort),
    notDestinationPorts: read.list('notPorts', notPorts, parsePolicyPort),
  };
  return { match, unsupported: read.unsupported };
}

function sourcePart(s: PolicySource, namespace: string, path: string): Part {
  const {
    principals,
    notPrincipals,
    namespaces,
    notNamespaces,
    serviceAccounts,
    notServiceAccounts,
    ipBlocks,
    notIpBlocks,
    ...others
  } = s;
  const read = new Reader(path);
  read.refuse(others as Readonly<Record<string, readonly string[]>>);
  const account = (text: string) => parseServiceAccount(text, namespace);
  const match = {
    ...emptyMatch,
    principals: read.list('principals', principals, parseString),
    notPrincipals: read.list('notPrincipals', notPrincipals, parseString),
    namespaces: read.list('namespaces', namespaces, parseString),
    notNamespaces: read.list('notNamespaces', notNamespaces, parseString),
    serviceAccounts: read.list('serviceAccounts', serviceAccounts, account),
    notServiceAccounts: read.list('notServiceAccounts', notServiceAccounts, account),
    sourceIps: read.list('ipBlocks', ipBlocks, parseCidr),
    notSourceIps: read.list('notIpBlocks', notIpBlocks, parseCidr),
  };
  return { match, unsupported: read.unsupported };
}

function conditionPart(c: PolicyCondition, namespace: string, path: string): Part {
  const read = new Reader(path);
  const both = <T>(parse: (text: string) => T | undefined) =>
    [read.list('values', c.values, parse), read.list('notValues', c.notValues, parse)] as const;
  const match = conditionMatch(c.key, both, namespace);
  if (match === undefined) read.unsupported.push(`${path}.key "${c.key}"`);
  return { match: match ?? emptyMatch, unsupported: read.unsupported };
}

type Both = <T>(parse: (text: string) => T | undefined) => readonly [readonly T[], readonly T[]];

/** undefined for keys that need more than the connection. */
function conditionMatch(key: string, both: Both, namespace: string): PolicyMatch | undefined {
  switch (key) {
    case 'source.ip': {
      const [sourceIps, notSourceIps] = both<Cidr>(parseCidr);
      return { ...emptyMatch, sourceIps, notSourceIps };
    }
    case 'source.namespace': {
      const [namespaces, notNamespaces] = both(parseString);
      return { ...emptyMatch, namespaces, notNamespaces };
    }
    case 'source.principal': {
      const [principals, notPrincipals] = both(parseString);
      return { ...emptyMatch, principals, notPrincipals };
    }
    case 'source.serviceAccount': {
      const [serviceAccounts, notServiceAccounts] = both((t) => parseServiceAccount(t, namespace));
      return { ...emptyMatch, serviceAccounts, notServiceAccounts };
    }
    case 'destination.ip': {
      const [destinationIps, notDestinationIps] = both<Cidr>(parseCidr);
      return { ...emptyMatch, destinationIps, notDestinationIps };
    }
    case 'destination.port': {
      const [destinationPorts, notDestinationPorts] = both(parsePolicyPort);
      return { ...emptyMatch, destinationPorts, notDestinationPorts };
    }
    default:
      return undefined;
  }
}

/** `*` presence, `*x` suffix, `x*` prefix, everything else exact. */
function parseString(text: string): StringMatch {
  if (text === '*') return { kind: 'presence' };
  if (text.startsWith('*')) return { kind: 'suffix', value: text.slice(1) };
  if (text.endsWith('*')) return { kind: 'prefix', value: text.slice(0, -1) };
  return { kind: 'exact', value: text };
}

/** `namespace/name`, or a name in the policy's namespace. */
function parseServiceAccount(text: string, namespace: string): ServiceAccountMatch | undefined {
  const parts = text.split('/');
  if (parts.some((p) => p === '')) return undefined;
  if (parts.length === 1) return { namespace, serviceAccount: parts[0]! };
  return parts.length === 2 ? { namespace: parts[0]!, serviceAccount: parts[1]! } : undefined;
}

function parsePolicyPort(text: string): number | undefined {
  const n = Number(text);
  return /^\d{1,5}$/.test(text) && n >= 1 && n <= 65_535 ? n : undefined;
}
