/** Gives each Node a part of the ranges of pods: the same number in each family. */
import { nodeKind } from '../../../../common/kube/kinds/core.ts';
import type { AddressRange } from '../runtime/address-range.ts';
import type { Cluster } from '../runtime/cluster.ts';
import { unlessGone } from '../runtime/writer.ts';

/** Prefix lengths of a node's part. */
const lengths = { IPv4: 24, IPv6: 64 } as const;

/** `ranges`: one a family, the usual one first. */
export function podCidrController(cluster: Cluster, ranges: readonly AddressRange[]): void {
  const { writer, events, queue } = cluster.desk('node-ipam-controller');

  // One at a time: two would find the same free number.
  const work = queue(
    async (key) => {
      const name = key.slice(1);
      const node = cluster.nodes.get('', name);
      if (node === undefined || node.spec?.podCIDR !== undefined) return;
      const used = new Set([...cluster.nodes.values()].flatMap((n) => indexesOf(n.spec?.podCIDRs ?? [], ranges)));
      const podCIDRs = freeSubnets(used, ranges);
      if (podCIDRs === undefined) {
        events.record(node, {
          type: 'Warning',
          reason: 'CIDRNotAvailable',
          message: `Node ${name} status is now: CIDRNotAvailable`,
        });
        work.addAfter(key, 60_000);
        return;
      }
      await unlessGone(() =>
        writer.update(nodeKind, { namespace: '', name, uid: node.metadata.uid }, (object) => {
          const spec = (object['spec'] ?? {}) as Record<string, unknown>;
          if (spec['podCIDR'] !== undefined) return 'unchanged';
          object['spec'] = { ...spec, podCIDR: podCIDRs[0], podCIDRs: [...podCIDRs] };
          return 'changed';
        }),
      );
    },
    { parallel: 1 },
  );

  cluster.nodes.onChange((current) => {
    if (current !== undefined && current.spec?.podCIDR === undefined) work.add(`/${current.metadata.name}`);
  });
}

/** Numbers of the parts that a node has. */
function indexesOf(cidrs: readonly string[], ranges: readonly AddressRange[]): readonly number[] {
  return cidrs.flatMap((cidr) => ranges.flatMap((range) => range.indexOfSubnet(cidr) ?? []));
}

/** The first number from 1 on that is free in all ranges: part 0 would begin with the name of the whole range. */
export function freeSubnets(used: ReadonlySet<number>, ranges: readonly AddressRange[]): readonly string[] | undefined {
  for (let index = 1; ; index++) {
    if (used.has(index)) continue;
    const subnets = ranges.map((range) => range.subnet(index, lengths[range.family]));
    if (subnets.includes(undefined)) return undefined;
    return subnets as readonly string[];
  }
}
