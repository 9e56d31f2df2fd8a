/** Marks nodes that are not ready or not heard of, and the pods on them; clears pods of nodes that are gone. */
import { isDeepStrictEqual } from 'node:util';
import { type Node, nodeKind, type Pod, podKind } from '../../../../common/kube/kinds/core.ts';
import { kindName } from '../../../../common/kube/names.ts';
import { leaseKind } from '../../../../common/kube/schema/cluster.ts';
import { timestamp } from '../../../../common/kube/timestamp.ts';
import type { Cluster } from '../runtime/cluster.ts';
import { conditionOf, setCondition } from '../runtime/conditions.ts';
import { forEachFew } from '../runtime/every-resource.ts';
import { isReady } from '../runtime/pod-state.ts';
import { unlessGone } from '../runtime/writer.ts';
import { grace, silentConditions, taintsFor } from './lifecycle.ts';

const leases = 'kube-node-lease';

export function nodeController(cluster: Cluster): void {
  const { writer, events, queue } = cluster.desk('node-controller');
  const { clock } = cluster;
  /** When a node was heard of last, by the monotonic clock. */
  const heard = new Map<string, number>();
  const isHeard = (name: string) => {
    heard.set(name, clock.now());
    work.addAfter(`/${name}`, grace + 1000);
  };

  const work = queue(async (key) => {
    const name = key.slice(1);
    const node = cluster.nodes.get('', name);
    if (node === undefined) return clear(name);
    const silentFor = clock.now() - (heard.get(name) ?? clock.now());
    if (silentFor > grace) await silence(node);
    else work.addAfter(key, grace + 1000 - silentFor);
    await taint(name);
    const ready = conditionOf(cluster.nodes.get('', name)?.status?.conditions, 'Ready')?.status;
    if (ready === 'False' || ready === 'Unknown') await forEachFew(cluster.podsOfNode(name), markNotReady);
  });

  async function silence(node: Node): Promise<void> {
    if (conditionOf(node.status?.conditions, 'Ready')?.status === 'Unknown') return;
    const target = { namespace: '', name: node.metadata.name, uid: node.metadata.uid };
    await unlessGone(() =>
      writer.update(
        nodeKind,
        target,
        (object) => {
          const now = timestamp(clock.wall());
          const status = (object['status'] ?? {}) as Record<string, unknown>;
          object['status'] = { ...status, conditions: silentConditions(object as unknown as Node, now) };
          return 'changed';
        },
        'status',
      ),
    );
    const message = `Node ${node.metadata.name} status is now: NodeNotReady`;
    events.record(node, { type: 'Normal', reason: 'NodeNotReady', message });
  }

  async function taint(name: string): Promise<void> {
    const node = cluster.nodes.get('', name);
    if (node === undefined) return;
    const now = timestamp(clock.wall());
    const present = (node.spec as { readonly taints?: readonly unknown[] } | undefined)?.taints;
    const wanted = taintsFor(node, now);
    if (wanted === present || wanted.length + (present?.length ?? 0) === 0) return;
    await unlessGone(() =>
      writer.update(nodeKind, { namespace: '', name, uid: node.metadata.uid }, (object) => {
        const spec = (object['spec'] ?? {}) as Record<string, unknown>;
        const taints = taintsFor(object as unknown as Node, now);
        const { taints: old, ...rest } = spec;
        if (taints === old || (old === undefined && taints.length === 0)) return 'unchanged';
        object['spec'] = taints.length === 0 ? rest : { ...rest, taints };
        return 'changed';
      }),
    );
  }

  /** So that no Service sends anything there. */
  async function markNotReady(pod: Pod): Promise<void> {
    if (!isReady(pod)) return;
    const { namespace = '', name, uid } = pod.metadata;
    await unlessGone(() =>
      writer.update(
        podKind,
        { namespace, name, uid },
        (object) => {
          const status = (object['status'] ?? {}) as NonNullable<Pod['status']>;
          const next = { type: 'Ready', status: 'False' };
          const conditions = setCondition(status.conditions ?? [], next, timestamp(clock.wall()));
          object['status'] = { ...status, conditions };
          return 'changed';
        },
        'status',
      ),
    );
  }

  /** Nobody is there to end the pods of a node that was deleted. */
  async function clear(name: string): Promise<void> {
    heard.delete(name);
    await forEachFew(cluster.podsOfNode(name), async ({ metadata }) => {
      const target = { namespace: metadata.namespace ?? '', name: metadata.name, uid: metadata.uid };
      await writer.delete(podKind, target, { gracePeriodSeconds: 0 });
    });
  }

  cluster.nodes.onChange((current, previous) => {
    const { name } = (current ?? previous)!.metadata;
    if (current === undefined) {
      // It may come back at once, as a kubelet that registers anew.
      work.addAfter(`/${name}`, grace);
      return;
    }
    const [said, before] = [current, previous].map((n) => conditionOf(n?.status?.conditions, 'Ready'));
    // This controller itself says Unknown.
    if (previous === undefined || (said?.status !== 'Unknown' && !isDeepStrictEqual(said, before))) isHeard(name);
    work.add(`/${name}`);
  });
  cluster.feeds.read(kindName(leaseKind), ({ key, deleted }) => {
    if (key.namespace === leases && !deleted) isHeard(key.name);
  });
}
