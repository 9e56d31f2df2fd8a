/** Network filters before the last one of a chain. */
import type { Fields } from '../../common/envoy/fields.ts';
import { judge, readRules } from '../filters/rbac/rules.ts';
import { readStateRule, statesOf } from '../filters/set-filter-state.ts';
import type { FormatContext } from '../format/format.ts';
import { bareRequest, type NetworkFilter } from './downstream.ts';

const prefix = 'type.googleapis.com/envoy.extensions.filters.network.';

/** undefined: no such filter. */
export function readNetworkFilter(config: Fields): NetworkFilter | undefined {
  switch (config.type) {
    case `${prefix}rbac.v3.RBAC`:
      return readRbac(config);
    case `${prefix}set_filter_state.v3.Config`:
      return readSetFilterState(config);
  }
  return undefined;
}

/** The same rules as of requests, over a request that has nothing: what they ask of one does not match. */
function readRbac(config: Fields): NetworkFilter {
  // Prefixes of statistics; when rules are asked again: they are asked once, when the connection comes.
  config.harmless('stat_prefix', 'shadow_rules_stat_prefix', 'shadow_rules', 'delay_deny');
  config.choice('enforcement_type', 'ONE_TIME_ON_FIRST_BYTE', { ONE_TIME_ON_FIRST_BYTE: true, CONTINUOUS: true });
  config.message('shadow_rules')?.skip();
  const rules = config.read('rules', readRules);
  return {
    onConnection(connection) {
      if (!rules) return { kind: 'continue' };
      const verdict = judge(rules, bareRequest(connection));
      if (verdict.allowed) return { kind: 'continue' };
      return { kind: 'refuse', detail: `rbac_access_denied_matched_policy[${verdict.policy ?? 'none'}]` };
    },
  };
}

function readSetFilterState(config: Fields): NetworkFilter {
  const rules = config.readAll('on_new_connection', readStateRule);
  return {
    onConnection(connection) {
      const format: FormatContext = {
        request: bareRequest(connection),
        facts: { startTime: 0, connectionId: connection.id },
      };
      for (const { key, value, shared } of statesOf(rules, format)) {
        connection.facts.filterState.set(key, value);
        if (shared !== 'none') connection.facts.shared.set(key, shared === 'once' ? 'once' : 'always');
      }
      return { kind: 'continue' };
    },
  };
}
