/** Envoy's counters of hosts that were found to fail: `outlier_detection.ejections_*` of a cluster. */
import type { Detection, OutlierReport } from '../cluster/outliers/detector.ts';
import type { Stats } from './stats.ts';

/** Where Envoy's counter has another name than its detection. */
const names: Readonly<Partial<Record<Detection, string>>> = {
  local_origin_failure_percentage: 'failure_percentage_local_origin',
};

export function countOutlier(stats: Stats, cluster: string, { detection, outcome }: OutlierReport): void {
  const count = (what: string) => {
    stats.counter(`cluster.${cluster}.outlier_detection.ejections_${what}`).value++;
  };
  const name = names[detection] ?? detection;
  count(`detected_${name}`);
  // Two kinds have counters of older versions, too.
  const isOld = detection === 'consecutive_5xx' || detection === 'success_rate';
  if (isOld) count(detection);
  if (outcome === 'overflow') count('overflow');
  if (outcome !== 'ejected') return;
  if (isOld) count('total');
  count('enforced_total');
  count(`enforced_${name}`);
}
