/** envoy.config.endpoint.v3.ClusterLoadAssignment, checked. */
import { Fields } from '../../../common/envoy/fields.ts';
import type { AssignedEndpoint, AssignedLocality, Assignment } from '../assignment.ts';
import type { Compiled } from '../compiled.ts';
import type { DnsName } from '../config.ts';
import type { EdsHealth, HostAddress, Locality } from '../types.ts';
import { readAddress, readHostAddress } from './address.ts';
import { readMetadata } from './metadata.ts';

/** Envoy's bounds on weights: those of a priority's localities, and of a locality's hosts, must not overflow 32 bits. */
const maxWeight = 4_294_967_295;

export interface NamedAssignment {
  readonly clusterName: string;
  readonly assignment: Assignment;
}

/** Of EDS. */
export function compileAssignment(resource: object): Compiled<NamedAssignment> {
  const fields = new Fields(resource, 'ClusterLoadAssignment');
  const { assignment, names } = readAssignment(fields);
  if (names.length > 0) fields.mistake('endpoints', `${names[0]!.host} is no IP address; EDS takes no names`);
  const mistakes = fields.finish();
  if (mistakes.length > 0) return { kind: 'rejected', reason: mistakes.join('; ') };
  return { kind: 'ok', value: { clusterName: fields.text('cluster_name'), assignment } };
}

/** `names` are endpoints whose address is a name: for clusters that ask DNS. */
export function readAssignment(fields: Fields): {
  readonly assignment: Assignment;
  readonly names: readonly DnsName[];
} {
  // EDS' name of the resource; in a static cluster a label.
  fields.harmless('cluster_name');
  const localities: AssignedLocality[] = [];
  const endpoints: AssignedEndpoint[] = [];
  const names: DnsName[] = [];
  for (const group of fields.list('endpoints')) {
    group.harmless('proximity', 'metadata');
    const index = localities.length;
    localities.push({
      locality: readLocality(group),
      priority: group.number('priority', 0, 128),
      weight: group.wrapped('load_balancing_weight', 1, maxWeight),
    });
    let sum = 0;
    for (const entry of group.list('lb_endpoints')) {
      const read = readEndpoint(entry, index);
      if (!read) continue;
      sum += read.endpoint.weight;
      if (read.name) names.push({ ...read.name, endpoint: read.endpoint });
      else endpoints.push(read.endpoint);
    }
    if (sum > maxWeight) group.mistake('lb_endpoints', `the sum of their weights, ${sum}, is above ${maxWeight}`);
  }
  checkPriorities(fields, localities);
  const policy = fields.message('policy');
  return {
    names,
    assignment: {
      endpoints,
      localities,
      overprovisioning: policy?.wrapped('overprovisioning_factor', 1) ?? 140,
      weightedPriorityHealth: policy?.flag('weighted_priority_health') ?? false,
      drops: (policy?.list('drop_overloads') ?? []).map((drop) => ({
        category: drop.text('category'),
        fraction: readFraction(drop.message('drop_percentage')),
      })),
    },
  };
}

function checkPriorities(fields: Fields, localities: readonly AssignedLocality[]): void {
  const sums = new Map<number, number>();
  for (const { priority, weight } of localities) sums.set(priority, (sums.get(priority) ?? 0) + (weight ?? 0));
  for (const [priority, sum] of sums) {
    if (sum > maxWeight)
      fields.mistake('endpoints', `the localities' weights at priority ${priority} are above ${maxWeight}`);
  }
}

/** config.core.v3.Locality of an owner. */
export function readLocality(owner: Fields): Locality {
  const locality = owner.message('locality');
  return {
    region: locality?.text('region') ?? '',
    zone: locality?.text('zone') ?? '',
    subZone: locality?.text('sub_zone') ?? '',
  };
}

function readEndpoint(entry: Fields, locality: number) {
  const endpoint = entry.message('endpoint');
  if (!endpoint) {
    entry.mistake('endpoint', 'is missing');
    return undefined;
  }
  const where = endpoint.message('address');
  const address = where && readAddress(where);
  if (!address) {
    if (!where) endpoint.mistake('address', 'is missing');
    return undefined;
  }
  const check = endpoint.message('health_check_config');
  const elsewhere = check?.message('address');
  const port = check?.number('port_value', 0, 65_535) ?? 0;
  const probed = elsewhere ? readHostAddress(elsewhere) : undefined;
  return {
    name: address.kind === 'name' ? { host: address.host, port: address.port } : undefined,
    endpoint: {
      address: address.kind === 'name' ? { kind: 'ip', ip: '', port: address.port } : address,
      alternatives: endpoint.list('additional_addresses').flatMap((other) => {
        const inner = other.message('address');
        return inner ? (readHostAddress(inner) ?? []) : [];
      }),
      hostname: endpoint.text('hostname') || (address.kind === 'name' ? address.host : ''),
      health:
        entry.choice<EdsHealth>('health_status', 'UNKNOWN', {
          UNKNOWN: 'unknown',
          HEALTHY: 'healthy',
          UNHEALTHY: 'unhealthy',
          DRAINING: 'draining',
          TIMEOUT: 'timeout',
          DEGRADED: 'degraded',
        }) ?? 'unknown',
      metadata: readMetadata(entry, 'metadata'),
      weight: entry.wrapped('load_balancing_weight', 1, maxWeight) ?? 1,
      locality,
      healthCheck: {
        address: withPort(probed, address, port),
        hostname: check?.text('hostname') ?? '',
        disabled: check?.flag('disable_active_health_check') ?? false,
      },
    } satisfies AssignedEndpoint,
  };
}

function withPort(
  probed: HostAddress | undefined,
  own: { readonly kind: string },
  port: number,
): HostAddress | undefined {
  const base = probed ?? (own.kind === 'ip' ? (own as HostAddress) : undefined);
  if (port === 0 || base?.kind !== 'ip') return probed;
  return { ...base, port };
}

/** type.v3.FractionalPercent as a fraction of 1. */
export function readFraction(percent: Fields | undefined): number {
  if (!percent) return 0;
  const denominator = percent.choice('denominator', 'HUNDRED', {
    HUNDRED: 100,
    TEN_THOUSAND: 10_000,
    MILLION: 1_000_000,
  });
  return Math.min(1, percent.number('numerator') / (denominator ?? 100));
}
