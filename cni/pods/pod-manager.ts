/** All pods of this node: from their objects, and those of their namespaces, to one PodEnrolment each. */
import { type Fd, type Millis, millis, type NetnsCookie } from '../../common/core/brand.ts';
import { sleep, type Timer } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { createInformer, type Informer, keyOf } from '../../common/kube/informer.ts';
import { type Namespace, namespaceKind, type Pod, podKind } from '../../common/kube/kinds/core.ts';
import type { CapturedPod, SteeringTargets } from '../capture/types.ts';
import { decideEnrolment } from '../enrolment.ts';
import type { PluginEvent } from '../plugin-server/event.ts';
import { outsideNamespaces } from '../plugin-server/outside.ts';
import type { PluginHandlers } from '../plugin-server/server.ts';
import { takesSameNodePath } from '../same-node.ts';
import type { SnapshotEntry } from '../zds/server.ts';
import { type EnrolmentOptions, PodEnrolment } from './pod-enrolment.ts';

export interface PodManagerOptions extends EnrolmentOptions {
  readonly nodeName: string;
  readonly excludedNamespaces: ReadonlySet<string>;
  readonly signal: AbortSignal;
  /** The namespaces in which no pod belongs to the mesh, after every change that may concern them. */
  readonly onOutside: (namespaces: readonly string[]) => void;
  /** Whether a pod of this node takes part in the same-node path has changed; it does not before the first call. */
  readonly onSameNode: (uid: string, takesPart: boolean) => void;
}

/** How long the CNI plugin's call waits for the pod's object, and then for its capture. The plugin itself gives up after 30 s. */
const objectWait = millis(5_000);
const captureWait = millis(15_000);
/** Between two looks for an object that is not there yet. */
const lookAgain = millis(10);
/** Changes of pods come in bursts. */
const outsideDelay = millis(50);

