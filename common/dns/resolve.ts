/** What the DNS proxy answers for a name of the mesh (ambient-wire 8). Pure; the wire and forwarding are the proxy's. */
import { type Ip, isIpv6 } from '../core/net.ts';
import { allowsFamily } from '../mesh/address.ts';
import type { MeshReader } from '../mesh/store.ts';
import type { Service, Workload } from '../mesh/types.ts';

export interface NameQuery {
  /** As asked, in any case, with or without the final dot. */
  readonly name: string;
  readonly type: 'A' | 'AAAA';
  /** The pod that asks. */
  readonly client: Workload;
}

export interface NameOptions {
  /** `cluster.local` */
  readonly clusterDomain: string;
  /** Appended by the pod's resolver; in shared mode `searchDomains()`. */
  readonly searchDomains: readonly string[];
  /** Wins among services of one hostname that are neither in the client's namespace nor canonical. */
  readonly preferredNamespace: string | undefined;
  /** false: AAAA is never answered with addresses. */
  readonly ipv6: boolean;
  /** [0, 1); shuffles the answers. */
  readonly random: () => number;
}

/** Fields are those of a dns-packet answer. */
export interface NameRecord {
  readonly name: string;
  readonly type: 'A' | 'AAAA' | 'CNAME';
  readonly data: string;
  /** Seconds. */
  readonly ttl: number;
}

export type NameAnswer =
  /** NOERROR and authoritative, also without records: the name exists, this family of it does not. */
  | { readonly kind: 'found'; readonly service: Service; readonly records: readonly NameRecord[] }
  /** Not ours: ask the upstream resolver for the name as it was asked. */
  | { readonly kind: 'unknown' };

const ttl = 30;

/** What a pod of this namespace has in its resolv.conf. */
export function searchDomains(namespace: string, clusterDomain: string): readonly string[] {
  return [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain];
}

export function resolveName(store: MeshReader, query: NameQuery, options: NameOptions): NameAnswer {
  const asked = query.name.replace(/\.$/, '');
  for (const candidate of candidates(asked.toLowerCase(), query.client.namespace, options)) {
    const found = lookUp(store, candidate.name, query.client, options);
    if (!found) continue;
    const addresses = shuffled(addressesOf(store, found.service, query, options), options.random);
    const alias = candidate.stripped !== undefined && !found.wildcard ? candidate.stripped : undefined;
    const owner = alias ?? asked;
    return {
      kind: 'found',
      service: found.service,
      records: [
        ...(alias === undefined || addresses.length === 0
          ? []
          : [{ name: asked, type: 'CNAME' as const, data: alias, ttl }]),
        ...addresses.map((data) => ({ name: owner, type: query.type, data, ttl })),
      ],
    };
  }
  return { kind: 'unknown' };
}

interface Candidate {
  readonly name: string;
  /** The name without the search domain that the resolver had appended. */
  readonly stripped?: string;
}

/** Names to try, in order: as asked, as Kubernetes would complete it, and both again without each search domain. */
export function* candidates(
  name: string,
  namespace: string,
  o: Pick<NameOptions, 'clusterDomain' | 'searchDomains'>,
): Generator<Candidate> {
  for (const full of [name, ...expansions(name, namespace, o.clusterDomain)]) yield { name: full };
  for (const domain of o.searchDomains) {
    if (!name.endsWith(`.${domain}`)) continue;
    const stripped = name.slice(0, -domain.length - 1);
    for (const full of [stripped, ...expansions(stripped, namespace, o.clusterDomain)]) yield { name: full, stripped };
  }
}

function expansions(name: string, namespace: string, domain: string): readonly string[] {
  const labels = name.split('.');
  const endsInSvc = labels.at(-1) === 'svc';
  switch (labels.length) {
    case 1:
      return [`${name}.${namespace}.svc.${domain}`];
    case 2:
      return [`${name}.svc.${domain}`, `${name}.${namespace}.svc.${domain}`];
    case 3:
      return [...(endsInSvc ? [`${name}.${domain}`] : []), `${name}.svc.${domain}`];
    case 4:
      return endsInSvc ? [`${name}.${domain}`] : [];
    default:
      return [];
  }
}

/** Exactly, then `*.b.c` and `*.c` for `a.b.c`. */
function lookUp(
  store: MeshReader,
  name: string,
  client: Workload,
  o: NameOptions,
): { readonly service: Service; readonly wildcard: boolean } | undefined {
  const labels = name.split('.');
  for (let skip = 0; skip < labels.length; skip++) {
    const hostname = skip === 0 ? name : `*.${labels.slice(skip).join('.')}`;
    const service = store.serviceByHostname(hostname, client.namespace, o.preferredNamespace);
    if (service && isAnswerable(service, o.clusterDomain)) return { service, wildcard: skip > 0 };
  }
  return undefined;
}

/** A name without VIPs outside the cluster's domain is somebody else's to answer. */
function isAnswerable(s: Service, clusterDomain: string): boolean {
  return s.addresses.length > 0 || s.hostname.endsWith(`.svc.${clusterDomain}`);
}

function addressesOf(store: MeshReader, s: Service, q: NameQuery, o: NameOptions): readonly Ip[] {
  const ipv6 = q.type === 'AAAA';
  if (!allowsFamily(s, ipv6) || (ipv6 && !o.ipv6)) return [];
  if (s.addresses.length > 0) {
    const vips = s.addresses.filter((a) => a.network === q.client.network && a.length === undefined);
    return [...new Set(vips.map((a) => a.ip).filter((ip) => isIpv6(ip) === ipv6))];
  }
  const endpoints = store.endpoints(s).filter((e) => e.workload.network === q.client.network);
  return [...new Set(endpoints.flatMap((e) => e.workload.addresses.find((ip) => isIpv6(ip) === ipv6) ?? []))];
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  const list = [...items];
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
  return list;
}
