/** The mesh as generators of Envoy's configuration look at it, which notes what they looked at. */
import { addressTypeUrl as addressType, decodeAddress } from '../../../common/api/index.ts';
import type { Ip } from '../../../common/core/net.ts';
import type { XBackendTrafficPolicy } from '../../../common/kube/kinds/gateway-api/experimental.ts';
import type { ServiceEntry } from '../../../common/kube/kinds/istio/service-entry.ts';
import type { Sidecar } from '../../../common/kube/kinds/istio/sidecar.ts';
import { namespaceOf } from '../../../common/kube/names.ts';
import type { KubeObject } from '../../../common/kube/types.ts';
import type { Workload } from '../../../common/mesh/types.ts';
import { type Credentials, type Looked, Pending } from '../../envoy/credentials.ts';
import type {
  EndpointSet,
  MeshEndpoint,
  MeshFacts,
  MeshService,
  MeshView,
  PolicyTarget,
  Resolution,
} from '../../envoy/inputs.ts';
import { lookupOf } from '../../jwks/resolver.ts';
import type { Extension } from '../../modules/extensions.ts';
import { lookupOfModule } from '../../modules/resolver.ts';
import type { MeshInputs } from '../ambient/inputs.ts';
import type { Services } from '../ambient/services.ts';
import type { Catalog } from '../catalog.ts';
import { lookupOfGateway } from '../gateway-names.ts';
import { MultiMap } from '../graph/multi-map.ts';
import type { Index, Table } from '../graph/table.ts';
import { Memo } from '../memo.ts';
import { type ObjectRef, objectKey, type Resource, refOf } from '../resource.ts';
import { byAge, parentsOf } from '../route-parents.ts';
import { selects } from '../selector.ts';
import { hostnameOf } from '../service.ts';
import type { ServiceInfo } from '../service-info.ts';
import type { MeshSettings } from '../settings.ts';
import { accountName, isWaypointGateway } from '../waypoint.ts';
import { targetKeys } from '../waypoint-policy.ts';

/** What was looked up while something was made, and what of it was found. */
export interface Traced<T> {
  readonly outcome: { readonly kind: 'made'; readonly value: T } | { readonly kind: 'failed'; readonly error: unknown };
  /** Names of lookups; `onTouched` tells which of them would find something else now. */
  readonly reads: ReadonlySet<string>;
  readonly objects: readonly ObjectRef[];
}

/** Where a proxy runs, as istiod knows it of its pod. */
export interface ProxyPlace {
  readonly workload: Workload;
  readonly labels: Readonly<Record<string, string>>;
}

export interface MeshViewOptions {
  readonly inputs: MeshInputs;
  readonly services: Services;
  readonly catalog: Catalog;
  readonly settings: () => MeshSettings;
  readonly credentials: Credentials;
}

/** Among rate limits: those of any HTTPRoute. */
const anyRoute = 'HTTPRoute';
const factsRead = 'facts';
const visibleRead = 'visible services';

export class EnvoyMesh {
  readonly #o: MeshViewOptions;
  readonly #touched = new Set<string>();
  readonly #byHost: Index<ServiceInfo>;
  readonly #byWaypoint: Index<ServiceInfo>;
  readonly #byObject: Index<ServiceInfo>;
  /** By the waypoint before them. */
  readonly #workloads = new MultiMap<Resource>();
  readonly #lists: ReadonlyMap<ListName, Index<KubeObject>>;
  readonly #known = new WeakMap<ServiceInfo, MeshService>();
  readonly #decoded: Memo<Workload>;

