/** Which endpoint gets a request: loadBalancer of DestinationRules. */
import type { Balancing } from '../endpoints/balance.ts';
import type { MeshFacts, MeshService } from '../inputs.ts';
import { durationOf, type Message, typed } from '../values.ts';
import type { PortPolicy } from './rules.ts';

type Balancer = NonNullable<PortPolicy['loadBalancer']>;
type Localities = NonNullable<Balancer['localityLbSetting']>;

/** Connections go where the client wanted. */
export const passthrough: Message = { type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED' };

export function isPassthrough({ loadBalancer }: PortPolicy): boolean {
  return loadBalancer?.simple === 'PASSTHROUGH';
}

/** `lb_policy` of a cluster and its settings. */
export function balancer({ loadBalancer = {} }: PortPolicy, isGrpc: boolean): Message {
  const { simple, consistentHash: hash, backendUtilization: load } = loadBalancer;
  const slow = slowStart(loadBalancer);
  if (load !== undefined) return byLoad(load);
  // gRPC programs know these two, not all of them more.
  if (isGrpc && (hash === undefined || hash.maglev !== undefined)) return { lb_policy: 'ROUND_ROBIN' };
  if (hash?.maglev !== undefined) {
    const { tableSize } = hash.maglev;
    return { lb_policy: 'MAGLEV', ...(tableSize && { maglev_lb_config: { table_size: { value: tableSize } } }) };
  }
  if (hash !== undefined) {
    const size = hash.ringHash?.minimumRingSize || hash.minimumRingSize || 1_024;
    return { lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: { value: size } } };
  }
  switch (simple) {
    case 'RANDOM':
      return { lb_policy: 'RANDOM' };
    case 'ROUND_ROBIN':
      return {
        lb_policy: 'ROUND_ROBIN',
        ...(slow && { round_robin_lb_config: { slow_start_config: slow } }),
      };
    default:
      return {
        lb_policy: 'LEAST_REQUEST',
        ...(slow && { least_request_lb_config: { slow_start_config: slow } }),
      };
  }
}

/** Message `SlowStartConfig`. */
function slowStart({ warmup, warmupDurationSecs }: Balancer): Message | undefined {
  const text = warmup?.duration ?? warmupDurationSecs;
  if (text === undefined) return undefined;
  return {
    slow_start_window: durationOf(text),
    ...(warmup?.aggression && { aggression: { default_value: warmup.aggression, runtime_key: 'aggression' } }),
    ...(warmup?.minimumPercent !== undefined &&
      warmup.minimumPercent !== null && { min_weight_percent: { value: warmup.minimumPercent } }),
  };
}

function byLoad(load: NonNullable<Balancer['backendUtilization']>): Message {
  const name =
    'envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin';
  const duration = (field: string, text: string | undefined) =>
    text === undefined ? {} : { [field]: durationOf(text) };
  const config = typed(name, {
    ...duration('weight_update_period', load.weightUpdatePeriod),
    ...duration('blackout_period', load.weightStabilizationPeriod),
    ...duration('weight_expiration_period', load.weightExpirationPeriod),
    ...(load.errorUtilizationPenaltyPercent !== undefined && {
      error_utilization_penalty: { value: load.errorUtilizationPenaltyPercent / 100 },
    }),
    ...(load.metricNamesForComputingUtilization !== undefined && {
      metric_names_for_computing_utilization: load.metricNamesForComputingUtilization,
    }),
  });
  const extension = { name: 'envoy.load_balancing_policies.client_side_weighted_round_robin', typed_config: config };
  return { load_balancing_policy: { policies: [{ typed_extension_config: extension }] } };
}

/**
 * How endpoints are put in order. A failing locality gives way only where failures are looked for: without outlierDetection the
 * others would never get anything.
 */
export function balancingOf(policy: PortPolicy, service: MeshService, facts: MeshFacts): Balancing {
  const own = policy.loadBalancer?.localityLbSetting;
  const zones = policy.loadBalancer?.zoneAwareLbSetting;
  const scopes = service.balancing?.routingPreference ?? [];
  if (own === undefined && zones === undefined && scopes.length > 0)
    return { kind: 'preferred', scopes, strict: service.balancing?.mode === 'STRICT' };
  const isWatched = policy.outlierDetection !== undefined;
  if (zones !== undefined && own === undefined) {
    if (zones.enabled === false || !isWatched) return { kind: 'even' };
    // Zones of one region are equal here: Envoy weighs them itself.
    const labels = zones.failoverPriority?.length ? zones.failoverPriority : ['topology.kubernetes.io/region'];
    return { kind: 'localities', distribute: [], failover: { regions: regionsOf(zones.failover), labels } };
  }
  const setting = own ?? (facts.localityLb as Localities | undefined) ?? {};
  if (setting.enabled === false) return { kind: 'even' };
  const failover = isWatched
    ? { regions: regionsOf(setting.failover), labels: setting.failoverPriority ?? [] }
    : undefined;
  const distribute = (setting.distribute ?? []).map((d) => ({ from: d.from ?? '*', to: d.to ?? {} }));
  return { kind: 'localities', distribute, failover };
}

function regionsOf(failover: Localities['failover']): readonly { readonly from: string; readonly to: string }[] {
  return (failover ?? []).map((f) => ({ from: f.from ?? '', to: f.to ?? '' }));
}
