/**
 * Who may connect to a workload (ambient-wire 5.1, 5.2), with the two cases of DESIGN 12 in which Istio is laxer:
 * `missing-policy` and `l7-deny`. Pure: the same code enforces in the proxy and explains in `aquifer why`.
 */
import type { Compat } from '../core/compat.ts';
import { assertNever } from '../core/errors.ts';
import { formatSocketAddr } from '../core/net.ts';
import { isEmptyMatch } from '../mesh/policy-match.ts';
import { type GoverningPolicies, policyKey } from '../mesh/store.ts';
import type { AuthorizationPolicy, PolicyMatch, PolicyRule } from '../mesh/types.ts';
import { type FieldName, firstMiss, type L4Connection, type Subject, subjectOf } from './matchers.ts';

export type { L4Connection } from './matchers.ts';

/** Where in a policy the hit was: a group, and in each rule of it the match that held. */
export interface Hit {
  /** `namespace/name`. */
  readonly policy: string;
  readonly group: number;
  readonly matches: readonly number[];
}

export type Decision =
  | { readonly kind: 'allow'; readonly by: AllowReason; readonly dryRun: readonly DryRun[] }
  | {
      readonly kind: 'deny';
      readonly by: DenyReason;
      readonly explanation: string;
      readonly dryRun: readonly DryRun[];
    };

export type AllowReason = { readonly kind: 'no-allow-policy' } | { readonly kind: 'rule'; readonly hit: Hit };

export type DenyReason =
  | { readonly kind: 'rule'; readonly hit: Hit }
  /** Policies that the workload lists and that have not arrived. */
  | { readonly kind: 'missing-policy'; readonly policies: readonly string[] }
  /** The ALLOW policies, none of which holds. */
  | { readonly kind: 'not-allowed'; readonly policies: readonly string[] };

/** What a policy that only watches would have done: a DENY that matched, or an ALLOW that did not. */
export interface DryRun {
  readonly policy: string;
  readonly action: 'ALLOW' | 'DENY';
  readonly matched: boolean;
}

export function authorize(connection: L4Connection, governing: GoverningPolicies, compat: Compat): Decision {
  const subject = subjectOf(connection);
  const dryRun: DryRun[] = [];
  const enforced: { DENY: AuthorizationPolicy[]; ALLOW: AuthorizationPolicy[] } = { DENY: [], ALLOW: [] };
  for (const policy of governing.policies) {
    if (!policy.dryRun) enforced[policy.action].push(policy);
    else {
      const matched = findHit(policy, subject, compat) !== undefined;
      dryRun.push({ policy: policyKey(policy), action: policy.action, matched });
    }
  }
  const deny = (by: DenyReason): Decision => ({ kind: 'deny', by, explanation: explainDenial(by, connection), dryRun });

  for (const policy of enforced.DENY) {
    const hit = findHit(policy, subject, compat);
    if (hit) return deny({ kind: 'rule', hit });
  }
  if (governing.missing.length > 0 && !compat.has('missing-policy')) {
    return deny({ kind: 'missing-policy', policies: governing.missing });
  }
  if (enforced.ALLOW.length === 0) return { kind: 'allow', by: { kind: 'no-allow-policy' }, dryRun };
  for (const policy of enforced.ALLOW) {
    const hit = findHit(policy, subject, compat);
    if (hit) return { kind: 'allow', by: { kind: 'rule', hit }, dryRun };
  }
  return deny({ kind: 'not-allowed', policies: enforced.ALLOW.map(policyKey) });
}

/** One line for logs: what was refused, by what. */
function explainDenial(by: DenyReason, c: L4Connection): string {
  const who = describeConnection(c);
  switch (by.kind) {
    case 'rule':
      return `${who}: denied by ${describeHit(by.hit)}`;
    case 'missing-policy':
      return `${who}: refused until policy ${by.policies.join(', ')} has arrived, which the workload is subject to`;
    case 'not-allowed':
      return `${who}: no rule of ALLOW policy ${by.policies.join(', ')} holds`;
    default:
      return assertNever(by);
  }
}

