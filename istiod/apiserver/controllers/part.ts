/** The controllers that a cluster has, on one view of the objects, as a part of the API server. */
import type { Part, PartMaker } from '../part.ts';
import { garbageCollector } from './garbage/controller.ts';
import { namespaceAdmission } from './namespaces/admission.ts';
import { namespaceController } from './namespaces/controller.ts';
import { finalizeEndpoint } from './namespaces/finalize.ts';
import { Cluster } from './runtime/cluster.ts';

const controllers: readonly ((cluster: Cluster) => void)[] = [namespaceController, garbageCollector];

export const controllersPart: PartMaker = ({ rest, registry, clock, log }): Part => {
  const cluster = new Cluster({ rest, registry, clock, log });
  for (const add of controllers) add(cluster);
  return {
    admission: [namespaceAdmission(cluster.namespaces)],
    endpoints: [finalizeEndpoint(rest)],
    async start(signal) {
      cluster.start(signal);
    },
  };
};
