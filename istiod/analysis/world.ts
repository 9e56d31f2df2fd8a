/** What is analyzed: objects of files, of a cluster, or of both. Pure. */
import type { Deployment } from '../../common/kube/kinds/apps.ts';
import { deploymentKind } from '../../common/kube/kinds/apps.ts';
import { podKind, type Service, serviceKind } from '../../common/kube/kinds/core.ts';
import { type ServiceEntry, serviceEntryKind } from '../../common/kube/kinds/istio/service-entry.ts';
import { workloadEntryKind } from '../../common/kube/kinds/istio/workload-entry.ts';
import { kindName, namespaceOf } from '../../common/kube/names.ts';
import { findKind } from '../../common/kube/schema/table.ts';
import type { Kind, KubeObject } from '../../common/kube/types.ts';
import { type Labels, selects } from '../model/selector.ts';
import type { SortName } from './codes.ts';

export interface Message {
  readonly sort: SortName;
  readonly object: KubeObject;
  /** `spec.hosts[0]`. */
  readonly field?: string;
  readonly text: string;
}

export type Analyzer = (world: World) => readonly Message[];

export interface Workload {
  readonly namespace: string;
  readonly labels: Labels;
}

export class World {
  /** Suffix of service names. */
  readonly domain: string;
  readonly rootNamespace: string;
  /** Kinds that are known in full: what is not there of them is not there. */
  readonly #complete: ReadonlySet<string>;
  readonly #objects = new Map<string, KubeObject[]>();

  constructor(
    objects: readonly KubeObject[],
    complete: ReadonlySet<string>,
    { domain = 'cluster.local', rootNamespace = 'istio-system' } = {},
  ) {
    this.domain = domain;
    this.rootNamespace = rootNamespace;
    this.#complete = complete;
    for (const object of objects) {
      const entry = findKind(object.apiVersion, object.kind);
      if (entry === undefined) continue;
      const name = kindName(entry.kind);
      const list = this.#objects.get(name);
      if (list === undefined) this.#objects.set(name, [object]);
      else list.push(object);
    }
  }

  all<T extends KubeObject>(kind: Kind<T>): readonly T[] {
    return (this.#objects.get(kindName(kind)) ?? []) as T[];
  }

  get<T extends KubeObject>(kind: Kind<T>, namespace: string, name: string): T | undefined {
    return this.all(kind).find((o) => namespaceOf(o) === namespace && o.metadata.name === name);
  }

  knowsAll(kind: Kind): boolean {
    return this.#complete.has(kindName(kind));
  }

  /** Pods, what Deployments would make, and WorkloadEntries. */
  get workloads(): readonly Workload[] {
    return [
      ...this.all(podKind).map((pod) => ({ namespace: namespaceOf(pod), labels: pod.metadata.labels ?? {} })),
      ...this.all(deploymentKind).map((deployment: Deployment) => ({
        namespace: namespaceOf(deployment),
        labels: deployment.spec.template.metadata?.labels ?? {},
      })),
      ...this.all(workloadEntryKind).map((entry) => ({
        namespace: namespaceOf(entry),
        labels: entry.spec.labels ?? {},
      })),
    ];
  }

  /** In the namespace, or for the root namespace anywhere. */
  isSelected(labels: Labels, namespace: string): boolean {
    return this.workloads.some(
      (w) => (namespace === this.rootNamespace || w.namespace === namespace) && selects(labels, w.labels),
    );
  }

  /** Full name of a host as an object of `namespace` writes it. */
  fullName(host: string, namespace: string): string {
    const text = host.toLowerCase().replace(/\.$/, '');
    if (text.includes('*')) return text;
    const parts = text.split('.');
    if (parts.length === 1) return `${text}.${namespace}.svc.${this.domain}`;
    const [name, ns, svc] = parts;
    const isShort = parts.length === 2 || (parts.length === 3 && svc === 'svc');
    return isShort && this.get(serviceKind, ns!, name!) !== undefined ? `${name}.${ns}.svc.${this.domain}` : text;
  }

  /** The Service or ServiceEntry behind a full name that `namespace` sees. */
  serviceOf(fullName: string, namespace: string): Service | ServiceEntry | undefined {
    const suffix = `.svc.${this.domain}`;
    if (fullName.endsWith(suffix)) {
      const [name = '', ns = ''] = fullName.slice(0, -suffix.length).split('.');
      const service = this.get(serviceKind, ns, name);
      if (service !== undefined) return service;
    }
    return this.all(serviceEntryKind).find(
      (entry) =>
        sees(entry.spec.exportTo, namespaceOf(entry), namespace) && entry.spec.hosts.some((h) => covers(h, fullName)),
    );
  }

  /** A host of a cluster is only missing where all Services are known; another one where nobody else could tell. */
  canTell(fullName: string): boolean {
    return fullName.endsWith(`.svc.${this.domain}`)
      ? this.knowsAll(serviceKind) || this.all(serviceKind).length > 0
      : this.knowsAll(serviceEntryKind);
  }
}

/** `exportTo` of an object of `owner`, asked by `viewer`. Default: all see it. */
export function sees(exportTo: readonly string[] | undefined, owner: string, viewer: string): boolean {
  if (exportTo === undefined || exportTo.length === 0) return true;
  return exportTo.some((e) => e === '*' || e === viewer || (e === '.' && owner === viewer));
}

/** `*.example.com` covers `a.example.com` and `*.a.example.com`. */
export function covers(pattern: string, name: string): boolean {
  const [p, n] = [pattern.toLowerCase(), name.toLowerCase()];
  if (p === n || p === '*') return true;
  return p.startsWith('*') && n.replace(/^\*/, '').endsWith(p.slice(1));
}
