/** What the parts of the ambient model share. */
import type { Pod, Service } from '../../../common/kube/kinds/core.ts';
import type { ServiceEntry } from '../../../common/kube/kinds/istio/service-entry.ts';
import type { WorkloadEntry } from '../../../common/kube/kinds/istio/workload-entry.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import type { KubeObject } from '../../../common/kube/types.ts';
import type { WantedCondition } from '../condition.ts';
import type { Graph } from '../graph/graph.ts';
import { Labelled } from '../graph/labelled.ts';
import type { FarEndpoint } from '../network.ts';
import type { Resource } from '../resource.ts';
import type { MeshSettings } from '../settings.ts';
import { labelsOfEntry } from '../workload-entry.ts';
import type { MeshInputs } from './inputs.ts';

export interface Context {
  readonly graph: Graph;
  readonly inputs: MeshInputs;
  /** At this moment; when they change, everything is computed anew. */
  readonly settings: () => MeshSettings;
  readonly pods: Labelled<Pod>;
  readonly services: Labelled<Service>;
  readonly serviceEntries: Labelled<ServiceEntry>;
  readonly workloadEntries: Labelled<WorkloadEntry>;
}

export function createContext(graph: Graph, inputs: MeshInputs, settings: () => MeshSettings): Context {
  return {
    graph,
    inputs,
    settings,
    pods: new Labelled(inputs.pods, placeOf),
    services: new Labelled(inputs.services, placeOf),
    serviceEntries: new Labelled(inputs.serviceEntries, placeOf),
    workloadEntries: new Labelled(inputs.workloadEntries, (e) => ({
      namespace: namespaceOf(e),
      labels: labelsOfEntry(e),
    })),
  };
}

export function placeOf(object: KubeObject) {
  return { namespace: namespaceOf(object), labels: object.metadata.labels ?? {} };
}

/** Conditions by type that an object shall have, and undefined for those of ours that it shall not. */
export type Conditions = ReadonlyMap<string, WantedCondition | undefined>;

/** What one object comes to. */
export interface Output {
  readonly resources: readonly Resource[];
  /** Those of its workloads that are in other networks. */
  readonly far: readonly FarEndpoint[];
  readonly conditions?: Conditions;
}
