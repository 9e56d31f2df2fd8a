/** A ClusterLoadAssignment after the check: what EDS, or a static cluster, says about hosts. */
import type { EdsHealth, HostAddress, Locality, Metadata } from './types.ts';

export interface Assignment {
  readonly endpoints: readonly AssignedEndpoint[];
  /** Weights of localities in the order of their first appearance; absent localities have none. */
  readonly localities: readonly AssignedLocality[];
  /** 140 is 1.4. */
  readonly overprovisioning: number;
  /** Health of a priority is by weight instead of by number. */
  readonly weightedPriorityHealth: boolean;
  /** Categories with the fraction of requests to drop, 0 to 1. */
  readonly drops: readonly { readonly category: string; readonly fraction: number }[];
}

export interface AssignedLocality {
  readonly locality: Locality;
  readonly priority: number;
  /** undefined: not given, which is 0 where localities are weighted. */
  readonly weight: number | undefined;
}

export interface AssignedEndpoint {
  readonly address: HostAddress;
  readonly alternatives: readonly HostAddress[];
  readonly hostname: string;
  readonly health: EdsHealth;
  readonly metadata: Metadata;
  readonly weight: number;
  /** Index into `localities`. */
  readonly locality: number;
  readonly healthCheck: {
    readonly address: HostAddress | undefined;
    readonly hostname: string;
    readonly disabled: boolean;
  };
}
