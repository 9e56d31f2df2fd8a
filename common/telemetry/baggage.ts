/** The labels a workload sends about itself with each CONNECT (ambient-wire 1.5); the header's form is common/hbone/headers.ts. */
import { type Baggage, formatBaggage } from '../hbone/headers.ts';
import type { Workload } from '../mesh/types.ts';

export function baggageOf(w: Workload): Baggage {
  return {
    clusterId: w.clusterId,
    namespace: w.namespace,
    workloadType: w.workloadType,
    workloadName: w.workloadName,
    serviceName: w.canonicalName,
    serviceVersion: w.canonicalRevision,
    region: w.locality.region,
    zone: w.locality.zone,
  };
}

const headers = new WeakMap<Workload, string>();

/** Value of the `baggage` header, built once for each version of the workload. */
export function baggageHeader(w: Workload): string {
  const known = headers.get(w);
  if (known !== undefined) return known;
  const header = formatBaggage(baggageOf(w));
  headers.set(w, header);
  return header;
}
