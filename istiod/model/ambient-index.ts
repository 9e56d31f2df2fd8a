/**
 * The mesh as computed from Kubernetes objects, kept up to date: each change marks what it can affect, `flush` computes that
 * anew, and only resources whose bytes changed are announced. Every result names the objects that it was made of.
 */
import { addressTypeUrl, authorizationTypeUrl } from '../../common/api/index.ts';
import type { Namespace, Node, Pod, Service } from '../../common/kube/kinds/core.ts';
import type { EndpointSlice } from '../../common/kube/kinds/discovery.ts';
import type { Gateway } from '../../common/kube/kinds/gateway-api/gateway.ts';
import type { AuthorizationPolicy, PeerAuthentication } from '../../common/kube/kinds/security.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { type AcceptedCondition, convertPolicy } from './authorization.ts';
import { type Catalog, ResourceCatalog } from './catalog.ts';
import { farIdentities, gatewayTo, gatewayWorkloads, networkOf } from './network.ts';
import { type PeerScope, peerRequirement, portPolicy, staticStrict } from './peer-authentication.ts';
import { type Resource, resourceOfAddress, resourceOfPolicy } from './resource.ts';
import { selects } from './selector.ts';
import { serviceOf } from './service.ts';
import { type MeshSettings, network } from './settings.ts';
import {
  applicationTunnelOf,
  type BoundCondition,
  bindPod,
  bindService,
  gatewayOfPod,
  type WaypointScope,
} from './waypoint.ts';
import { isPodEndpoint, podWorkload, serviceNameLabel, sliceWorkloads } from './workload.ts';

/** Names of resources that appeared, changed or vanished. */
export interface MeshChange {
  readonly addresses: ReadonlySet<string>;
  readonly authorizations: ReadonlySet<string>;
}

/** What the index reads; each map by `namespace/name` or `name`, as informers keep them. */
export interface MeshInputs {
  readonly namespaces: ReadonlyMap<string, Namespace>;
  readonly nodes: ReadonlyMap<string, Node>;
  readonly pods: ReadonlyMap<string, Pod>;
  readonly services: ReadonlyMap<string, Service>;
  readonly slices: ReadonlyMap<string, EndpointSlice>;
  readonly policies: ReadonlyMap<string, AuthorizationPolicy>;
  readonly peers: ReadonlyMap<string, PeerAuthentication>;
  readonly gateways: ReadonlyMap<string, Gateway>;
}

/** One Kubernetes object makes these resources. */
interface Output {
  readonly resources: readonly Resource[];
}

type Source = 'pods' | 'services' | 'slices' | 'policies' | 'peers' | 'gateways';

/** Beside those of PeerAuthentications, which have a slash: the one policy that they share. */
const strictKey = 'strict';

