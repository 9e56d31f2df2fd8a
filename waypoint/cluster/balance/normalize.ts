/** Weights of hosts as fractions of 1, for ring hash and Maglev. Pure; the order of hosts is Envoy's, which decides ties. */
import type { LiveHost } from '../hosts/host.ts';
import type { PriorityHosts } from '../hosts/priorities.ts';

export interface NormalizedHost {
  readonly host: LiveHost;
  readonly weight: number;
}

export function normalize(hosts: PriorityHosts, panic: boolean, byLocality: boolean): readonly NormalizedHost[] {
  const out: NormalizedHost[] = [];
  const source = panic ? 'all' : 'healthy';
  if (!byLocality) {
    push(out, hosts[source], 1);
    return out;
  }
  const sum = hosts.localities.reduce((total, { weight }) => total + weight, 0);
  for (const at of hosts.localities) if (at.weight > 0) push(out, at[source], at.weight / sum);
  return out;
}

function push(out: NormalizedHost[], hosts: readonly LiveHost[], share: number): void {
  const sum = hosts.reduce((total, host) => total + host.weight, 0);
  for (const host of hosts) out.push({ host, weight: (host.weight * share) / sum });
}
