/** The two ends of a request as metrics and spans name them: the source by what its node proxy said, the destination by its endpoint. */
import { type Baggage, parseBaggage } from '../../../common/hbone/headers.ts';
import type { Json, Metadata } from '../../cluster/types.ts';
import type { ConnectionView } from '../../request/view.ts';

export interface Peer {
  /** Another for each that is told apart: part of keys. */
  readonly id: number;
  readonly workload: string;
  readonly namespace: string;
  readonly cluster: string;
  readonly service: string;
  readonly revision: string;
  /** SPIFFE id; empty: not told. */
  readonly identity: string;
  readonly region: string;
  readonly zone: string;
}

/** Filter state that holds the source's baggage: the listener that ends tunnels passes it on. */
export const sourceKey = 'downstream_peer';
export const peerPrincipalKey = 'io.istio.peer_principal';
export const localPrincipalKey = 'io.istio.local_principal';

let nextId = 1;

const nobody: Peer = {
  id: 0,
  workload: '',
  namespace: '',
  cluster: '',
  service: '',
  revision: '',
  identity: '',
  region: '',
  zone: '',
};

/** Who comes again and again says the same; texts of strangers must not stay for ever. */
const remembered = 4_096;
const sources = new Map<string, Map<string, Peer>>();
let sourceCount = 0;

/** The caller. What its namespace is its certificate knows better than its baggage. */
export function sourceOf(connection: ConnectionView): Peer {
  const text = connection.filterState.get(sourceKey) ?? '';
  const principal = principalOf(connection);
  const known = sources.get(principal)?.get(text);
  if (known) return known;
  const peer = fromBaggage(parseBaggage(text), principal);
  if (sourceCount >= remembered) {
    sources.clear();
    sourceCount = 0;
  }
  const ofPrincipal = sources.get(principal) ?? new Map<string, Peer>();
  sources.set(principal, ofPrincipal.set(text, peer));
  sourceCount++;
  return peer;
}

/** Empty: not authenticated. */
export function principalOf({ filterState, principal }: ConnectionView): string {
  const told = filterState.get(peerPrincipalKey) ?? principal ?? '';
  return told === '-' ? '' : told;
}

export function localPrincipalOf({ filterState, localPrincipal }: ConnectionView): string {
  const told = filterState.get(localPrincipalKey) ?? localPrincipal ?? '';
  return told === '-' ? '' : told;
}

function fromBaggage(b: Baggage, identity: string): Peer {
  return {
    id: nextId++,
    workload: b.workloadName ?? '',
    namespace: namespaceOf(identity) ?? b.namespace ?? '',
    cluster: b.clusterId ?? '',
    service: b.serviceName ?? '',
    revision: b.serviceVersion ?? '',
    identity,
    region: b.region ?? '',
    zone: b.zone ?? '',
  };
}

function namespaceOf(identity: string): string | undefined {
  return /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\//.exec(identity)?.[1];
}

/** Istio's form in the metadata of endpoints: `workload;namespace;service;revision;cluster`. */
const destinations = new WeakMap<Metadata, Peer>();

export function destinationOf(metadata: Metadata | undefined): Peer {
  if (metadata === undefined) return nobody;
  const known = destinations.get(metadata);
  if (known) return known;
  const { workload: text, identity } = metadata['istio'] ?? {};
  const [workload = '', namespace = '', service = '', revision = '', cluster = ''] = textOf(text).split(';');
  const id = nextId++;
  const peer = { ...nobody, id, workload, namespace, service, revision, cluster, identity: textOf(identity) };
  destinations.set(metadata, peer);
  return peer;
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

export interface DestinationService {
  readonly id: number;
  readonly host: string;
  readonly name: string;
  readonly namespace: string;
}

const services = new WeakMap<Metadata, DestinationService>();
const noService: DestinationService = { id: 0, host: '', name: '', namespace: '' };

/** What the cluster's metadata say that it leads to. */
export function serviceOf(metadata: Metadata | undefined): DestinationService {
  if (metadata === undefined) return noService;
  const known = services.get(metadata);
  if (known) return known;
  const list = metadata['istio']?.['services'];
  const first = Array.isArray(list) ? (list[0] as { readonly [key: string]: Json } | undefined) : undefined;
  const host = textOf(first?.['host']);
  const service = {
    id: nextId++,
    host,
    name: textOf(first?.['name']) || (host.split('.')[0] ?? ''),
    namespace: textOf(first?.['namespace']),
  };
  services.set(metadata, service);
  return service;
}
