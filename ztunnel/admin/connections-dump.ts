/** Open connections of each pod, for config_dump's workloadState. */
import { formatSocketAddr } from '../../common/core/net.ts';
import type { ConnectionRecord } from '../proxy/account.ts';

export interface ConnectionsDump {
  readonly inbound: readonly object[];
  readonly outbound: readonly object[];
}

/** A pod and the workload that it is. */
export interface DumpedPod {
  readonly uid: string;
  readonly workloadUid: string | undefined;
}

/** By uid of the pod, also those without connections. */
export function dumpConnections(
  pods: readonly DumpedPod[],
  open: Iterable<ConnectionRecord>,
): Readonly<Record<string, ConnectionsDump>> {
  const dumps = pods.map((pod) => ({ pod, inbound: [] as object[], outbound: [] as object[] }));
  const byWorkload = new Map(dumps.map((dump) => [dump.pod.workloadUid, dump]));
  for (const record of open) {
    const local = record.direction === 'outbound' ? record.source : record.destination;
    const dump = local && byWorkload.get(local.uid);
    if (dump) dump[record.direction].push(dumpRecord(record));
  }
  return Object.fromEntries(dumps.map(({ pod, inbound, outbound }) => [pod.uid, { inbound, outbound }]));
}

/** What a client asked for is an address outbound, and the name of a service inbound, where the peer tells it. */
function dumpRecord(r: ConnectionRecord): object {
  const wire = formatSocketAddr(r.destinationAddress);
  const ends =
    r.direction === 'outbound'
      ? { originalDst: r.originalDestination ? formatSocketAddr(r.originalDestination) : wire, actualDst: wire }
      : { originalDst: r.service?.hostname ?? null, actualDst: r.hboneAddress ?? wire };
  return { src: formatSocketAddr(r.sourceAddress), ...ends, protocol: r.mtls ? 'HBONE' : 'TCP' };
}