export function describeHit(hit: Hit): string {
  return `policy ${hit.policy}, group ${hit.group}, ${hit.matches.map((m, rule) => `rule ${rule} match ${m}`).join(', ') || 'which asks for nothing'}`;
}

function describeConnection(c: L4Connection): string {
  const id = c.identity;
  const who = id ? `${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}` : 'plain text';
  return `${who} from ${c.source} to ${formatSocketAddr(c.destination)}`;
}

function findHit(policy: AuthorizationPolicy, subject: Subject, compat: Compat): Hit | undefined {
  for (const [group, { rules }] of policy.groups.entries()) {
    const matches = rules.map((rule) => heldBy(rule, policy, subject, compat));
    if (matches.every((m) => m !== undefined)) return { policy: policyKey(policy), group, matches };
  }
  return undefined;
}

/** Index of the first match that holds, 0 where the rule has none at all; undefined when the rule does not hold. */
function heldBy(rule: PolicyRule, policy: AuthorizationPolicy, subject: Subject, compat: Compat): number | undefined {
  if (rule.matches.length === 0) return 0;
  const index = rule.matches.findIndex((m) => missOf(m, policy, subject, compat) === undefined);
  return index < 0 ? undefined : index;
}

/**
 * Why a match does not hold. Istio never lets an empty match hold. In a DENY it is what istiod leaves of attributes
 * that only L7 can see, and we refuse rather than let pass what nobody checks (`l7-deny`).
 */
function missOf(
  match: PolicyMatch,
  policy: AuthorizationPolicy,
  subject: Subject,
  compat: Compat,
): FieldName | 'empty' | undefined {
  if (!isEmptyMatch(match)) return firstMiss(match, subject);
  return policy.action === 'DENY' && !compat.has('l7-deny') ? undefined : 'empty';
}

/** The whole reasoning, a line a step, for `aquifer why`. */
export function explain(connection: L4Connection, governing: GoverningPolicies, compat: Compat): readonly string[] {
  const subject = subjectOf(connection);
  const decision = authorize(connection, governing, compat);
  const lines = [describeConnection(connection)];
  for (const policy of governing.policies) {
    lines.push(`${policy.action} policy ${policyKey(policy)}${policy.dryRun ? ' (dry run, only reported)' : ''}:`);
    if (policy.groups.length === 0) lines.push('  has no rules, so nothing matches it');
    for (const [g, group] of policy.groups.entries())
      lines.push(...explainGroup(g, group.rules, policy, subject, compat));
  }
  for (const name of governing.missing) {
    lines.push(
      `policy ${name} has not arrived: ${compat.has('missing-policy') ? 'skipped (AQUIFER_COMPAT)' : 'refused until it has'}`,
    );
  }
  lines.push(decision.kind === 'deny' ? `DENY: ${decision.explanation}` : `ALLOW: ${describeAllow(decision.by)}`);
  return lines;
}

function explainGroup(
  g: number,
  rules: readonly PolicyRule[],
  policy: AuthorizationPolicy,
  subject: Subject,
  compat: Compat,
): readonly string[] {
  if (rules.length === 0) return [`  group ${g}: holds, it asks for nothing`];
  return rules.flatMap((rule, r) => {
    if (rule.matches.length === 0) return [`  group ${g} rule ${r}: holds, it has no matches`];
    return rule.matches.map((match, m) => {
      const miss = missOf(match, policy, subject, compat);
      const at = `  group ${g} rule ${r} match ${m}`;
      if (miss === undefined) return `${at}: holds`;
      return miss === 'empty' ? `${at}: is empty, which never holds` : `${at}: ${miss} does not hold`;
    });
  });
}

function describeAllow(by: AllowReason): string {
  return by.kind === 'rule' ? describeHit(by.hit) : 'no ALLOW policy applies to the workload';
}
