/**
 * Which endpoints come first, and how much goes where: Envoy's priorities and weights of localities. Envoy turns to the next priority
 * as endpoints of the one before fail.
 */
import { assertNever } from '../../../common/core/errors.ts';
import type { LbScope, Locality } from '../../../common/mesh/types.ts';
import type { MeshEndpoint } from '../inputs.ts';
import type { EnvoyProxy } from '../proxy.ts';

/** How a cluster's endpoints are to be put in order. */
export type Balancing =
  /** All are equal. */
  | { readonly kind: 'even' }
  /** Those that share more of these with the proxy come first; `strict`: others do not come at all. */
  | { readonly kind: 'preferred'; readonly scopes: readonly LbScope[]; readonly strict: boolean }
  /** DestinationRule's and MeshConfig's localityLbSetting. */
  | {
      readonly kind: 'localities';
      readonly distribute: readonly Distribution[];
      /** undefined: no locality comes before another. */
      readonly failover: Failover | undefined;
    };

export interface Distribution {
  /** `region/zone/subzone`, `*` for the rest. */
  readonly from: string;
  /** Per cent by such a locality. */
  readonly to: Readonly<Record<string, number>>;
}

export interface Failover {
  readonly regions: readonly { readonly from: string; readonly to: string }[];
  /** Labels, or `label=value`, in order; empty: region, zone and subzone. */
  readonly labels: readonly string[];
}

export interface EndpointGroup {
  readonly locality: Locality;
  readonly priority: number;
  readonly weight: number;
  readonly endpoints: readonly MeshEndpoint[];
}

interface Placed {
  readonly endpoint: MeshEndpoint;
  readonly priority: number;
  /** Of its locality, in per cent; undefined: the sum of its endpoints. */
  readonly share: number | undefined;
}

/** By priority, then by locality. Priorities are 0, 1, 2, ... without gaps, as Envoy wants them. */
export function balanced(
  endpoints: readonly MeshEndpoint[],
  proxy: EnvoyProxy,
  balancing: Balancing,
): readonly EndpointGroup[] {
  const placed = endpoints.flatMap((endpoint) => place(endpoint, proxy, balancing) ?? []);
  const priorities = [...new Set(placed.map((p) => p.priority))].sort((a, b) => a - b);
  const groups = Map.groupBy(placed, (p) => `${priorities.indexOf(p.priority)} ${nameOf(p.endpoint.locality)}`);
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, members]) => {
      const [first] = members as [Placed, ...Placed[]];
      const sorted = members.map((m) => m.endpoint).sort((a, b) => (a.uid < b.uid ? -1 : 1));
      return {
        locality: first.endpoint.locality,
        priority: priorities.indexOf(first.priority),
        weight: first.share ?? sorted.reduce((sum, e) => sum + e.weight, 0),
        endpoints: sorted,
      };
    });
}

/** undefined: it gets nothing. */
function place(endpoint: MeshEndpoint, proxy: EnvoyProxy, balancing: Balancing): Placed | undefined {
  switch (balancing.kind) {
    case 'even':
      return { endpoint, priority: 0, share: undefined };
    case 'preferred': {
      const { scopes, strict } = balancing;
      const missed = scopes.findIndex((scope) => !shares(scope, endpoint, proxy));
      const priority = missed < 0 ? 0 : scopes.length - missed;
      return strict && priority > 0 ? undefined : { endpoint, priority, share: undefined };
    }
    case 'localities':
      return placeByLocality(endpoint, proxy, balancing);
    default:
      return assertNever(balancing);
  }
}

function placeByLocality(
  endpoint: MeshEndpoint,
  proxy: EnvoyProxy,
  { distribute, failover }: Extract<Balancing, { kind: 'localities' }>,
): Placed | undefined {
  const rule = distribute.find((d) => covers(d.from, proxy.locality));
  if (rule === undefined)
    return { endpoint, priority: failover ? rank(endpoint, proxy, failover) : 0, share: undefined };
  const found = Object.entries(rule.to)
    .filter(([to]) => covers(to, endpoint.locality))
    // The longest says most.
    .sort(([a], [b]) => b.length - a.length)[0];
  if (found) return found[1] > 0 ? { endpoint, priority: 0, share: found[1] } : undefined;
  // What has no share takes over when all that has one fails.
  return failover && { endpoint, priority: 1 + rank(endpoint, proxy, failover), share: undefined };
}

function rank(endpoint: MeshEndpoint, proxy: EnvoyProxy, { regions, labels }: Failover): number {
  if (labels.length > 0) {
    const missed = labels.findIndex((label) => !sharesLabel(label, endpoint, proxy));
    return missed < 0 ? 0 : labels.length - missed;
  }
  const [own, other] = [proxy.locality, endpoint.locality];
  if (own.region === '' || own.region !== other.region) {
    const next = regions.find((r) => r.from === own.region)?.to;
    return next !== undefined && next === other.region ? 3 : 4;
  }
  if (own.zone !== other.zone) return 2;
  return own.subzone === other.subzone ? 0 : 1;
}

const places: Readonly<Record<string, (of: { readonly locality: Locality; readonly network: string }) => string>> = {
  'topology.kubernetes.io/region': (o) => o.locality.region,
  'topology.kubernetes.io/zone': (o) => o.locality.zone,
  'topology.istio.io/subzone': (o) => o.locality.subzone,
  'topology.istio.io/network': (o) => o.network,
};

/** `label`: both have the same; `label=value`: the endpoint has that one. */
function sharesLabel(label: string, endpoint: MeshEndpoint, proxy: EnvoyProxy): boolean {
  const [name, value] = label.split('=', 2) as [string, string?];
  const place = places[name];
  const theirs = place ? place(endpoint) : endpoint.labels[name];
  if (value !== undefined) return theirs === value;
  const own = place ? place(proxy) : proxy.kind === 'client' ? proxy.labels[name] : undefined;
  return (theirs ?? '') === (own ?? '');
}

function shares(scope: LbScope, endpoint: MeshEndpoint, proxy: EnvoyProxy): boolean {
  const [a, b] = [endpoint.locality, proxy.locality];
  switch (scope) {
    case 'NETWORK':
      return endpoint.network === proxy.network;
    case 'REGION':
      return a.region === b.region;
    case 'ZONE':
      return a.zone === b.zone;
    case 'SUBZONE':
      return a.subzone === b.subzone;
    case 'NODE':
      return endpoint.node === proxy.node;
    case 'CLUSTER':
      // istiod knows one cluster.
      return true;
    default:
      return assertNever(scope);
  }
}

function covers(pattern: string, { region, zone, subzone }: Locality): boolean {
  const parts = pattern.split('/');
  return [region, zone, subzone].every((own, i) => {
    const part = parts[i] ?? '*';
    return part === '*' || part === own;
  });
}

function nameOf({ region, zone, subzone }: Locality): string {
  return `${region}/${zone}/${subzone}`;
}
