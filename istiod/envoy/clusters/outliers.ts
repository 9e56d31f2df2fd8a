/** Endpoints that fail are left out for a while: outlierDetection of DestinationRules. */
import { durationOf, type Message } from '../values.ts';
import type { PortPolicy } from './rules.ts';

type Outliers = NonNullable<PortPolicy['outlierDetection']>;

/** Message `OutlierDetection`. */
export function outliers(o: Outliers): Message {
  // Of what is not set Envoy's defaults hold; 0 turns a kind off, which Envoy says by a share of 0.
  const kind = (field: string, value: number | null | undefined) => {
    if (value === undefined || value === null) return {};
    if (value === 0) return { [`enforcing_${field}`]: { value: 0 } };
    return { [field]: { value }, [`enforcing_${field}`]: { value: 100 } };
  };
  return {
    ...kind('consecutive_5xx', o.consecutive5xxErrors ?? (o.consecutiveErrors || undefined)),
    ...kind('consecutive_gateway_failure', o.consecutiveGatewayErrors),
    // Nobody asked to compare endpoints with one another.
    enforcing_success_rate: { value: 0 },
    ...(o.splitExternalLocalOriginErrors && {
      split_external_local_origin_errors: true,
      enforcing_local_origin_success_rate: { value: 0 },
      ...kind('consecutive_local_origin_failure', o.consecutiveLocalOriginFailures),
    }),
    ...(o.interval !== undefined && { interval: durationOf(o.interval) }),
    ...(o.baseEjectionTime !== undefined && { base_ejection_time: durationOf(o.baseEjectionTime) }),
    ...(o.maxEjectionPercent && { max_ejection_percent: { value: o.maxEjectionPercent } }),
  };
}
