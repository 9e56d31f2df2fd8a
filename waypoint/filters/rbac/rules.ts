/** envoy.config.rbac.v3.RBAC: policies by name and what it means that one matches. Networks and HTTP alike. */
import type { Fields } from '../../../common/envoy/fields.ts';
import type { RequestView } from '../../request/view.ts';
import { type RequestTest, readPolicy } from './policy.ts';

export interface Rules {
  readonly action: 'allow' | 'deny' | 'log';
  /** In Envoy's order, that of their names: the first that matches is the one that is told. */
  readonly policies: readonly { readonly name: string; readonly matches: RequestTest }[];
}

export interface RulesVerdict {
  readonly allowed: boolean;
  /** The policy that matched; undefined: none. */
  readonly policy: string | undefined;
}

export function readRules(fields: Fields): Rules {
  const action = fields.choice('action', 'ALLOW', { ALLOW: 'allow', DENY: 'deny', LOG: 'log' } as const) ?? 'deny';
  const policies = fields.map('policies').map(([name, f]) => ({ name, matches: readPolicy(f) }));
  return { action, policies: policies.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}

export function judge({ action, policies }: Rules, view: RequestView): RulesVerdict {
  const policy = policies.find(({ matches }) => matches(view))?.name;
  const matched = policy !== undefined;
  return { allowed: action === 'log' || matched === (action === 'allow'), policy };
}

/** Names of rules in a text that is told for each request. */
const mostTold = 4;

/** Of a refusal, in Envoy's words; where no rule allows the request, also which ones there are. */
export function denialDetails({ action, policies }: Rules, policy: string | undefined): string {
  const details = `rbac_access_denied_matched_policy[${policy ?? 'none'}]`;
  const others = action === 'allow' && policy === undefined ? listed(policies) : '';
  return (others === '' ? details : `${details}_of[${others}]`).replace(/\s/g, '_');
}

/** Their names, as many as are told. */
export function listed(policies: Rules['policies']): string {
  const names = policies.slice(0, mostTold).map(({ name }) => name);
  const more = policies.length - names.length;
  return [...names, ...(more > 0 ? [`and_${more}_more`] : [])].join(',');
}

/** What a dry run leaves in dynamic metadata; `prefix` begins its keys. */
export function shadowMetadata({ allowed, policy }: RulesVerdict, prefix: string): Readonly<Record<string, string>> {
  return {
    ...(policy !== undefined && { [`${prefix}shadow_effective_policy_id`]: policy }),
    [`${prefix}shadow_engine_result`]: allowed ? 'allowed' : 'denied',
  };
}