  /** Make it while the tables are empty. */
  constructor(options: MeshViewOptions) {
    this.#o = options;
    const { inputs, services, catalog } = options;
    this.#decoded = new Memo(() => catalog.resources(addressType));
    this.#byHost = services.table.index((s) => [s.service.hostname]);
    this.#byWaypoint = services.table.index((s) =>
      s.isCopy || s.binding.waypointId === undefined ? [] : [s.binding.waypointId],
    );
    this.#byObject = services.table.index((s) => [objectPath(s)]);
    services.table.onChange((before, after) => {
      for (const s of [before, after]) {
        if (s === undefined) continue;
        this.#touch(`service ${s.key}`, `host ${s.service.hostname}`, `object ${objectPath(s)}`);
        if (s.binding.waypointId !== undefined) this.#touch(`behind ${s.binding.waypointId}`);
      }
      if (sightOf(before) !== sightOf(after)) this.#touch(visibleRead);
    });
    const ofClass = inputs.gateways.index((g) => [g.spec.gatewayClassName]);
    inputs.gateways.onChange((_, __, key) => this.#touch(`gateway ${key}`));
    inputs.gatewayClasses.onChange((_, __, name) => this.#touch(...ofClass.keys(name).map((key) => `gateway ${key}`)));
    inputs.namespaces.onChange((_, __, name) => this.#touch(`namespace ${name}`));
    inputs.virtualServices.onChange((_, __, key) => this.#touch(`virtual service ${key}`));
    const list = <T extends KubeObject>(name: ListName, table: Table<T>, under: (object: T) => readonly string[]) => {
      const index = table.index(under);
      table.onChange((before, after) => {
        for (const object of [before, after]) {
          if (object) for (const at of under(object)) this.#touch(`${name} ${at}`);
        }
      });
      return [name, index as unknown as Index<KubeObject>] as const;
    };
    const domain = () => options.settings();
    this.#lists = new Map([
      list('virtual services', inputs.virtualServices, (v) =>
        [...new Set(v.spec.hosts ?? [])].map((h) => fullName(h, namespaceOf(v), domain())),
      ),
      list('destination rules', inputs.destinationRules, (d) => [fullName(d.spec.host, namespaceOf(d), domain())]),
      list('HTTPRoutes', inputs.httpRoutes, parentsOf),
      list('GRPCRoutes', inputs.grpcRoutes, parentsOf),
      list('TCPRoutes', inputs.tcpRoutes, parentsOf),
      list('TLSRoutes', inputs.tlsRoutes, parentsOf),
      list('reference grants', inputs.referenceGrants, (g) => [namespaceOf(g)]),
      list('policies', inputs.policies, targetKeys),
      list('authentications', inputs.requestAuthentications, targetKeys),
      list('WasmPlugins', inputs.wasmPlugins, targetKeys),
      list('TrafficExtensions', inputs.trafficExtensions, targetKeys),
      list('sidecars', inputs.sidecars, (s) => [namespaceOf(s)]),
      list('telemetries', inputs.telemetries, (t) => [namespaceOf(t)]),
      list('rate limits', inputs.rateLimits, (p) => {
        const keys = targetKeys(p);
        return keys.some((key) => key.startsWith('HTTPRoute/')) ? [...keys, anyRoute] : keys;
      }),
      list('traffic policies', inputs.trafficPolicies, backendsOf),
    ]);
  }

  /** MeshConfig or settings changed. */
  configured(): void {
    this.#touch(factsRead);
  }

  /** What a lookup in `credentials` finds is something else. */
  looked(lookup: string): void {
    this.#touch(lookup);
  }

  /** A workload is announced, changed or gone. */
  workloadChanged(before: Resource | undefined, after: Resource | undefined): void {
    if (before?.waypoint !== undefined) this.#workloads.delete(before.waypoint, before);
    if (after?.waypoint !== undefined) this.#workloads.add(after.waypoint, after);
    for (const r of [before, after]) {
      if (r === undefined) continue;
      for (const service of r.services) this.#touch(`endpoints ${service}`);
      if (r.waypoint !== undefined) this.#touch(`workloads behind ${r.waypoint}`);
      this.#touch(`workload ${r.name}`);
    }
  }

  /** Lookups that find something else since it was asked last. */
  takeTouched(): ReadonlySet<string> {
    const touched = new Set(this.#touched);
    this.#touched.clear();
    return touched;
  }

  /** The pod of a proxy; undefined while it is not announced. */
  place(namespace: string, pod: string): ProxyPlace | undefined {
    const { catalog, settings } = this.#o;
    const name = `${settings().clusterId}//Pod/${namespace}/${pod}`;
    const resource = catalog.find(addressType, name);
    return resource && { workload: this.#decode(resource), labels: resource.labels ?? {} };
  }

  trace<T>(make: (view: MeshView) => T): Traced<T> {
    const reads = new Set<string>();
    const objects = new Map<string, ObjectRef>();
    const view = this.#view((name, found) => {
      reads.add(name);
      for (const object of found) {
        const ref = refOf(object);
        objects.set(objectKey(ref), ref);
      }
    });
    let outcome: Traced<T>['outcome'];
    try {
      outcome = { kind: 'made', value: make(view) };
    } catch (error) {
      outcome = { kind: 'failed', error };
    }
    return { outcome, reads, objects: [...objects.values()] };
  }

  #touch(...names: readonly string[]): void {
    for (const name of names) this.#touched.add(name);
  }

