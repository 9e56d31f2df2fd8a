/** Starts a runner for every pod that the scheduler gave to a node, and ends those whose object is ending or gone. */
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { EventRecorder } from '../../common/kube/event-recorder.ts';
import { keyOf } from '../../common/kube/informer.ts';
import { type Pod, podKind } from '../../common/kube/kinds/core.ts';
import type { PodRef } from '../../common/kube/kubelet/requests.ts';
import { NumberPool, podAddress } from '../addresses.ts';
import type { LabNode, Runtime } from '../daemon/runtime.ts';
import { planPod } from '../manifest/pod-plan.ts';
import { Problems } from '../manifest/problems.ts';
import type { ProberClient } from '../prober/client.ts';
import { isEnding } from './conditions.ts';
import { nodeEvents } from './events.ts';
import { PodRunner } from './pod-runner.ts';
import { Refusals } from './refusals.ts';

/** Pods that the lab runs in another way: the mesh's programs on nodes. */
export const programLabel = 'aquifer.dev/lab-program';

interface Entry {
  readonly runner: PodRunner;
  readonly node: LabNode;
  readonly pod: Pod;
  readonly host: number | undefined;
  ending: Promise<void> | undefined;
}

export class PodManager {
  readonly #runtime: Runtime;
  readonly #nodes: readonly LabNode[];
  readonly #probers: ReadonlyMap<string, ProberClient>;
  readonly #pools: ReadonlyMap<string, NumberPool>;
  readonly #entries = new Map<string, Entry>();
  readonly #events: ReadonlyMap<string, EventRecorder>;
  readonly #refusals: Refusals;
  /** Runs before the processes of an ending pod get their signal. */
  readonly #beforeEnd: () => Promise<void>;

  constructor(
    runtime: Runtime,
    nodes: readonly LabNode[],
    probers: ReadonlyMap<string, ProberClient>,
    beforeEnd: () => Promise<void>,
  ) {
    this.#runtime = runtime;
    this.#refusals = new Refusals(runtime);
    this.#nodes = nodes;
    this.#probers = probers;
    this.#beforeEnd = beforeEnd;
    this.#events = new Map(nodes.map((n) => [n.name, nodeEvents(runtime, n.name)]));
    // .1 stays free, as a gateway's place.
    this.#pools = new Map(nodes.map((n) => [n.name, new NumberPool(2, 254)]));
  }

  async reconcile(): Promise<void> {
    const { cluster } = this.#runtime;
    const pods = [...cluster.pods.objects.values()].filter((p) => this.#nodeOf(p) !== undefined);
    const byUid = new Map(pods.map((p) => [p.metadata.uid, p]));
    for (const [uid, entry] of this.#entries) {
      const pod = byUid.get(uid);
      if (pod !== undefined) entry.runner.update(pod);
      if (pod === undefined || isEnding(pod)) entry.ending ??= this.#end(uid, entry);
    }
    this.#refusals.keep(byUid);
    for (const pod of pods) {
      if (this.#entries.has(pod.metadata.uid)) continue;
      if (isEnding(pod)) await this.#deleteObject(pod);
      else await this.#start(pod, this.#nodeOf(pod)!);
    }
  }

  /** A pod that runs on the node. */
  find(node: string, pod: PodRef): PodRunner | undefined {
    const entry = this.#entries.get(pod.uid);
    const { name, namespace } = entry?.pod.metadata ?? {};
    return entry?.node.name === node && name === pod.name && namespace === pod.namespace ? entry.runner : undefined;
  }

  async refreshVolumes(): Promise<void> {
    await Promise.all([...this.#entries.values()].map((e) => e.runner.refreshVolumes()));
  }

  /** undefined: it is not for this lab's kubelets to run. */
  #nodeOf(pod: Pod): LabNode | undefined {
    if (pod.metadata.labels?.[programLabel] !== undefined) return undefined;
    return this.#nodes.find((n) => n.name === pod.spec.nodeName);
  }

  async #start(pod: Pod, node: LabNode): Promise<void> {
    const problems = new Problems();
    const plan = planPod(pod.spec, 'spec', problems);
    if (problems.found.length > 0) return this.#refusals.tell(pod, this.#events.get(node.name)!, problems.found);
    const host = plan.hostNetwork ? undefined : this.#pools.get(node.name)!.take();
    const runner = new PodRunner({
      runtime: this.#runtime,
      node,
      prober: this.#probers.get(node.name)!,
      events: this.#events.get(node.name)!,
      pod,
      plan,
      addresses: host === undefined ? undefined : podAddress(node.index, host),
    });
    this.#refusals.forget(pod.metadata.uid);
    this.#entries.set(pod.metadata.uid, { runner, node, pod, host, ending: undefined });
  }

  async #end(uid: string, entry: Entry): Promise<void> {
    try {
      await this.#beforeEnd();
      await entry.runner.end();
      await this.#deleteObject(entry.pod);
    } catch (e) {
      this.#runtime.log.error('a pod cannot be ended', { pod: keyOf(entry.pod.metadata), error: describeError(e) });
    } finally {
      if (entry.host !== undefined) this.#pools.get(entry.node.name)!.release(entry.host);
      this.#entries.delete(uid);
    }
  }

  /** At once: nothing holds it any more. */
  async #deleteObject(pod: Pod): Promise<void> {
    const key = { namespace: pod.metadata.namespace ?? 'default', name: pod.metadata.name };
    const now = this.#runtime.cluster.pods.get(key);
    if (now === undefined || now.metadata.uid !== pod.metadata.uid) return;
    const options = { gracePeriodSeconds: 0, uid: pod.metadata.uid };
    await this.#runtime.cluster.source.delete(podKind, key, options).catch((e: unknown) => {
      // Another one of this name is there already.
      if (!(e instanceof MeshError) || e.code !== 'CONFLICT') throw e;
    });
  }
}
