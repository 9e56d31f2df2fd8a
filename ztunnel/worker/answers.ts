/** A worker's answers to what an operator asks of the admin server. */
import type { Registry } from 'prom-client';
import { assertNever } from '../../common/core/errors.ts';
import type { CertificateStore } from '../../common/identity/types.ts';
import type { MeshReader } from '../../common/mesh/store.ts';
import type { Profiler } from '../../common/telemetry/profiler.ts';
import { dumpCertificates } from '../admin/certificates-dump.ts';
import { dumpConnections } from '../admin/connections-dump.ts';
import { dumpMesh } from '../admin/mesh-dump.ts';
import type { WorkerState } from '../admin/state.ts';
import type { Question } from '../control/messages.ts';
import type { WorkerCore } from './core.ts';

export interface AnswerSources {
  readonly core: WorkerCore;
  readonly store: MeshReader;
  readonly certificates: CertificateStore;
  readonly registry: Registry;
  readonly profiler: Profiler;
}

export function answers(sources: AnswerSources): (question: Question) => Promise<unknown> {
  const { core, registry, profiler } = sources;
  return async (question) => {
    switch (question.kind) {
      case 'metrics':
        core.traffic.sample();
        return registry.getMetricsAsJSON();
      case 'state':
        return workerState(sources);
      case 'cpu':
        return profiler.cpu(question.seconds, question.frequency);
      case 'heap':
        return profiler.heap();
      case 'heapSampling':
        return profiler.sampleHeap(question.active);
      default:
        return assertNever(question);
    }
  };
}

function workerState({ core, store, certificates }: AnswerSources): WorkerState {
  const pods = core.pods.map((pod) => ({ uid: pod.uid, workloadUid: pod.workload()?.uid }));
  return {
    mesh: dumpMesh(store),
    certificates: dumpCertificates(certificates.entries()),
    connections: dumpConnections(pods, core.traffic.open),
  };
}
