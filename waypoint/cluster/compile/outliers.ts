/** envoy.config.cluster.v3.OutlierDetection with Envoy's defaults. */
import { millis } from '../../../common/core/brand.ts';
import type { Fields } from '../../../common/envoy/fields.ts';
import type { Consecutive, OutlierDetection } from '../config.ts';

export function readOutliers(cluster: Fields): OutlierDetection | undefined {
  const fields = cluster.message('outlier_detection');
  if (!fields) return undefined;
  const percent = (name: string, absent: number) => fields.wrapped(name, 0, 100) ?? absent;
  const count = (name: string, absent: number) => fields.wrapped(name) ?? absent;
  const consecutive = (failures: string, enforcing: string, absent: number): Consecutive => ({
    failures: count(failures, 5),
    enforcing: percent(enforcing, absent),
  });
  const baseEjection = fields.duration('base_ejection_time', 0.001) ?? millis(30_000);
  const maxEjection = fields.duration('max_ejection_time', 0.001) ?? millis(Math.max(300_000, baseEjection));
  if (maxEjection < baseEjection) fields.mistake('max_ejection_time', 'is smaller than base_ejection_time');
  return {
    interval: fields.duration('interval', 0.001) ?? millis(10_000),
    baseEjection,
    maxEjection,
    ejectionJitter: fields.duration('max_ejection_time_jitter') ?? millis(0),
    maxEjectedPercent: percent('max_ejection_percent', 10),
    alwaysEjectOne: fields.wrappedFlag('always_eject_one_host') ?? false,
    splitLocalOrigin: fields.flag('split_external_local_origin_errors'),
    healthCheckEnds: fields.wrappedFlag('successful_active_health_check_uneject_host') ?? true,
    consecutive5xx: consecutive('consecutive_5xx', 'enforcing_consecutive_5xx', 100),
    consecutiveGateway: consecutive('consecutive_gateway_failure', 'enforcing_consecutive_gateway_failure', 0),
    consecutiveLocal: consecutive(
      'consecutive_local_origin_failure',
      'enforcing_consecutive_local_origin_failure',
      100,
    ),
    successRate: {
      enforcing: percent('enforcing_success_rate', 100),
      enforcingLocal: percent('enforcing_local_origin_success_rate', 100),
      minimumHosts: count('success_rate_minimum_hosts', 5),
      requestVolume: count('success_rate_request_volume', 100),
      stdevFactor: count('success_rate_stdev_factor', 1_900),
    },
    failurePercentage: {
      threshold: percent('failure_percentage_threshold', 85),
      enforcing: percent('enforcing_failure_percentage', 0),
      enforcingLocal: percent('enforcing_failure_percentage_local_origin', 0),
      minimumHosts: count('failure_percentage_minimum_hosts', 5),
      requestVolume: count('failure_percentage_request_volume', 50),
    },
  };
}
