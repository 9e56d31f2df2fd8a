/**
 * What the mesh looks like now, indexed for the questions that a connection asks (ambient-wire 2.1, 3.6). Readers get immutable
 * objects; a change replaces them and is announced once for each batch.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Ip, ipToBytes } from '../core/net.ts';
import type { AuthorizationPolicy, MeshAddress, NetworkAddress, PortMapping, Service, Workload } from './types.ts';

export interface MeshBatch {
  readonly addresses?: readonly MeshAddress[];
  /** Names as in removed_resources; applied before `addresses`. */
  readonly removedAddresses?: readonly string[];
  readonly policies?: readonly AuthorizationPolicy[];
  readonly removedPolicies?: readonly string[];
}

/** What a batch really changed; an object that came again as it was is not among it. */
export interface MeshChanges {
  /** By uid. */
  readonly workloads: ReadonlySet<string>;
  /** By `namespace/hostname`. */
  readonly services: ReadonlySet<string>;
  /** By `namespace/name`. */
  readonly policies: ReadonlySet<string>;
}

/** A workload as one service's backend, with its ports as it serves them there. */
export interface Endpoint {
  readonly workload: Workload;
  readonly ports: readonly PortMapping[];
}

/** Policies that govern a workload, each once, and the names it lists that have not arrived. */
export interface GoverningPolicies {
  readonly policies: readonly AuthorizationPolicy[];
  readonly missing: readonly string[];
}

export interface MeshReader {
  workload(uid: string): Workload | undefined;
  /** Pod before other kinds, then HBONE before plain, then the latest to arrive. Workloads of the host network are never found. */
  workloadByIp(network: string, ip: Ip): Workload | undefined;
  /** Of all nodes and kinds. */
  workloadsByName(namespace: string, name: string): readonly Workload[];
  /** `key` is `namespace/hostname`. */
  service(key: string): Service | undefined;
  /** Best of those visible to `clientNamespace`; CIDR VIPs only where no exact VIP is. */
  serviceByVip(network: string, ip: Ip, clientNamespace: string): Service | undefined;
  /** `preferredNamespace` breaks ties after same namespace and canonical (DNS only). */
  serviceByHostname(hostname: string, clientNamespace: string, preferredNamespace?: string): Service | undefined;
  /** By a reference `namespace/hostname`: a service, else a workload with that hostname. */
  addressByHostname(namespace: string, hostname: string): MeshAddress | undefined;
  /** Usable endpoints: healthy ones, or all where the service says ALLOW_ALL. Empty while the service is unknown. */
  endpoints(service: Service): readonly Endpoint[];
  /** `key` is `namespace/name`. */
  policy(key: string): AuthorizationPolicy | undefined;
  policiesFor(workload: Workload): GoverningPolicies;
  workloads(): readonly Workload[];
  services(): readonly Service[];
  policies(): readonly AuthorizationPolicy[];
  /** Keys of services that are not known, while workloads already say they serve them. */
  stagedServices(): readonly string[];
  /** Called after each batch that changed something; must not throw. Returns how to stop it. */
  onChange(listener: (changes: MeshChanges) => void): () => void;
}

export function serviceKey(s: { readonly namespace: string; readonly hostname: string }): string {
  return `${s.namespace}/${s.hostname}`;
}

export function policyKey(p: { readonly namespace: string; readonly name: string }): string {
  return `${p.namespace}/${p.name}`;
}

export class MeshStore implements MeshReader {
  readonly #workloads = new Map<string, Workload>();
  readonly #workloadsByIp = new Index<Workload>();
  readonly #workloadsByName = new Index<Workload>();
  readonly #services = new Map<string, Service>();
  readonly #servicesByVip = new Index<Service>();
  readonly #servicesByHostname = new Index<Service>();
  /** How many VIPs have each `network/family/length`, so that a lookup tries only lengths that exist. */
  readonly #prefixes = new Map<string, { network: string; bits: number; length: number; count: number }>();
  /** Order of first arrival: the last tie-break among services. */
  readonly #seen = new Map<string, number>();
  #arrivals = 0;
  /** By service key, then uid; also of services that are not known yet. */
  readonly #endpoints = new Map<string, Map<string, Endpoint>>();
  readonly #usable = new Map<string, readonly Endpoint[]>();
  readonly #policies = new Map<string, AuthorizationPolicy>();
  readonly #policiesByScope = new Index<AuthorizationPolicy>();
  readonly #listeners = new Set<(changes: MeshChanges) => void>();