  #view(read: (name: string, found: readonly KubeObject[]) => void): MeshView {
    const { inputs, services, catalog, settings, credentials } = this.#o;
    const of = (infos: readonly ServiceInfo[]) => infos.map((i) => this.#serviceOf(i));
    const objectsOf = (infos: readonly ServiceInfo[]) => infos.map((i) => i.object);
    const list = <T extends KubeObject>(name: ListName, keys: readonly string[]): readonly T[] => {
      const index = this.#lists.get(name)!;
      const found = new Set<KubeObject>();
      for (const key of keys) {
        const values = index.values(key);
        read(`${name} ${key}`, values);
        for (const value of values) found.add(value);
      }
      return [...found].sort(byAge) as unknown as readonly T[];
    };
    const named = (hostname: string): readonly ServiceInfo[] => {
      const infos = [...this.#byHost.values(hostname)].sort(byKindAndAge);
      read(`host ${hostname}`, objectsOf(infos));
      return infos;
    };
    const service = (key: string): ServiceInfo | undefined => {
      const info = services.table.get(key);
      read(`service ${key}`, info ? [info.object] : []);
      return info;
    };
    const seenFrom = (hostname: string, namespace: string) => countingFor(named(hostname), namespace);
    const countingFor = (infos: readonly ServiceInfo[], namespace: string): ServiceInfo | undefined => {
      const own = infos.find((i) => i.service.namespace === namespace);
      if (own) return own;
      const open = infos.filter((i) => i.service.visibility === 'PUBLIC');
      return open.find((i) => i.service.canonical) ?? open[0];
    };
    return {
      get facts() {
        read(factsRead, []);
        return factsOf(settings());
      },
      service: (key) => {
        const info = service(key);
        return info && this.#serviceOf(info);
      },
      named: (hostname) => of(named(hostname)),
      resolve: (host, namespace) => {
        for (const name of [
          fullName(host, namespace, settings()),
          ...wildcardsOf(fullName(host, namespace, settings())),
        ]) {
          const info = seenFrom(name, namespace);
          if (info) return this.#serviceOf(info);
        }
        return undefined;
      },
      ofObject: (kind, namespace, name) => {
        const path = `${kind}/${namespace}/${name}`;
        const infos = this.#byObject.values(path).filter((i) => !i.isCopy);
        read(`object ${path}`, objectsOf(infos));
        const first = kind === 'ServiceEntry' ? firstHost(infos) : infos[0];
        return first && this.#serviceOf(first);
      },
      visible: (namespace) => {
        read(visibleRead, []);
        const all = Map.groupBy(services.table.values.values(), (i) => i.service.hostname);
        const seen = [...all.values()].flatMap((infos) => countingFor([...infos].sort(byKindAndAge), namespace) ?? []);
        return seen.sort((a, b) => byAge(a.object, b.object)).map((i) => i.key);
      },
      behind: (waypoint) => {
        const infos = [...this.#byWaypoint.values(waypoint)].sort((a, b) => (a.key < b.key ? -1 : 1));
        read(`behind ${waypoint}`, objectsOf(infos));
        return of(infos);
      },
      workloadsBehind: (waypoint) => {
        read(`workloads behind ${waypoint}`, []);
        return this.#workloads.get(waypoint).flatMap((r) => this.#decode(r).addresses);
      },
      endpoints: ({ key }) => {
        read(`endpoints ${key}`, []);
        const resolve = (hostname: string) => {
          read(lookupOfGateway(hostname), []);
          return done(credentials.gateway(hostname));
        };
        return catalog.workloadsOf(key).flatMap((r) => this.#endpointOf(r, key, resolve));
      },
      virtualServices: (hostname) => list('virtual services', [hostname, ...wildcardsOf(hostname)]),
      virtualService: (key) => {
        const found = inputs.virtualServices.get(key);
        read(`virtual service ${key}`, found ? [found] : []);
        return found;
      },
      destinationRules: (hostname) => list('destination rules', [hostname, ...wildcardsOf(hostname)]),
      httpRoutes: (parent) => list('HTTPRoutes', [parent]),
      grpcRoutes: (parent) => list('GRPCRoutes', [parent]),
      tcpRoutes: (parent) => list('TCPRoutes', [parent]),
      tlsRoutes: (parent) => list('TLSRoutes', [parent]),
      referenceGrants: (namespace) => list('reference grants', [namespace]),
      policies: (target: PolicyTarget) => list('policies', [target]),
      telemetries: (namespace) => list('telemetries', [namespace]),
      authentications: (target: PolicyTarget) => list('authentications', [target]),
      rateLimits: (target: PolicyTarget) => list('rate limits', [target]),
      rateLimitsOfRoutes: () => list('rate limits', [anyRoute]),
      trafficPolicies: ({ kind, namespace, name }) => list('traffic policies', [`${kind}/${namespace}/${name}`]),
      extensions: (target: PolicyTarget) => [
        ...list<Extension>('WasmPlugins', [target]),
        ...list<Extension>('TrafficExtensions', [target]),
      ],
      filterModule: (source) => {
        read(lookupOfModule(source), []);
        return done(credentials.module(source));
      },
      issuerKeys: (source) => {
        read(lookupOf(source), []);
        return done(credentials.keys(source));
      },
      sidecar: (namespace, labels) => {
        const own = list<Sidecar>('sidecars', [namespace]);
        const labelsOf = ({ spec }: Sidecar) => spec?.workloadSelector?.labels ?? {};
        const isForAll = (s: Sidecar) => Object.keys(labelsOf(s)).length === 0;
        return (
          own.find((s) => !isForAll(s) && selects(labelsOf(s), labels)) ??
          own.find(isForAll) ??
          list<Sidecar>('sidecars', [settings().rootNamespace]).find(isForAll)
        );
      },
      waypoint: (key) => {
        const gateway = inputs.gateways.get(key);
        read(`gateway ${key}`, gateway ? [gateway] : []);
        const isWaypoint =
          gateway && isWaypointGateway(gateway, inputs.gatewayClasses.get(gateway.spec.gatewayClassName));
        return isWaypoint ? { gateway, account: accountName(gateway) } : undefined;
      },
      secret: (namespace, name) => {
        read(`secret ${namespace}/${name}`, []);
        return done(credentials.secret(namespace, name));
      },
      readsSecrets: (namespace, account) => {
        read(`reader ${namespace}/${account}`, []);
        return done(credentials.mayList(namespace, account));
      },
      namespaceLabels: (namespace) => {
        const found = inputs.namespaces.get(namespace);
        read(`namespace ${namespace}`, []);
        return found && (found.metadata.labels ?? {});
      },
    };
  }

  #serviceOf(info: ServiceInfo): MeshService {
    const known = this.#known.get(info);
    if (known) return known;
    const { service, object } = info;
    const made: MeshService = {
      key: info.key,
      kind: info.kind,
      name: service.name,
      namespace: service.namespace,
      hostname: service.hostname,
      addresses: service.addresses,
      ports: info.ports.map((p) => ({ number: p.servicePort, name: p.name, protocol: p.appProtocol })),
      resolution: info.kind === 'Service' ? 'endpoints' : resolutionOf(object as ServiceEntry),
      isExternal: info.kind === 'ServiceEntry' && (object as ServiceEntry).spec.location !== 'MESH_INTERNAL',
      subjectAltNames: service.subjectAltNames,
      balancing: service.loadBalancing,
      waypoint: info.binding.waypointId,
      object,
    };
    this.#known.set(info, made);
    return made;
  }

  #endpointOf(r: Resource, service: string, resolve: (hostname: string) => readonly Ip[]): readonly MeshEndpoint[] {
    const w = this.#decode(r);
    const address = addressOf(w, r.members ?? [], resolve);
    if (address === undefined) return [];
    return [
      {
        uid: w.uid,
        address,
        ports: new Map((w.services.get(service) ?? []).map((p) => [p.servicePort, p.targetPort])),
        labels: r.labels ?? {},
        locality: w.locality,
        node: w.node,
        network: w.network,
        cluster: w.clusterId,
        weight: w.capacity,
        canonical: { name: w.canonicalName, revision: w.canonicalRevision },
        isHealthy: w.status === 'HEALTHY',
        isHbone: w.tunnelProtocol === 'HBONE',
        namespace: w.namespace,
        serviceAccount: w.serviceAccount,
        trustDomain: w.trustDomain,
        workload: w.workloadName,
      },
    ];
  }

  #decode(r: Resource): Workload {
    const known = this.#decoded.get(r);
    if (known) return known;
    const decoded = decodeAddress(r.bytes);
    if (decoded.kind === 'rejected') throw new Error(`${r.name}: ${decoded.reason}`);
    if (decoded.value.kind !== 'workload') throw new Error(`${r.name} is no workload`);
    this.#decoded.set(r, decoded.value);
    return decoded.value;
  }
}

