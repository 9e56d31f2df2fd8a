/** The controllers that a cluster has, on one view of the objects, as a part of the API server. */
import type { Part, PartMaker } from '../part.ts';
import { accountsController } from './accounts/controller.ts';
import { cronJobController } from './cronjobs/controller.ts';
import { daemonSetController } from './daemonsets/controller.ts';
import { deploymentController } from './deployments/controller.ts';
import { endpointsController } from './endpoints/controller.ts';
import { eventExpiry } from './events/expiry.ts';
import { garbageCollector } from './garbage/controller.ts';
import { jobController } from './jobs/controller.ts';
import { limits } from './limits/controller.ts';
import { namespaceAdmission } from './namespaces/admission.ts';
import { namespaceController } from './namespaces/controller.ts';
import { finalizeEndpoint } from './namespaces/finalize.ts';
import { nodeController } from './nodes/controller.ts';
import { defaultTolerations, taintEviction } from './nodes/eviction.ts';
import { podCidrController } from './nodes/pod-cidrs.ts';
import { bindingEndpoint } from './pods/binding.ts';
import { disruptionController } from './pods/disruption-controller.ts';
import { ephemeralEndpoint } from './pods/ephemeral.ts';
import { evictionEndpoint } from './pods/eviction.ts';
import { replicaSetController } from './replicas/controller.ts';
import { AddressRange } from './runtime/address-range.ts';
import { Cluster } from './runtime/cluster.ts';
import { scheduler } from './scheduler/controller.ts';
import { serviceAllocation } from './services/allocation.ts';
import { statefulSetController } from './statefulsets/controller.ts';
import { claimController } from './volumes/claims.ts';

const controllers: readonly ((cluster: Cluster) => void)[] = [
  namespaceController,
  garbageCollector,
  disruptionController,
  replicaSetController,
  deploymentController,
  daemonSetController,
  statefulSetController,
  jobController,
  cronJobController,
  scheduler,
  endpointsController,
  nodeController,
  taintEviction,
  eventExpiry,
  claimController,
];

export const controllersPart: PartMaker = ({ rest, registry, clock, log, certificateAuthority, networks }): Part => {
  const cluster = new Cluster({ rest, registry, clock, log });
  for (const add of controllers) add(cluster);
  accountsController(cluster, certificateAuthority.pem);
  podCidrController(
    cluster,
    networks.pods.map((cidr) => new AddressRange(cidr)),
  );
  const serviceRanges = networks.services.map((cidr) => new AddressRange(cidr));
  return {
    admission: [
      namespaceAdmission(cluster.namespaces),
      serviceAllocation(cluster, serviceRanges),
      defaultTolerations,
      ...limits(cluster),
    ],
    endpoints: [finalizeEndpoint(rest), bindingEndpoint(rest), ephemeralEndpoint(rest), evictionEndpoint(cluster)],
    async start(signal) {
      cluster.start(signal);
    },
  };
};
