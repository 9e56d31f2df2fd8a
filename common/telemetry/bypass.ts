/** aquifer_waypoint_bypass_total. */
import { Counter, type Registry } from 'prom-client';
import type { Bypassed } from '../mesh/bypass.ts';
import type { Workload } from '../mesh/types.ts';

export type CountBypass = (what: Bypassed, destination: Workload) => void;

export function bypassMetric(registry: Registry): CountBypass {
  const counter = new Counter({
    name: 'aquifer_waypoint_bypass_total',
    help: 'Connections that came past the waypoint before their destination',
    labelNames: ['waypoint_for', 'destination_workload', 'destination_workload_namespace'],
    registers: [registry],
  });
  return (what, { workloadName, namespace }) =>
    counter.inc({ waypoint_for: what, destination_workload: workloadName, destination_workload_namespace: namespace });
}