export class AmbientIndex {
  readonly #inputs: MeshInputs;
  readonly #settings: MeshSettings;
  readonly #catalog = new ResourceCatalog();
  readonly #outputs: Record<Source, Map<string, Output>> = {
    pods: new Map(),
    services: new Map(),
    slices: new Map(),
    policies: new Map(),
    peers: new Map(),
    gateways: new Map(),
  };
  readonly #dirty: Record<Source, Set<string>> = {
    pods: new Set(),
    services: new Set(),
    slices: new Set(),
    policies: new Set(),
    peers: new Set(),
    gateways: new Set(),
  };
  /** Pods of other networks: their identities are part of what their services say. */
  readonly #farPods = new Set<string>();
  /** Objects by namespace, for the duration of one flush. */
  readonly #groups = new Map<object, Map<string, KubeObject[]>>();
  readonly #accepted = new Map<string, AcceptedCondition | undefined>();
  readonly #bound = new Map<string, BoundCondition>();

  constructor(inputs: MeshInputs, settings: MeshSettings) {
    this.#inputs = inputs;
    this.#settings = settings;
  }

  get catalog(): Catalog {
    return this.#catalog;
  }

  get addresses(): ReadonlyMap<string, Resource> {
    return this.#catalog.resources(addressTypeUrl);
  }

  get authorizations(): ReadonlyMap<string, Resource> {
    return this.#catalog.resources(authorizationTypeUrl);
  }

  /** By `namespace/name` of the AuthorizationPolicy; undefined for those that are not for node proxies. */
  accepted(key: string): AcceptedCondition | undefined {
    return this.#accepted.get(key);
  }

  /** By `namespace/name` of the Service; undefined for those that no waypoint is named for. */
  bound(key: string): BoundCondition | undefined {
    return this.#bound.get(key);
  }

  podChanged(key: string): void {
    this.#dirty.pods.add(key);
    const pod = this.#inputs.pods.get(key);
    const isFar = pod !== undefined && networkOf(pod) !== network;
    if (!isFar && !this.#farPods.has(key)) return;
    if (isFar) this.#farPods.add(key);
    else this.#farPods.delete(key);
    this.#dirtyIn(key.slice(0, key.indexOf('/')), 'services');
  }

  nodeChanged(name: string): void {
    for (const [key, pod] of this.#inputs.pods) if (pod.spec.nodeName === name) this.#dirty.pods.add(key);
  }

  namespaceChanged(name: string): void {
    this.#dirtyIn(name, 'services');
    this.#dirtyIn(name, 'pods');
  }

  /** Objects of any namespace may name a waypoint; there are few, and they change seldom. */
  gatewayChanged(changed: string): void {
    this.#dirty.gateways.add(changed);
    for (const key of this.#inputs.services.keys()) this.#dirty.services.add(key);
    for (const key of this.#inputs.pods.keys()) this.#dirty.pods.add(key);
  }

  serviceChanged(key: string, namespace: string): void {
    this.#dirty.services.add(key);
    this.#dirtyIn(namespace, 'pods');
    this.#dirtyIn(namespace, 'slices');
  }

  sliceChanged(key: string, objects: readonly EndpointSlice[]): void {
    this.#dirty.slices.add(key);
    for (const slice of objects) {
      for (const e of slice.endpoints ?? []) {
        if (isPodEndpoint(e)) this.#dirty.pods.add(`${slice.metadata.namespace}/${e.targetRef?.name}`);
      }
    }
  }

  policyChanged(key: string, objects: readonly AuthorizationPolicy[]): void {
    this.#dirty.policies.add(key);
    for (const policy of objects) {
      if (policy.spec?.selector === undefined) continue;
      const { namespace = 'default' } = policy.metadata;
      if (namespace !== this.#settings.rootNamespace) this.#dirtyIn(namespace, 'pods');
      else for (const pod of this.#inputs.pods.keys()) this.#dirty.pods.add(pod);
    }
  }

  /** What one says for its namespace, or for the mesh, the others there inherit. */
  peerChanged(key: string, namespace: string): void {
    this.#dirty.peers.add(key).add(strictKey);
    if (namespace !== this.#settings.rootNamespace) {
      this.#dirtyIn(namespace, 'peers');
      this.#dirtyIn(namespace, 'pods');
      return;
    }
    for (const peer of this.#inputs.peers.keys()) this.#dirty.peers.add(peer);
    for (const pod of this.#inputs.pods.keys()) this.#dirty.pods.add(pod);
  }

  /** Computes what was marked; undefined when nothing came out differently. */
  flush(): MeshChange | undefined {
    this.#groups.clear();
    const addresses = new Set<string>();
    const authorizations = new Set<string>();
    for (const key of this.#drain('policies')) {
      this.#replace('policies', key, this.#policy(key), authorizations);
    }
    for (const key of this.#drain('peers')) {
      this.#replace('peers', key, this.#peer(key), authorizations);
    }
    for (const key of this.#drain('services')) {
      this.#replace('services', key, this.#service(key), addresses);
    }
    for (const key of this.#drain('slices')) {
      this.#replace('slices', key, this.#slice(key), addresses);
    }
    for (const key of this.#drain('gateways')) {
      this.#replace('gateways', key, this.#gateway(key), addresses);
    }
    for (const key of this.#drain('pods')) this.#replace('pods', key, this.#pod(key), addresses);
    this.#groups.clear();
    return addresses.size + authorizations.size === 0 ? undefined : { addresses, authorizations };
  }

  #drain(source: Source): readonly string[] {
    const keys = [...this.#dirty[source]];
    this.#dirty[source].clear();
    return keys;
  }

  #dirtyIn(namespace: string, source: 'pods' | 'services' | 'slices' | 'peers'): void {
    for (const [key, object] of this.#inputs[source]) {
      if (object.metadata.namespace === namespace) this.#dirty[source].add(key);
    }
  }

  #replace(source: Source, key: string, resources: readonly Resource[], changed: Set<string>): void {
    const kept = new Set(resources.map((r) => r.name));
    for (const old of this.#outputs[source].get(key)?.resources ?? []) {
      if (!kept.has(old.name) && this.#catalog.delete(old.type, old.name)) changed.add(old.name);
    }
    for (const resource of resources) if (this.#catalog.set(resource)) changed.add(resource.name);
    if (resources.length > 0) this.#outputs[source].set(key, { resources });
    else this.#outputs[source].delete(key);
  }

  #policy(key: string): readonly Resource[] {
    const object = this.#inputs.policies.get(key);
    if (object === undefined) {
      this.#accepted.delete(key);
      return [];
    }
    const { policy, accepted } = convertPolicy(object, this.#settings);
    this.#accepted.set(key, accepted);
    if (policy === undefined) return [];
    return [resourceOfPolicy(policy, [object])];
  }

  #peer(key: string): readonly Resource[] {
    if (key === strictKey) {
      if (this.#inputs.peers.size === 0) return [];
      return [resourceOfPolicy(staticStrict(this.#settings.rootNamespace), [])];
    }
    const object = this.#inputs.peers.get(key);
    const policy = object === undefined ? undefined : portPolicy(object, this.#peersFor(object.metadata.namespace));
    return object === undefined || policy === undefined ? [] : [resourceOfPolicy(policy, [object])];
  }

  #peersFor(namespace: string | undefined): PeerScope {
    const { rootNamespace } = this.#settings;
    const { peers } = this.#inputs;
    return { inNamespace: this.#in(peers, namespace), inRoot: this.#in(peers, rootNamespace), rootNamespace };
  }

  #service(key: string): readonly Resource[] {
    const object = this.#inputs.services.get(key);
    this.#bound.delete(key);
    if (object === undefined) return [];
    const scope = this.#waypointScope(object);
    const binding = bindService(object, scope);
    const far = this.#farEndpoints(object);
    const service = serviceOf(object, scope.namespace, this.#settings, binding, farIdentities(far, this.#settings));
    if (service === undefined) return [];
    if (binding.condition) this.#bound.set(key, binding.condition);
    return [resourceOfAddress(service, [object, scope.namespace, ...binding.from, ...far])];
  }

  #farEndpoints(service: Service): readonly Pod[] {
    const selector = service.spec.selector ?? {};
    if (this.#farPods.size === 0 || Object.keys(selector).length === 0) return [];
    return [...this.#farPods].flatMap((key) => {
      const pod = this.#inputs.pods.get(key);
      const isOf = pod?.metadata.namespace === service.metadata.namespace && selects(selector, pod?.metadata.labels);
      return pod && isOf ? [pod] : [];
    });
  }

  #gateway(key: string): readonly Resource[] {
    const gateway = this.#inputs.gateways.get(key);
    if (gateway === undefined) return [];
    return gatewayWorkloads(gateway, this.#settings).map((w) => resourceOfAddress(w, [gateway]));
  }

  #waypointScope(object: KubeObject): WaypointScope {
    const { namespaces, gateways } = this.#inputs;
    return { namespace: namespaces.get(object.metadata.namespace ?? ''), gateways, settings: this.#settings };
  }

  #slice(key: string): readonly Resource[] {
    const slice = this.#inputs.slices.get(key);
    if (slice === undefined) return [];
    const service = this.#serviceOfSlice(slice);
    return sliceWorkloads(slice, service, this.#settings).map((w) => resourceOfAddress(w, [slice, service]));
  }

  #pod(key: string): readonly Resource[] {
    const pod = this.#inputs.pods.get(key);
    if (pod === undefined) return [];
    const node = this.#inputs.nodes.get(pod.spec.nodeName ?? '');
    const selecting = this.#in(this.#inputs.services, pod.metadata.namespace).filter((s) => {
      const { selector } = s.spec;
      return selector !== undefined && Object.keys(selector).length > 0 && selects(selector, pod.metadata.labels);
    });
    const slices = this.#in(this.#inputs.slices, pod.metadata.namespace).flatMap((slice) => {
      const named = slice.endpoints?.some((e) => isPodEndpoint(e) && e.targetRef?.name === pod.metadata.name);
      const service = named ? this.#serviceOfSlice(slice) : undefined;
      // The slices of a Service with a selector say what the selector says.
      if (service === undefined || Object.keys(service.spec.selector ?? {}).length > 0) return [];
      return [{ slice, service }];
    });
    const { rootNamespace } = this.#settings;
    const inRoot = pod.metadata.namespace === rootNamespace ? [] : this.#in(this.#inputs.policies, rootNamespace);
    const policies = [...this.#in(this.#inputs.policies, pod.metadata.namespace), ...inRoot].filter((p) =>
      this.#selectsPod(p, pod),
    );
    const peers = peerRequirement(pod.metadata.labels, this.#peersFor(pod.metadata.namespace));
    const names = policies.map((p) => `${p.metadata.namespace}/${p.metadata.name}`).sort();
    if (peers.policy !== undefined) names.push(peers.policy);
    const scope = this.#waypointScope(pod);
    const { waypoint, from } = bindPod(pod, scope);
    const applicationTunnel = applicationTunnelOf(pod, scope);
    const way = gatewayTo(networkOf(pod), scope.gateways);
    const workload = podWorkload(
      pod,
      { node, selecting, slices, policies: names, waypoint, networkGateway: way?.reference, applicationTunnel },
      this.#settings,
    );
    if (workload === undefined) return [];
    const inputs = [
      pod,
      node,
      ...selecting,
      ...slices.flatMap((s) => [s.slice, s.service]),
      ...policies,
      ...peers.from,
      ...from,
      gatewayOfPod(pod, scope),
      way?.gateway,
    ];
    return [resourceOfAddress(workload, inputs)];
  }

  /** Only policies that are sent: a name that never arrives would refuse everything. */
  #selectsPod(policy: AuthorizationPolicy, pod: Pod): boolean {
    const { selector } = policy.spec ?? {};
    const { namespace } = policy.metadata;
    return (
      selector !== undefined &&
      selects(selector.matchLabels ?? {}, pod.metadata.labels) &&
      this.authorizations.has(`${namespace}/${policy.metadata.name}`)
    );
  }

  #serviceOfSlice(slice: EndpointSlice): Service | undefined {
    const name = slice.metadata.labels?.[serviceNameLabel];
    return name === undefined ? undefined : this.#inputs.services.get(`${slice.metadata.namespace}/${name}`);
  }

  #in<T extends KubeObject>(all: ReadonlyMap<string, T>, namespace: string | undefined): readonly T[] {
    let groups = this.#groups.get(all);
    if (groups === undefined) {
      groups = Map.groupBy<string, KubeObject>(all.values(), (o) => o.metadata.namespace ?? '');
      this.#groups.set(all, groups);
    }
    return (groups.get(namespace ?? '') ?? []) as readonly KubeObject[] as readonly T[];
  }
}
