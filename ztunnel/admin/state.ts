/** What config_dump says: each worker's state, merged, with what the supervisor knows. */
import type { WorkloadInfo } from '../../common/zds/types.ts';
import type { CertificateDump } from './certificates-dump.ts';
import type { ConnectionsDump } from './connections-dump.ts';
import type { MeshDump } from './mesh-dump.ts';

export interface WorkerState {
  readonly mesh: MeshDump;
  readonly certificates: readonly CertificateDump[];
  /** By uid of the pod. */
  readonly connections: Readonly<Record<string, ConnectionsDump>>;
}

/** A pod as the supervisor holds it. */
export interface ServedPod {
  readonly uid: string;
  readonly info: WorkloadInfo;
  readonly up: boolean;
}

export interface DumpParts {
  /** Of the workers that answered. */
  readonly workers: readonly WorkerState[];
  readonly pods: readonly ServedPod[];
  readonly version: object;
  readonly config: object;
  /** The mesh of LOCAL_XDS; undefined without. */
  readonly staticMesh: MeshDump | undefined;
}

/** Top-level keys of Istio's config_dump (ambient-wire 7.3). The mesh is the first worker's: all of them follow the same one. */
export function configDump({ workers, pods, version, config, staticMesh }: DumpParts): object {
  const [first] = workers;
  const { workloads, services, policies, stagedServices } = first?.mesh ?? none;
  return {
    workloads,
    services,
    policies,
    stagedServices,
    staticConfig: staticMesh
      ? { workloads: staticMesh.workloads, policies: staticMesh.policies, services: staticMesh.services }
      : { workloads: [], policies: [], services: [] },
    version,
    config,
    certificates: mergeCertificates(workers),
    workloadState: Object.fromEntries(
      pods.map(({ uid, info, up }) => [
        uid,
        { state: up ? 'Up' : 'Pending', connections: mergeConnections(workers, uid), info },
      ]),
    ),
  };
}

const none: MeshDump = { workloads: [], services: [], policies: [], stagedServices: {} };

/** Each worker has certificates of its own; of an identity one that can be used is shown. */
function mergeCertificates(workers: readonly WorkerState[]): readonly CertificateDump[] {
  const found = new Map<string, CertificateDump>();
  for (const certificate of workers.flatMap((w) => w.certificates)) {
    const known = found.get(certificate.identity);
    if (!known || (known.state !== 'Available' && certificate.state === 'Available')) {
      found.set(certificate.identity, certificate);
    }
  }
  return [...found.values()].toSorted((a, b) => (a.identity < b.identity ? -1 : 1));
}

function mergeConnections(workers: readonly WorkerState[], uid: string): ConnectionsDump {
  const all = workers.flatMap((w) => w.connections[uid] ?? []);
  return { inbound: all.flatMap((c) => c.inbound), outbound: all.flatMap((c) => c.outbound) };
}
