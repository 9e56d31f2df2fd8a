/** A host that is in a cluster, with what is known of its health. Only hosts.ts, health checks and outlier detection write to it. */

import type { AssignedEndpoint, AssignedLocality } from '../assignment.ts';
import { addressText } from '../compile/address.ts';
import type { EdsHealth, Host, HostAddress, Locality, Metadata } from '../types.ts';

export type Health = 'healthy' | 'degraded' | 'unhealthy';

export class LiveHost implements Host {
  readonly key: string;
  readonly address: HostAddress;
  alternatives!: readonly HostAddress[];
  hostname!: string;
  metadata!: Metadata;
  locality!: Locality;
  priority!: number;
  weight!: number;
  readonly load = { requests: 0, connections: 0 };

  told!: EdsHealth;
  /** Active health checks say no (or have not said yes yet). */
  failedCheck = false;
  /** Waits for its first health check, and the cluster does not count it till then. */
  pendingCheck = false;
  /** A health check passed, with the host's own word that it is degraded. */
  degradedCheck = false;
  ejected = false;
  /** Discovery has it no more; it stays while its health checks pass. */
  removed = false;
  /** Where active health checks go, if elsewhere; and whether they are off. */
  healthCheck!: AssignedEndpoint['healthCheck'];
  /** On the monotonic clock, ms: when slow start began. undefined: unhealthy since, or not asked yet. */
  healthySince: number | undefined;

  constructor(endpoint: AssignedEndpoint, place: AssignedLocality) {
    this.key = addressText(endpoint.address);
    this.address = endpoint.address;
    this.update(endpoint, place);
  }

  /** What a newer assignment says of it. */
  update(endpoint: AssignedEndpoint, place: AssignedLocality): void {
    this.alternatives = endpoint.alternatives;
    this.hostname = endpoint.hostname;
    this.metadata = endpoint.metadata;
    this.locality = place.locality;
    this.priority = place.priority;
    this.weight = endpoint.weight;
    this.told = endpoint.health;
    this.healthCheck = endpoint.healthCheck;
    this.removed = false;
  }

  /** Counts neither for nor against its priority: it is leaving, or nobody has looked yet. */
  get excluded(): boolean {
    return this.pendingCheck || this.told === 'draining';
  }

  get health(): Health {
    if (this.failedCheck || this.ejected) return 'unhealthy';
    switch (this.told) {
      case 'unhealthy':
      case 'draining':
      case 'timeout':
        return 'unhealthy';
      case 'degraded':
        return 'degraded';
      default:
        return this.degradedCheck ? 'degraded' : 'healthy';
    }
  }
}