type ListName =
  | 'virtual services'
  | 'destination rules'
  | 'HTTPRoutes'
  | 'GRPCRoutes'
  | 'TCPRoutes'
  | 'TLSRoutes'
  | 'reference grants'
  | 'policies'
  | 'authentications'
  | 'rate limits'
  | 'WasmPlugins'
  | 'TrafficExtensions'
  | 'sidecars'
  | 'telemetries'
  | 'traffic policies';

function factsOf(s: MeshSettings): MeshFacts {
  const { trustDomain, domain, rootNamespace, clusterId, network, multiNetwork } = s;
  return { ...s.envoy, trustDomain, domain, rootNamespace, clusterId, network, multiNetwork };
}

/** As VirtualServices and DestinationRules write hosts: one label is a Service of the object's namespace. */
function fullName(host: string, namespace: string, settings: MeshSettings): string {
  const lower = host.toLowerCase();
  return lower.includes('.') || lower === '*' ? lower : hostnameOf(lower, namespace, settings);
}

/** `*.b.c`, `*.c` and `*` of `a.b.c`. */
function wildcardsOf(hostname: string): readonly string[] {
  const labels = hostname.split('.');
  return hostname === '*'
    ? []
    : [...labels.slice(1).map((_, i) => `*.${labels.slice(i + 1).join('.')}`), '*'].filter((w) => w !== hostname);
}

