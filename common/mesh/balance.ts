/** Which endpoint of a service gets a connection (ambient-wire 2.6). */
import { assertNever } from '../core/errors.ts';
import type { Endpoint } from './store.ts';
import type { LbScope, PortMapping, Service, Workload } from './types.ts';

export type Balanced =
  | { readonly kind: 'chosen'; readonly workload: Workload; readonly targetPort: number }
  | { readonly kind: 'none'; readonly reason: string };

/**
 * `strict`: the service must declare the port. `tunnel-exempt`: an endpoint with an application tunnel need not have it, since
 * the HBONE port of a waypoint is asked for, which the proxy in front of it serves.
 */
export type PortRule = 'strict' | 'tunnel-exempt';

/**
 * `endpoints` are the usable ones of the store. `random` gives [0, 1) and is asked once, where there is a choice.
 * Endpoints of capacity 0 and those that cannot be reached or lack the port are never chosen.
 */
export function balance(
  service: Service,
  endpoints: readonly Endpoint[],
  servicePort: number,
  source: Workload,
  random: () => number,
  rule: PortRule = 'strict',
): Balanced {
  const declared = mapped(service.ports, servicePort);
  if (declared === undefined && rule === 'strict') {
    return { kind: 'none', reason: `service ${service.namespace}/${service.hostname} has no port ${servicePort}` };
  }
  const candidates: Candidate[] = [];
  for (const endpoint of endpoints) {
    const { workload } = endpoint;
    if (declared === undefined && !workload.applicationTunnel) continue;
    const targetPort = endpointPort(endpoint, servicePort, declared ?? 0);
    if (targetPort === undefined || workload.capacity === 0 || !reachable(workload, source)) continue;
    candidates.push({ workload, targetPort });
  }
  const preferred = byPreference(service, candidates, source);
  const chosen = byCapacity(preferred, random);
  if (chosen) return { kind: 'chosen', ...chosen };
  const counts = `${endpoints.length} known, ${candidates.length} with the port, ${preferred.length} preferred`;
  return {
    kind: 'none',
    reason: `no healthy endpoint of ${service.namespace}/${service.hostname} for port ${servicePort} (${counts})`,
  };
}

/**
 * Port that the endpoint listens on for `servicePort`: its own mapping, else the service's, else with an application tunnel
 * of a fixed port the service port itself. undefined where a named port is not known.
 */
export function endpointPort(endpoint: Endpoint, servicePort: number, declared: number): number | undefined {
  const own = mapped(endpoint.ports, servicePort);
  if (own) return own;
  if (declared) return declared;
  return endpoint.workload.applicationTunnel?.port ? servicePort : undefined;
}

/** Target port of a service port, 0 for a named one; undefined where the service port does not exist. */
export function mapped(ports: readonly PortMapping[], servicePort: number): number | undefined {
  return ports.find((p) => p.servicePort === servicePort)?.targetPort;
}

interface Candidate {
  readonly workload: Workload;
  readonly targetPort: number;
}

function reachable(w: Workload, source: Workload): boolean {
  if (w.addresses.length > 0 || w.hostname !== '') return true;
  return w.network !== source.network && w.networkGateway !== undefined;
}

function byPreference(service: Service, candidates: readonly Candidate[], source: Workload): readonly Candidate[] {
  const mode = service.loadBalancing?.mode ?? 'UNSPECIFIED_MODE';
  const preferences = service.loadBalancing?.routingPreference ?? [];
  switch (mode) {
    case 'UNSPECIFIED_MODE':
    case 'PASSTHROUGH':
      return candidates;
    case 'STRICT':
      return candidates.filter((c) => preferences.every((scope) => matches(scope, c.workload, source)));
    case 'FAILOVER': {
      const ranks = candidates.map((c) => failoverRank(preferences, c.workload, source));
      const top = ranks.reduce((a, b) => Math.max(a, b), 0);
      return candidates.filter((_, i) => ranks[i] === top);
    }
    default:
      return assertNever(mode);
  }
}

/**
 * Number of leading preferences that match. With NETWORK first, another network's endpoint skips that item, and a local one
 * is lifted above all of those.
 */
function failoverRank(preferences: readonly LbScope[], w: Workload, source: Workload): number {
  const networkFirst = preferences[0] === 'NETWORK';
  const local = matches('NETWORK', w, source);
  const considered = networkFirst && !local ? preferences.slice(1) : preferences;
  const miss = considered.findIndex((scope) => !matches(scope, w, source));
  const leading = miss < 0 ? considered.length : miss;
  return networkFirst && local ? leading + preferences.length - 1 : leading;
}

/** Empty strings are equal: where nothing is known, everything is near. */
function matches(scope: LbScope, a: Workload, b: Workload): boolean {
  switch (scope) {
    case 'REGION':
      return a.locality.region === b.locality.region;
    case 'ZONE':
      return a.locality.zone === b.locality.zone;
    case 'SUBZONE':
      return a.locality.subzone === b.locality.subzone;
    case 'NODE':
      return a.node === b.node;
    case 'CLUSTER':
      return a.clusterId === b.clusterId;
    case 'NETWORK':
      return a.network === b.network;
    default:
      return assertNever(scope);
  }
}

function byCapacity(candidates: readonly Candidate[], random: () => number): Candidate | undefined {
  if (candidates.length <= 1) return candidates[0];
  const total = candidates.reduce((sum, c) => sum + c.workload.capacity, 0);
  let left = random() * total;
  for (const c of candidates) {
    left -= c.workload.capacity;
    if (left < 0) return c;
  }
  // Rounding may leave a rest of nothing; capacities here are all above 0.
  return candidates.at(-1);
}
