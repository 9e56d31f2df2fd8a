/** Envoy's gauges of a cluster: its members, and what is open to them now. */
import type { Host } from '../cluster/types.ts';

export function* clusterGauges(name: string, hosts: readonly Host[]): Generator<readonly [string, number]> {
  const count = (holds: (host: Host) => boolean) => hosts.filter(holds).length;
  yield [`cluster.${name}.membership_total`, hosts.length];
  yield [`cluster.${name}.membership_healthy`, count((h) => serves(h) && h.told !== 'degraded')];
  yield [`cluster.${name}.membership_degraded`, count((h) => serves(h) && h.told === 'degraded')];
  const ejected = count((h) => h.ejected);
  if (ejected > 0) yield [`cluster.${name}.outlier_detection.ejections_active`, ejected];
  yield [`cluster.${name}.upstream_cx_active`, hosts.reduce((sum, h) => sum + h.load.connections, 0)];
  yield [`cluster.${name}.upstream_rq_active`, hosts.reduce((sum, h) => sum + h.load.requests, 0)];
}

function serves({ failedCheck, ejected, told }: Host): boolean {
  return !failedCheck && !ejected && (told === 'unknown' || told === 'healthy' || told === 'degraded');
}