function objectPath({ kind, object }: ServiceInfo): string {
  return `${kind}/${namespaceOf(object)}/${object.metadata.name}`;
}

/** What of a service decides whether a namespace sees it. */
function sightOf(info: ServiceInfo | undefined): string | undefined {
  return info && `${info.key} ${info.service.visibility} ${info.service.canonical} ${info.object.metadata.uid}`;
}

function firstHost(infos: readonly ServiceInfo[]): ServiceInfo | undefined {
  const [host] = (infos[0]?.object as ServiceEntry | undefined)?.spec.hosts ?? [];
  return infos.find((i) => i.service.hostname === host) ?? infos[0];
}

/** Services that it names, of its own namespace. */
function backendsOf(policy: XBackendTrafficPolicy): readonly string[] {
  return policy.spec.targetRefs.map(({ kind, name }) => `${kind}/${namespaceOf(policy)}/${name}`);
}

function resolutionOf({ spec }: ServiceEntry): Resolution {
  switch (spec.resolution) {
    case 'STATIC':
      return 'endpoints';
    case 'DNS':
      return 'dns';
    case 'DNS_ROUND_ROBIN':
      return 'dns-round-robin';
    case 'DYNAMIC_DNS':
      return 'dynamic-dns';
    default:
      return 'original';
  }
}

function byKindAndAge(a: ServiceInfo, b: ServiceInfo): number {
  if (a.object === b.object) return a.isCopy ? 1 : -1;
  return a.kind === b.kind ? byAge(a.object, b.object) : a.kind === 'Service' ? -1 : 1;
}

function done<T>(looked: Looked<T>): T {
  if (looked.kind === 'pending') throw new Pending();
  return looked.value;
}

/** undefined: it has none. */
function addressOf(
  { addresses: [ip], hostname, networkGateway }: Workload,
  members: readonly EndpointSet[],
  resolve: (hostname: string) => readonly Ip[],
): MeshEndpoint['address'] | undefined {
  if (ip !== undefined) return { kind: 'ip', ip };
  if (hostname !== '') return { kind: 'name', name: hostname };
  if (networkGateway === undefined) return undefined;
  const { destination: at, hboneMtlsPort: port } = networkGateway;
  return { kind: 'gateway', ips: at.kind === 'address' ? [at.ip] : resolve(at.hostname), port, members };
}
