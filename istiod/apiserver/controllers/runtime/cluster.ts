/** What all controllers share: the objects, which are kept once, and the ways to write and to wait. */
import type { Clock } from '../../../../common/core/clock.ts';
import type { Logger } from '../../../../common/core/log.ts';
import type { EventRecorder } from '../../../../common/kube/event-recorder.ts';
import { type Deployment, deploymentKind } from '../../../../common/kube/kinds/apps.ts';
import {
  type Namespace,
  type Node,
  namespaceKind,
  nodeKind,
  type Pod,
  podKind,
  type Service,
  serviceKind,
} from '../../../../common/kube/kinds/core.ts';
import { kindName } from '../../../../common/kube/names.ts';
import { daemonSetKind, jobKind, replicaSetKind, statefulSetKind } from '../../../../common/kube/schema/workloads.ts';
import type { Kind, KubeObject } from '../../../../common/kube/types.ts';
import type { Registry } from '../../resources/registry.ts';
import type { Rest } from '../../rest/rest.ts';
import type { PodDisruptionBudget } from '../pods/disruption.ts';
import type { DaemonSet, Job, ReplicaSet, StatefulSet } from '../types.ts';
import { Collection, type CollectionOptions } from './collection.ts';
import { eventRecorder } from './events.ts';
import { Feeds } from './feed.ts';
import { slimPod } from './slim.ts';
import { WorkQueue, type WorkQueueOptions } from './work-queue.ts';
import { Writer } from './writer.ts';

export const budgetKind: Kind<PodDisruptionBudget> = {
  group: 'policy',
  version: 'v1',
  kind: 'PodDisruptionBudget',
  plural: 'poddisruptionbudgets',
  namespaced: true,
};

export const claimKind: Kind = {
  group: '',
  version: 'v1',
  kind: 'PersistentVolumeClaim',
  plural: 'persistentvolumeclaims',
  namespaced: true,
};

export interface ClusterOptions {
  readonly rest: Rest;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: (target: string) => Logger;
}

/** A controller's own means. */
export interface Desk {
  readonly writer: Writer;
  readonly events: EventRecorder;
  readonly log: Logger;
  queue(handle: (key: string) => Promise<void>, options?: Pick<WorkQueueOptions, 'parallel' | 'rest'>): WorkQueue;
}

export class Cluster {
  readonly rest: Rest;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly feeds: Feeds;
  readonly namespaces: Collection<Namespace>;
  readonly nodes: Collection<Node>;
  /** Without what no controller reads: see `slimPod`. */
  readonly pods: Collection<Pod>;
  readonly services: Collection<Service>;
  readonly replicaSets: Collection<ReplicaSet>;
  readonly deployments: Collection<Deployment>;
  readonly daemonSets: Collection<DaemonSet>;
  readonly statefulSets: Collection<StatefulSet>;
  readonly jobs: Collection<Job>;
  readonly budgets: Collection<PodDisruptionBudget>;
  readonly budgetsOf: (namespace: string) => readonly PodDisruptionBudget[];
  /** By the uid of the controller among their owners. */
  readonly podsOfOwner: (uid: string) => readonly Pod[];
  readonly podsOfNode: (name: string) => readonly Pod[];
  /** Pods of a namespace that nothing controls. */
  readonly orphanPods: (namespace: string) => readonly Pod[];
  readonly podsOfNamespace: (name: string) => readonly Pod[];
  readonly #log: (target: string) => Logger;
  readonly #queues: WorkQueue[] = [];

  constructor({ rest, registry, clock, log }: ClusterOptions) {
    this.rest = rest;
    this.registry = registry;
    this.clock = clock;
    this.#log = log;
    this.feeds = new Feeds(rest.store);
    this.namespaces = this.collection(namespaceKind);
    this.nodes = this.collection(nodeKind);
    this.pods = this.collection(podKind, { project: slimPod });
    this.services = this.collection(serviceKind);
    this.replicaSets = this.collection(replicaSetKind as Kind<ReplicaSet>);
    this.deployments = this.collection(deploymentKind);
    this.daemonSets = this.collection(daemonSetKind as Kind<DaemonSet>);
    this.statefulSets = this.collection(statefulSetKind as Kind<StatefulSet>);
    this.jobs = this.collection(jobKind as Kind<Job>);
    this.budgets = this.collection(budgetKind);
    this.budgetsOf = this.budgets.index((b) => [b.metadata.namespace ?? '']);
    this.podsOfOwner = this.pods.index((p) => controllerOf(p) ?? []);
    this.podsOfNode = this.pods.index((p) => (p.spec.nodeName ? [p.spec.nodeName] : []));
    this.orphanPods = this.pods.index((p) => (controllerOf(p).length > 0 ? [] : [p.metadata.namespace ?? '']));
    this.podsOfNamespace = this.pods.index((p) => [p.metadata.namespace ?? '']);
  }

  collection<T extends KubeObject>(kind: Kind<T>, options: Omit<CollectionOptions<T>, 'resource'> = {}): Collection<T> {
    return new Collection(this.feeds, { resource: kindName(kind), ...options });
  }

  /** `component` as events and managed fields name it: `deployment-controller`. */
  desk(component: string): Desk {
    const log = this.#log(component);
    const writer = new Writer(this.rest, this.registry, component);
    return {
      writer,
      log,
      events: eventRecorder(writer, component, this.clock, log),
      queue: (handle, options = {}) => {
        const queue = new WorkQueue({ clock: this.clock, log, handle, ...options });
        this.#queues.push(queue);
        return queue;
      },
    };
  }

  /** Work begins; until then queues only collect it. */
  start(signal: AbortSignal): void {
    for (const queue of this.#queues) queue.start(signal);
    signal.addEventListener('abort', () => this.feeds.close(), { once: true });
  }
}

/** The uid of the owner that controls an object, as a list of none or one. */
export function controllerOf({ metadata }: KubeObject): readonly string[] {
  const owner = metadata.ownerReferences?.find((o) => o.controller);
  return owner === undefined ? [] : [owner.uid];
}
