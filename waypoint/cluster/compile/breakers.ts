/** envoy.config.cluster.v3.CircuitBreakers. */
import type { Fields } from '../../../common/envoy/fields.ts';
import type { Breaker } from '../config.ts';
import type { RoutingPriority } from '../types.ts';

const defaults: Breaker = { connections: 1_024, pending: 1_024, requests: 1_024, retries: 3, retryBudget: undefined };

export interface Breakers {
  readonly breakers: Readonly<Record<RoutingPriority, Breaker>>;
  readonly hostConnections: number;
}

export function readBreakers(cluster: Fields): Breakers {
  const fields = cluster.message('circuit_breakers');
  const breakers: Record<RoutingPriority, Breaker> = { default: defaults, high: defaults };
  const seen = new Set<RoutingPriority>();
  for (const threshold of fields?.list('thresholds') ?? []) {
    const priority = readPriority(threshold);
    // As in Envoy the first of a priority counts.
    const breaker = readBreaker(threshold);
    if (!seen.has(priority)) breakers[priority] = breaker;
    seen.add(priority);
  }
  let hostConnections = Number.POSITIVE_INFINITY;
  for (const threshold of fields?.list('per_host_thresholds') ?? []) {
    if (readPriority(threshold) === 'default') {
      hostConnections = threshold.wrapped('max_connections') ?? hostConnections;
    } else threshold.mistake('priority', 'Envoy too has limits of hosts for the default priority only');
  }
  return { breakers, hostConnections };
}

function readPriority(threshold: Fields): RoutingPriority {
  return threshold.choice('priority', 'DEFAULT', { DEFAULT: 'default', HIGH: 'high' } as const) ?? 'default';
}

function readBreaker(threshold: Fields): Breaker {
  // Gauges only.
  threshold.harmless('track_remaining');
  const budget = threshold.message('retry_budget');
  return {
    connections: threshold.wrapped('max_connections') ?? defaults.connections,
    pending: threshold.wrapped('max_pending_requests') ?? defaults.pending,
    requests: threshold.wrapped('max_requests') ?? defaults.requests,
    retries: threshold.wrapped('max_retries') ?? defaults.retries,
    retryBudget: budget && {
      percent: budget.percent('budget_percent') ?? 20,
      minConcurrency: budget.wrapped('min_retry_concurrency') ?? 3,
    },
  };
}