export class PodManager implements PluginHandlers {
  readonly #options: PodManagerOptions;
  readonly #log: Logger;
  /** By UID; also those that are gone, until they have been cleaned up. */
  readonly #pods = new Map<string, PodEnrolment>();
  /** Those that take part in the same-node path. */
  readonly #sameNode = new Set<string>();
  /** No pod belongs to the mesh any more. */
  #retired = false;
  readonly #synced = Promise.withResolvers<void>();
  #namespaces: Informer<Namespace> | undefined;
  #objects: Informer<Pod> | undefined;
  #outside: Timer | undefined;
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
          if (previous.metadata.uid !== pod.metadata.uid) {
            this.#takesPart(previous.metadata.uid, false);
            this.#pods.get(previous.metadata.uid)?.remove();
          }
          this.#podChanged(pod);
        },
        deleted: (pod) => {
          this.#membershipChanged();
          this.#takesPart(pod.metadata.uid, false);
          this.#pods.get(pod.metadata.uid)?.remove();
        },
      },
    });
    this.#objects = pods;
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

  /** Takes every pod out of the mesh, as when its label goes. Resolves when all are out; the signal ends the wait. */
  async retire(signal: AbortSignal): Promise<void> {
    await this.#synced.promise;
    this.#retired = true;
    for (const { pod, exists } of [...this.#pods.values()]) if (exists) this.#podChanged(pod);
    const isOut = ({ state }: PodEnrolment) => state === 'out';
    while (!signal.aborted && ![...this.#pods.values()].every(isOut))
      await sleep(this.#options.clock, lookAgain, signal);
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

  /** There is one more proxy whose connections are not to be captured: with fixed ports that is said in each pod's rules. */
  proxyAdded(): void {
    for (const pod of this.#pods.values()) pod.refreshRules();
  }

  /** There is such a pod on this node, or it is not cleaned up yet. */
  knows(uid: string): boolean {
    return this.#pods.has(uid);
  }

  get sameNode(): readonly string[] {
    return [...this.#sameNode];
  }

  /** A pod that takes part in the same-node path, as it is captured now. */
  direct(uid: string): CapturedPod | undefined {
    return this.#sameNode.has(uid) ? this.#pods.get(uid)?.captured : undefined;
  }

  /** Of a pod that is captured; stays this manager's. */
  netnsOf(cookie: NetnsCookie): Fd | undefined {
    for (const { captured } of this.#pods.values()) if (captured?.cookie === cookie) return captured.netns;
    return undefined;
  }

  /** Throws when this pod cannot be captured. */
  steer(uid: string, targets: SteeringTargets): void {
    const pod = this.#pods.get(uid);
    if (pod === undefined) throw new MeshError('NOT_FOUND', `no pod of node ${this.#options.nodeName} has UID ${uid}`);
    pod.steer(targets);
  }

  async add(event: PluginEvent): Promise<void> {
    const enrolment = await this.#belonging(event);
    if (enrolment === undefined) return;
    const found = this.#options.kernel.open(event.netns);
    if (found.kind === 'absent') throw new MeshError('NOT_FOUND', found.reason);
    const late = this.#late(captureWait);
    try {
      await enrolment.enter(found.netns, event.ips, late.signal);
    } finally {
      late.cancel();
    }
  }

  async del({ uid, namespace, name, netns }: PluginEvent): Promise<void> {
    for (const enrolment of [...this.#pods.values()]) {
      const { metadata } = enrolment.pod;
      const same =
        uid === undefined ? metadata.namespace === namespace && metadata.name === name : metadata.uid === uid;
      if (same) enrolment.exit(netns === '' ? undefined : netns);
    }
  }

  async check(event: PluginEvent): Promise<void> {
    const enrolment = await this.#belonging(event);
    if (enrolment === undefined) return;
    const found = this.#options.kernel.open(event.netns);
    const fault = found.kind === 'absent' ? found.reason : enrolment.fault(found.netns);
    if (found.kind === 'found') this.#options.kernel.close(found.netns.fd);
    if (fault !== undefined) throw new MeshError('NOT_FOUND', fault);
  }

  /** Where the kernel does not tell when a pod's last process ends. */
  checkNamespaces(): void {
    for (const pod of this.#pods.values()) pod.checkNetns();
  }

  /** Leaves all capture standing. */
  stop(): void {
    this.#outside?.cancel();
    for (const pod of this.#pods.values()) pod.stop();
  }

  /** The pod that an event is about, when it belongs to the mesh; undefined when not. MeshError NOT_FOUND when nobody knows it. */
  async #belonging(event: PluginEvent): Promise<PodEnrolment | undefined> {
    const { namespace, name, uid } = event;
    if (this.#retired || this.#options.excludedNamespaces.has(namespace)) return undefined;
    const late = this.#late(objectWait);
    try {
      await Promise.race([
        this.#synced.promise,
        new Promise((resolve) => late.signal.addEventListener('abort', resolve)),
      ]);
      while (!late.signal.aborted) {
        const known = await this.#known(event);
        if (known !== undefined) return known.belongs ? this.#pods.get(known.pod.metadata.uid) : undefined;
        await sleep(this.#options.clock, lookAgain, late.signal);
      }
    } finally {
      late.cancel();
    }
    const which = uid === undefined ? '' : ` with UID ${uid}`;
    throw new MeshError('NOT_FOUND', `node ${this.#options.nodeName} knows no pod ${namespace}/${name}${which}`);
  }

  /** Asks the source, for what is in memory may be behind; undefined until both agree on the pod and on its namespace. */
  async #known({ namespace, name, uid }: PluginEvent): Promise<{ pod: Pod; belongs: boolean } | undefined> {
    const { kube } = this.#options;
    const fresh = await kube.get(namespaceKind, { name: namespace });
    const seen = this.#namespaces?.get({ name: namespace });
    const pod = this.#objects?.get({ namespace, name });
    if (pod === undefined || fresh?.metadata.resourceVersion !== seen?.metadata.resourceVersion) return undefined;
    const same = uid === undefined ? pod.metadata.deletionTimestamp === undefined : pod.metadata.uid === uid;
    if (!same || pod.spec.nodeName !== this.#options.nodeName) return undefined;
    return { pod, belongs: decideEnrolment(pod, seen, this.#options.excludedNamespaces).kind === 'enrol' };
  }

  #late(after: Millis): { readonly signal: AbortSignal; cancel(): void } {
    const abort = new AbortController();
    const timer = this.#options.clock.after(after, () => abort.abort());
    return { signal: AbortSignal.any([abort.signal, this.#options.signal]), cancel: () => timer.cancel() };
  }

  #membershipChanged(): void {
    this.#outside ??= this.#options.clock.after(outsideDelay, () => {
      this.#outside = undefined;
      if (!this.#isSynced) return this.#membershipChanged();
      this.#options.onOutside(outsideNamespaces(this.#namespaces!.objects.values(), this.#objects!.objects.values()));
    });
  }

  #podChanged(pod: Pod): void {
    this.#membershipChanged();
    if (pod.spec.nodeName !== this.#options.nodeName) return;
    const { uid } = pod.metadata;
    let enrolment = this.#pods.get(uid);
    if (enrolment === undefined) {
      const captured = this.#options.capture.enrolled().includes(uid);
      enrolment = new PodEnrolment(this.#options, pod, captured, () => this.#pods.delete(uid));
      this.#pods.set(uid, enrolment);
    }
    const namespace = this.#namespaces!.get({ name: pod.metadata.namespace ?? '' });
    const decision = decideEnrolment(pod, namespace, this.#options.excludedNamespaces);
    if (decision.kind === 'leave-alone') {
      this.#log.trace('pod is not in the mesh', { pod: keyOf(pod.metadata), reason: decision.reason });
    }
    const belongs = decision.kind === 'enrol' && !this.#retired;
    enrolment.update(pod, belongs);
    this.#takesPart(uid, belongs && takesSameNodePath(pod, namespace));
  }

  #takesPart(uid: string, takesPart: boolean): void {
    if (this.#sameNode.has(uid) === takesPart) return;
    if (takesPart) this.#sameNode.add(uid);
    else this.#sameNode.delete(uid);
    this.#options.onSameNode(uid, takesPart);
  }

  #namespaceChanged({ metadata }: Namespace): void {
    this.#membershipChanged();
    for (const { pod, exists } of [...this.#pods.values()]) {
      if (exists && pod.metadata.namespace === metadata.name) this.#podChanged(pod);
    }
  }
}
