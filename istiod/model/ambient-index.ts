/**
 * The mesh as computed from Kubernetes objects, kept up to date: each change marks what it can affect, `flush` computes that
 * anew, and only resources whose bytes changed are announced. Every result names the objects that it was made of.
 */
import { addressTypeUrl, authorizationTypeUrl, decodeAuthorization } from '../../common/api/index.ts';
import type { AuthorizationPolicy } from '../../common/mesh/types.ts';
import { type Credentials, noCredentials } from '../envoy/credentials.ts';
import { type Conditions, createContext, type Output } from './ambient/context.ts';
import { deriveFar } from './ambient/far.ts';
import { MeshInputs } from './ambient/inputs.ts';
import { deriveNetworks } from './ambient/networks.ts';
import { derivePolicies } from './ambient/policies.ts';
import { deriveRemote } from './ambient/remote.ts';
import { deriveServices } from './ambient/services.ts';
import { deriveWaypoints } from './ambient/waypoints.ts';
import { deriveWorkloads } from './ambient/workloads.ts';
import { type Catalog, ResourceCatalog } from './catalog.ts';
import { EnvoyMesh } from './envoy/mesh-view.ts';
import { type Failure, Graph } from './graph/graph.ts';
import type { Changing } from './graph/table.ts';
import { networkLabel } from './network.ts';
import { type ObjectName, objectKey, type Resource } from './resource.ts';
import type { MeshSettings } from './settings.ts';

/** Names of resources that appeared, changed or vanished. */
export interface MeshChange {
  readonly addresses: ReadonlySet<string>;
  readonly authorizations: ReadonlySet<string>;
  /** Of these policies the ones that held for all of a namespace or the mesh, and hold for the workloads that name them now. */
  readonly narrowed: ReadonlySet<string>;
  /** Lookups of Envoys' configuration that find something else now; see `EnvoyMesh`. */
  readonly lookups: ReadonlySet<string>;
}

export interface AmbientOptions {
  /** Its `network` becomes that of the system namespace's label. */
  readonly settings: MeshSettings;
  /** Told of computations that threw: what they gave before stays announced. */
  readonly onFailure?: (failure: Failure) => void;
  /** Secrets for Envoys. Default: none. */
  readonly credentials?: Credentials;
  /** They are others now. */
  readonly onSettings?: () => void;
}

export class AmbientIndex {
  /** What it reads: set objects here, then flush. */
  readonly inputs = new MeshInputs();
  readonly #graph: Graph;
  readonly #catalog = new ResourceCatalog();
  readonly #staged: (readonly [readonly Resource[], readonly Resource[]])[] = [];
  /** Policies that go when the rest is published. */
  readonly #gone: Resource[] = [];
  /** Policies that hold for fewer when the rest is published. */
  readonly #narrowed: Resource[] = [];
  readonly #conditionsOf: ReadonlyMap<string, (key: string) => Conditions | undefined>;
  readonly #judged = new Map<string, ObjectName>();
  #settings: MeshSettings;
  readonly #onSettings: () => void;
  /** What Envoys' configuration is made of. */
  readonly envoy: EnvoyMesh;

