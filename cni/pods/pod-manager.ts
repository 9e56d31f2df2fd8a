/** All pods of this node: from their objects, and those of their namespaces, to one PodEnrolment each. */

import { MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { createInformer, type Informer, keyOf } from '../../common/kube/informer.ts';
import { type Namespace, namespaceKind, type Pod, podKind } from '../../common/kube/kinds/core.ts';
import type { SteeringTargets } from '../capture/types.ts';
import { decideEnrolment } from '../enrolment.ts';
import type { SnapshotEntry } from '../zds/server.ts';
import { type EnrolmentOptions, PodEnrolment } from './pod-enrolment.ts';

export interface PodManagerOptions extends EnrolmentOptions {
  readonly nodeName: string;
  readonly excludedNamespaces: ReadonlySet<string>;
  readonly signal: AbortSignal;
}

export class PodManager {
  readonly #options: PodManagerOptions;
  readonly #log: Logger;
  /** By UID; also those that are gone, until they have been cleaned up. */
  readonly #pods = new Map<string, PodEnrolment>();
  readonly #synced = Promise.withResolvers<void>();
  #namespaces: Informer<Namespace> | undefined;
  #isSynced = false;

  constructor(options: PodManagerOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  /** Until both kinds have been listed nothing is decided: an unseen namespace would look like one that left the mesh. */
  async start(): Promise<void> {
    const { kube, clock, log, signal } = this.#options;
    const shared = { source: kube, clock, log, signal };
    this.#namespaces = createInformer({
      ...shared,
      kind: namespaceKind,
      handlers: {
        added: (namespace) => this.#namespaceChanged(namespace),
        modified: (namespace) => this.#namespaceChanged(namespace),
        deleted: (namespace) => this.#namespaceChanged(namespace),
      },
    });
    await this.#namespaces.synced;
    const pods = createInformer({
      ...shared,
      kind: podKind,
      handlers: {
        added: (pod) => this.#podChanged(pod),
        modified: (pod, previous) => {
          // Deleted and made anew while nobody looked.
          if (previous.metadata.uid !== pod.metadata.uid) this.#pods.get(previous.metadata.uid)?.remove();
          this.#podChanged(pod);
        },
        deleted: (pod) => this.#pods.get(pod.metadata.uid)?.remove(),
      },
    });
    await pods.synced;
    this.#isSynced = true;
    this.#synced.resolve();
  }

  get synced(): boolean {
    return this.#isSynced;
  }

  /** How many pods are in each state, for metrics. */
  states(): Readonly<Record<PodEnrolment['state'], number>> {
    const counts = { out: 0, entering: 0, enrolled: 0, leaving: 0, gone: 0 };
    for (const pod of this.#pods.values()) counts[pod.state]++;
    return counts;
  }

  /** See ZdsServerOptions. */
  async snapshot(): Promise<readonly string[]> {
    await this.#synced.promise;
    return [...this.#pods.keys()];
  }

  snapshotEntry(uid: string): SnapshotEntry | undefined {
    return this.#pods.get(uid)?.snapshotEntry();
  }

  newestZtunnel(ready: boolean): void {
    for (const pod of this.#pods.values()) {
      if (ready) pod.wake();
      else pod.ztunnelChanged();
    }
  }

  /** Throws when this pod cannot be captured. */
  steer(uid: string, targets: SteeringTargets): void {
    const pod = this.#pods.get(uid);
    if (pod === undefined) throw new MeshError('NOT_FOUND', `no pod of node ${this.#options.nodeName} has UID ${uid}`);
    pod.steer(targets);
  }

  /** Where the kernel does not tell when a pod's last process ends. */
  checkNamespaces(): void {
    for (const pod of this.#pods.values()) pod.checkNetns();
  }

  /** Leaves all capture standing. */
  stop(): void {
    for (const pod of this.#pods.values()) pod.stop();
  }

  #podChanged(pod: Pod): void {
    if (pod.spec.nodeName !== this.#options.nodeName) return;
    const { uid } = pod.metadata;
    let enrolment = this.#pods.get(uid);
    if (enrolment === undefined) {
      const captured = this.#options.capture.enrolled().includes(uid);
      enrolment = new PodEnrolment(this.#options, pod, captured, () => this.#pods.delete(uid));
      this.#pods.set(uid, enrolment);
    }
    const decision = decideEnrolment(
      pod,
      this.#namespaces!.get({ name: pod.metadata.namespace ?? '' }),
      this.#options.excludedNamespaces,
    );
    if (decision.kind === 'leave-alone') {
      this.#log.trace('pod is not in the mesh', { pod: keyOf(pod.metadata), reason: decision.reason });
    }
    enrolment.update(pod, decision.kind === 'enrol');
  }

  #namespaceChanged({ metadata }: Namespace): void {
    for (const { pod, exists } of [...this.#pods.values()]) {
      if (exists && pod.metadata.namespace === metadata.name) this.#podChanged(pod);
    }
  }
}
