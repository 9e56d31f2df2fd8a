/** envoy.extensions.filters.http.rbac.v3.RBAC. */
import type { Fields } from '../../../common/envoy/fields.ts';
import { type FilterKind, goOn, type HttpFilter, mostSpecific, type Verdict } from '../filter.ts';
import { denialDetails, judge, type Rules, readRules, shadowMetadata } from './rules.ts';

const name = 'envoy.filters.http.rbac';

export interface RbacConfig {
  readonly rules: Rules | undefined;
  /** Judged and told, without effect: dry run. */
  readonly shadow: Rules | undefined;
  /** Between `rbac.` and the names of counters. */
  readonly statPrefix: string;
  /** The same of shadow rules; and before the keys of dynamic metadata that tell of shadow rules. */
  readonly shadowPrefix: string;
}

const perRouteType = 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute';

export const rbacFilter: FilterKind = {
  type: 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC',
  read(fields) {
    const config = readRbac(fields);
    const filter: HttpFilter = {
      onRequest(view, context) {
        const { rules, shadow, statPrefix, shadowPrefix } = mostSpecific<RbacConfig>(context) ?? config;
        if (shadow) {
          const verdict = judge(shadow, view);
          context.count(`rbac.${dotted(shadowPrefix)}shadow_${verdict.allowed ? 'allowed' : 'denied'}`);
          context.setMetadata(name, shadowMetadata(verdict, shadowPrefix));
        }
        if (!rules) return goOn;
        const verdict = judge(rules, view);
        context.count(`rbac.${dotted(statPrefix)}${verdict.allowed ? 'allowed' : 'denied'}`);
        if (rules.action === 'log') {
          context.setMetadata('envoy.common', { access_log_hint: verdict.policy !== undefined });
        }
        return verdict.allowed ? goOn : denied(denialDetails(rules, verdict.policy));
      },
    };
    return filter;
  },
  perRoute: {
    type: perRouteType,
    // Without rules of its own the route is free of those of the listener.
    read: (fields) => fields.read('rbac', readRbac) ?? free,
  },
};

const free: RbacConfig = { rules: undefined, shadow: undefined, statPrefix: '', shadowPrefix: '' };

function readRbac(fields: Fields): RbacConfig {
  // Policies are not counted one by one.
  fields.harmless('track_per_rule_stats');
  return {
    rules: fields.read('rules', readRules),
    shadow: fields.read('shadow_rules', readRules),
    statPrefix: fields.text('rules_stat_prefix'),
    shadowPrefix: fields.text('shadow_rules_stat_prefix'),
  };
}

/** Of names of counters: a level of its own. */
function dotted(prefix: string): string {
  return prefix === '' || prefix.endsWith('.') ? prefix : `${prefix}.`;
}

function denied(details: string): Verdict {
  return { kind: 'reply', status: 403, headers: [], body: 'RBAC: access denied', details };
}
