/** Network filters before the last one of a chain. */
import type { Fields } from '../../common/envoy/fields.ts';
import { denialDetails, judge, readRules, shadowMetadata } from '../filters/rbac/rules.ts';
import { readStateRule, statesOf } from '../filters/set-filter-state.ts';
import type { FormatContext } from '../format/format.ts';
import { bareRequest, type NetworkFilter } from './downstream.ts';

const rbacMetadata = 'envoy.filters.network.rbac';
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
  // Asked once, when the connection comes: nothing that rules see changes while it lasts, and who is refused never writes a byte.
  config.harmless('stat_prefix', 'enforcement_type');
  const rules = config.read('rules', readRules);
  const shadow = config.read('shadow_rules', readRules);
  const keys = config.text('shadow_rules_stat_prefix');
  return {
    onConnection(connection) {
      const request = bareRequest(connection);
      if (shadow) {
        const { metadata } = connection.facts;
        metadata.set(rbacMetadata, { ...metadata.get(rbacMetadata), ...shadowMetadata(judge(shadow, request), keys) });
      }
      if (!rules) return { kind: 'continue' };
      const verdict = judge(rules, request);
      if (verdict.allowed) return { kind: 'continue' };
      return { kind: 'refuse', detail: denialDetails(rules, verdict.policy) };
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
