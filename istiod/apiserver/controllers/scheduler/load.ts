/** What runs on each node, kept as pods come and go: a decision need not look at all pods. */
import type { Pod } from '../../../../common/kube/kinds/core.ts';
import { isFinished } from '../runtime/pod-state.ts';
import { type Resources, requestsOf } from './fit.ts';

interface Placed {
  readonly node: string;
  readonly requests: Resources;
  readonly owner: string;
}

export class NodeLoad {
  readonly #pods = new Map<string, Placed>();
  readonly #used = new Map<string, Record<string, number>>();
  readonly #ofOwner = new Map<string, Map<string, number>>();

  /** As a pod is now; undefined: gone. Of a pod that has just been decided about, `node` is where it will be. */
  see(uid: string, pod: Pod | undefined, node = pod?.spec.nodeName ?? ''): void {
    const old = this.#pods.get(uid);
    if (old !== undefined) this.#count(old, -1);
    this.#pods.delete(uid);
    if (pod === undefined || node === '' || isFinished(pod)) return;
    const owner = pod.metadata.ownerReferences?.find((o) => o.controller)?.uid ?? '';
    const placed = { node, requests: requestsOf(pod.spec), owner };
    this.#pods.set(uid, placed);
    this.#count(placed, 1);
  }

  used(node: string): Resources {
    return this.#used.get(node) ?? {};
  }

  /** Pods of the same owner. */
  siblings(node: string, owner: string): number {
    return this.#ofOwner.get(owner)?.get(node) ?? 0;
  }

  #count({ node, requests, owner }: Placed, sign: 1 | -1): void {
    const used = this.#used.get(node) ?? {};
    this.#used.set(node, used);
    for (const [name, amount] of Object.entries(requests)) used[name] = (used[name] ?? 0) + sign * amount;
    if (owner === '') return;
    const nodes = this.#ofOwner.get(owner) ?? new Map<string, number>();
    this.#ofOwner.set(owner, nodes);
    const count = (nodes.get(node) ?? 0) + sign;
    if (count === 0) nodes.delete(node);
    else nodes.set(node, count);
    if (nodes.size === 0) this.#ofOwner.delete(owner);
  }
}