  apply(batch: MeshBatch): MeshChanges {
    const changes = { workloads: new Set<string>(), services: new Set<string>(), policies: new Set<string>() };
    for (const name of batch.removedAddresses ?? []) {
      if (this.#removeWorkload(name)) changes.workloads.add(name);
      // A name with several slashes is a workload's uid and never tried as a service.
      else if (name.split('/').length === 2 && this.#removeService(name)) changes.services.add(name);
    }
    for (const address of batch.addresses ?? []) {
      if (address.kind === 'workload') {
        if (this.#putWorkload(address)) changes.workloads.add(address.uid);
      } else if (this.#putService(address)) changes.services.add(serviceKey(address));
    }
    for (const name of batch.removedPolicies ?? []) if (this.#removePolicy(name)) changes.policies.add(name);
    for (const policy of batch.policies ?? []) if (this.#putPolicy(policy)) changes.policies.add(policyKey(policy));
    if (changes.workloads.size + changes.services.size + changes.policies.size > 0) {
      for (const listener of this.#listeners) listener(changes);
    }
    return changes;
  }

  workload(uid: string): Workload | undefined {
    return this.#workloads.get(uid);
  }

  workloadByIp(network: string, ip: Ip): Workload | undefined {
    let best: Workload | undefined;
    for (const w of this.#workloadsByIp.get(`${network}/${ip}`)) if (!best || rank(w) >= rank(best)) best = w;
    return best;
  }

  workloadsByName(namespace: string, name: string): readonly Workload[] {
    return this.#workloadsByName.get(`${namespace}/${name}`);
  }

  service(key: string): Service | undefined {
    return this.#services.get(key);
  }

  serviceByVip(network: string, ip: Ip, clientNamespace: string): Service | undefined {
    const exact = this.#best(this.#servicesByVip.get(`${network}/${ip}`), clientNamespace);
    if (exact || this.#prefixes.size === 0) return exact;
    const bytes = ipToBytes(ip);
    // Longest first, so that among equals of one namespace the longer prefix is met first.
    const lengths = [...this.#prefixes.values()]
      .filter((p) => p.network === network && p.bits === bytes.length * 8)
      .sort((a, b) => b.length - a.length);
    const best = lengths.map((p) =>
      this.#best(this.#servicesByVip.get(prefixKey(network, bytes, p.length)), clientNamespace),
    );
    return best.find((s) => s?.namespace === clientNamespace) ?? best.find((s) => s !== undefined);
  }

  serviceByHostname(hostname: string, clientNamespace: string, preferredNamespace?: string): Service | undefined {
    return this.#best(this.#servicesByHostname.get(hostname), clientNamespace, preferredNamespace);
  }

  addressByHostname(namespace: string, hostname: string): MeshAddress | undefined {
    const service = this.#services.get(`${namespace}/${hostname}`);
    if (service || hostname === '') return service;
    for (const w of this.#workloads.values()) if (w.hostname === hostname && w.namespace === namespace) return w;
    return undefined;
  }

  endpoints(service: Service): readonly Endpoint[] {
    const key = serviceKey(service);
    const cached = this.#usable.get(key);
    if (cached) return cached;
    const current = this.#services.get(key);
    if (!current) return [];
    const all = current.loadBalancing?.healthPolicy === 'ALLOW_ALL';
    const usable = [...(this.#endpoints.get(key)?.values() ?? [])].filter(
      (e) => all || e.workload.status === 'HEALTHY',
    );
    this.#usable.set(key, usable);
    return usable;
  }

  policy(key: string): AuthorizationPolicy | undefined {
    return this.#policies.get(key);
  }

  policiesFor(workload: Workload): GoverningPolicies {
    const policies = new Set([
      ...this.#policiesByScope.get(globalScope),
      ...this.#policiesByScope.get(namespaceScope(workload.namespace)),
    ]);
    const missing: string[] = [];
    for (const key of workload.authorizationPolicies) {
      const policy = this.#policies.get(key);
      if (policy) policies.add(policy);
      else missing.push(key);
    }
    return { policies: [...policies], missing };
  }

  workloads(): readonly Workload[] {
    return [...this.#workloads.values()];
  }

  services(): readonly Service[] {
    return [...this.#services.values()];
  }

  policies(): readonly AuthorizationPolicy[] {
    return [...this.#policies.values()];
  }

  stagedServices(): readonly string[] {
    return [...this.#endpoints.keys()].filter((key) => !this.#services.has(key));
  }

  onChange(listener: (changes: MeshChanges) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #putWorkload(w: Workload): boolean {
    const old = this.#workloads.get(w.uid);
    if (old && isDeepStrictEqual(old, w)) return false;
    this.#removeWorkload(w.uid);
    this.#workloads.set(w.uid, w);
    for (const key of ipKeys(w)) this.#workloadsByIp.add(key, w);
    this.#workloadsByName.add(`${w.namespace}/${w.name}`, w);
    for (const [key, ports] of w.services) {
      const byUid = this.#endpoints.get(key) ?? new Map<string, Endpoint>();
      byUid.set(w.uid, { workload: w, ports });
      this.#endpoints.set(key, byUid);
      this.#usable.delete(key);
    }
    return true;
  }

  #removeWorkload(uid: string): boolean {
    const w = this.#workloads.get(uid);
    if (!w) return false;
    this.#workloads.delete(uid);
    for (const key of ipKeys(w)) this.#workloadsByIp.remove(key, w);
    this.#workloadsByName.remove(`${w.namespace}/${w.name}`, w);
    for (const key of w.services.keys()) {
      const byUid = this.#endpoints.get(key);
      byUid?.delete(uid);
      if (byUid?.size === 0) this.#endpoints.delete(key);
      this.#usable.delete(key);
    }
    return true;
  }

  #putService(s: Service): boolean {
    const key = serviceKey(s);
    const old = this.#services.get(key);
    if (old && isDeepStrictEqual(old, s)) return false;
    const seen = this.#seen.get(key) ?? this.#arrivals++;
    this.#removeService(key);
    this.#seen.set(key, seen);
    this.#services.set(key, s);
    this.#servicesByHostname.add(s.hostname, s);
    for (const vip of s.addresses) {
      this.#servicesByVip.add(vipKey(vip), s);
      this.#countPrefix(vip, 1);
    }
    return true;
  }

  #removeService(key: string): boolean {
    const s = this.#services.get(key);
    if (!s) return false;
    this.#services.delete(key);
    this.#seen.delete(key);
    this.#usable.delete(key);
    this.#servicesByHostname.remove(s.hostname, s);
    for (const vip of s.addresses) {
      this.#servicesByVip.remove(vipKey(vip), s);
      this.#countPrefix(vip, -1);
    }
    return true;
  }

  #countPrefix(vip: NetworkAddress, by: 1 | -1): void {
    if (vip.length === undefined) return;
    const bits = ipToBytes(vip.ip).length * 8;
    const key = `${bits}/${vip.length}/${vip.network}`;
    const count = (this.#prefixes.get(key)?.count ?? 0) + by;
    if (count === 0) this.#prefixes.delete(key);
    else this.#prefixes.set(key, { network: vip.network, bits, length: vip.length, count });
  }

  #putPolicy(p: AuthorizationPolicy): boolean {
    const key = policyKey(p);
    const old = this.#policies.get(key);
    if (old && isDeepStrictEqual(old, p)) return false;
    this.#removePolicy(key);
    this.#policies.set(key, p);
    const scope = scopeKey(p);
    if (scope !== undefined) this.#policiesByScope.add(scope, p);
    return true;
  }

  #removePolicy(key: string): boolean {
    const p = this.#policies.get(key);
    if (!p) return false;
    this.#policies.delete(key);
    const scope = scopeKey(p);
    if (scope !== undefined) this.#policiesByScope.remove(scope, p);
    return true;
  }

  #best(candidates: readonly Service[], clientNamespace: string, preferred?: string): Service | undefined {
    let best: Service | undefined;
    for (const s of candidates) {
      if (s.visibility === 'NAMESPACE' && s.namespace !== clientNamespace) continue;
      if (!best || this.#better(s, best, clientNamespace, preferred)) best = s;
    }
    return best;
  }

  #better(a: Service, b: Service, clientNamespace: string, preferred: string | undefined): boolean {
    const order = (s: Service) => [s.namespace === clientNamespace, s.canonical, s.namespace === preferred];
    const [x, y] = [order(a), order(b)];
    const differing = x.findIndex((wins, i) => wins !== y[i]);
    if (differing >= 0) return x[differing]!;
    return this.#seen.get(serviceKey(a))! < this.#seen.get(serviceKey(b))!;
  }
}

/** Several values a key, in order of insertion. Lists are replaced, never changed, so that a reader may keep one. */
class Index<T> {
  readonly #map = new Map<string, readonly T[]>();

  get(key: string): readonly T[] {
    return this.#map.get(key) ?? [];
  }

  add(key: string, value: T): void {
    const list = this.get(key);
    if (!list.includes(value)) this.#map.set(key, [...list, value]);
  }

  remove(key: string, value: T): void {
    const left = this.get(key).filter((v) => v !== value);
    if (left.length === 0) this.#map.delete(key);
    else this.#map.set(key, left);
  }
}

function rank(w: Workload): number {
  return (w.uid.includes('//Pod/') ? 2 : 0) + (w.tunnelProtocol === 'HBONE' ? 1 : 0);
}

function ipKeys(w: Workload): readonly string[] {
  return w.networkMode === 'HOST_NETWORK' ? [] : w.addresses.map((ip) => `${w.network}/${ip}`);
}

function vipKey(vip: NetworkAddress): string {
  return vip.length === undefined ? `${vip.network}/${vip.ip}` : prefixKey(vip.network, ipToBytes(vip.ip), vip.length);
}

/** Key of the network that `ip` is in, host bits cleared. The length comes first: no address starts like that. */
function prefixKey(network: string, ip: Uint8Array, length: number): string {
  const masked = Buffer.from(ip);
  for (let i = 0; i < masked.length; i++) {
    const bits = Math.min(8, Math.max(0, length - i * 8));
    masked[i]! &= 0xff << (8 - bits);
  }
  return `${network}/${masked.toString('hex')}/${length}`;
}

const globalScope = 'global';
const namespaceScope = (namespace: string) => `namespace ${namespace}`;

/** A workload selector's policy applies by reference only. A global one applies whatever its own namespace. */
function scopeKey(p: AuthorizationPolicy): string | undefined {
  if (p.scope === 'WORKLOAD_SELECTOR') return undefined;
  return p.scope === 'GLOBAL' ? globalScope : namespaceScope(p.namespace);
}