  constructor(options: AmbientOptions) {
    const {
      settings,
      onFailure = () => undefined,
      credentials = noCredentials,
      onSettings = () => undefined,
    } = options;
    this.#settings = settings;
    this.#onSettings = onSettings;
    this.#graph = new Graph(onFailure);
    const { inputs } = this;
    const c = createContext(this.#graph, inputs, () => this.#settings);
    const waypoints = deriveWaypoints(c);
    const services = deriveServices(c, waypoints);
    const policies = derivePolicies(c, waypoints, services);
    const settingsNow = () => this.#settings;
    this.envoy = new EnvoyMesh({ inputs, services, catalog: this.#catalog, settings: settingsNow, credentials });
    const networks = deriveNetworks(c);
    const workloads = deriveWorkloads(c, { waypoints, services, policies, networks });
    const everywhere = [...workloads, deriveRemote(c, services, networks)];
    const announced = deriveFar(c, services, networks, everywhere);
    for (const table of [...policies.tables, ...everywhere, networks.table, ...announced]) this.#announce(table);
    const entries = workloads.find((w) => w.name === 'WorkloadEntry');
    this.#conditionsOf = new Map([
      ['Service', (key) => services.offers.get(`Service/${key}`)?.conditions],
      ['ServiceEntry', (key) => services.offers.get(`ServiceEntry/${key}`)?.conditions],
      ['WorkloadEntry', (key) => entries?.get(key)?.conditions],
      ['AuthorizationPolicy', (key) => policies.authorization.get(key)?.conditions],
      ['RequestAuthentication', (key) => policies.authentication.get(key)?.conditions],
      ['RateLimitPolicy', (key) => policies.limits.get(key)?.conditions],
    ]);
    services.offers.onChange((_, after, key) => after && this.#judge(key.split('/') as [string, string, string]));
    for (const table of [entries, policies.authorization, policies.authentication, policies.limits])
      table?.onChange((_, after, key) => after && this.#judge([table.name, ...(key.split('/') as [string, string])]));
    this.#watchNetwork();
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

  get settings(): MeshSettings {
    return this.#settings;
  }

  /** Everything is computed anew. The network stays that of the label. */
  configure(settings: MeshSettings): void {
    this.#settings = { ...settings, network: this.#settings.network };
    this.#graph.markAll();
    this.envoy.configured();
    this.#onSettings();
  }

  /** What its status shall say, by type; undefined for objects that are not judged. */
  conditions({ kind, namespace = 'default', name }: ObjectName): Conditions | undefined {
    return this.#conditionsOf.get(kind)?.(`${namespace}/${name}`);
  }

  /** Objects that were judged since it was asked last. */
  takeJudged(): readonly ObjectName[] {
    const judged = [...this.#judged.values()];
    this.#judged.clear();
    return judged;
  }

  /** Computations that threw when they were tried last. */
  get failing(): readonly Failure[] {
    return this.#graph.failing;
  }

  get isDirty(): boolean {
    return this.#graph.isDirty;
  }

  /** Computes what was marked; undefined when nothing came out differently. */
  flush(): MeshChange | undefined {
    for (const _ of this.compute());
    return this.publish();
  }

  /** The same in pieces of about a millisecond; nothing is announced before `publish`. */
  compute(): Generator<void> {
    return this.#graph.run();
  }

  /** Of what was computed at most so many objects' results; undefined when clients see no difference in them. */
  publish(most = Number.POSITIVE_INFINITY): MeshChange | undefined {
    const changed = {
      addresses: new Set<string>(),
      authorizations: new Set<string>(),
      narrowed: new Set<string>(),
      lookups: new Set<string>(),
    };
    const note = ({ type, name }: Resource) =>
      (type === addressTypeUrl ? changed.addresses : changed.authorizations).add(name);
    const remove = (old: Resource) => {
      if (!this.#catalog.delete(old)) return;
      note(old);
      this.envoy.workloadChanged(old, undefined);
    };
    const put = (r: Resource) => {
      const before = this.#catalog.resources(r.type).get(r.name);
      const differs = this.#catalog.set(r);
      if (differs) note(r);
      if (differs || unsaid(before) !== unsaid(r)) this.envoy.workloadChanged(before, r);
    };
    const batch = this.#staged.splice(0, most);
    for (const [before, after] of batch) {
      const kept = new Set(after.map((r) => r.name));
      for (const old of before) {
        if (kept.has(old.name)) continue;
        // Workloads that list a policy stop to do so first: a policy that is named and unknown refuses everything.
        if (old.type === authorizationTypeUrl && this.#staged.length > 0) this.#gone.push(old);
        else remove(old);
      }
      for (const r of after) {
        if (!isNarrower(this.#catalog.resources(r.type).get(r.name), r)) put(r);
        else this.#narrowed.push(r);
      }
    }
    if (this.#staged.length === 0) {
      // Workloads name a policy first: in between it would hold for nobody.
      for (const r of this.#narrowed.splice(0)) {
        put(r);
        changed.narrowed.add(r.name);
      }
      for (const old of this.#gone.splice(0)) remove(old);
      changed.lookups = new Set(this.envoy.takeTouched());
    }
    const isEmpty = changed.addresses.size + changed.authorizations.size + changed.lookups.size === 0;
    return isEmpty ? undefined : changed;
  }

  /** There is more to publish. */
  get isStaged(): boolean {
    return this.#staged.length > 0;
  }

  #announce(table: Changing<Output>): void {
    table.onChange((before, after) => this.#staged.push([before?.resources ?? [], after?.resources ?? []]));
  }

  #judge([kind, namespace, name]: readonly [string, string, string]): void {
    const object = { kind, namespace, name };
    this.#judged.set(objectKey(object), object);
  }

  #watchNetwork(): void {
    this.inputs.namespaces.onChange((_, __, name) => {
      if (name !== this.#settings.systemNamespace || !this.#readNetwork()) return;
      this.#graph.markAll();
      this.#onSettings();
    });
  }

  /** Whether it is another one. */
  #readNetwork(): boolean {
    const { systemNamespace, network: before } = this.#settings;
    const network = this.inputs.namespaces.get(systemNamespace)?.metadata.labels?.[networkLabel] ?? '';
    this.#settings = { ...this.#settings, network };
    return network !== before;
  }
}

/** Of a policy: it held without being named by workloads, and does not any more. */
function isNarrower(before: Resource | undefined, after: Resource): boolean {
  if (after.type !== authorizationTypeUrl || before === undefined || before.version === after.version) return false;
  return scopeOf(before) !== 'WORKLOAD_SELECTOR' && scopeOf(after) === 'WORKLOAD_SELECTOR';
}

function scopeOf({ bytes }: Resource): AuthorizationPolicy['scope'] | undefined {
  const decoded = decodeAuthorization(bytes);
  return decoded.kind === 'rejected' ? undefined : decoded.value.scope;
}

/** What counts for Envoys, and is not in its bytes. */
function unsaid(r: Resource | undefined): string {
  return JSON.stringify([r?.labels, r?.members, r?.waypoint]);
}
