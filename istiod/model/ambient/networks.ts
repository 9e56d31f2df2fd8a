/** The gateways to other networks, as workloads and as ways. */
import type { Derived } from '../graph/graph.ts';
import { gatewayWorkload, inOrder, type Way, waysOf } from '../network.ts';
import { resourceOfAddress } from '../resource.ts';
import type { Context, Output } from './context.ts';

export interface Networks {
  /** By network. */
  readonly table: Derived<Output>;
  /** undefined for the cluster's own network, and where none leads. */
  to(network: string): Way | undefined;
  /** Marks the keys of what is in a network when its gateways change. */
  watch<T>(derived: Derived<T>, inNetwork: (network: string) => Iterable<string>): void;
}

export function deriveNetworks({ graph, inputs, settings }: Context): Networks {
  const ways = graph
    .derive('gateway of a network', (key) => {
      const [own, other] = [inputs.gateways.get(key), inputs.remoteGateways.get(key)];
      const found = own ? waysOf(own, own) : other ? waysOf(other) : [];
      return found.length === 0 ? undefined : found;
    })
    .after(inputs.gateways, (_, key) => [key])
    .after(inputs.remoteGateways, (_, key) => [key]);
  const byNetwork = ways.index((some) => [...new Set(some.map((w) => w.network))]);

  function leading(network: string): readonly Way[] {
    // That of the cluster's own network leads in, not out.
    if (network === settings().network) return [];
    return inOrder(byNetwork.values(network).flatMap((some) => some.filter((w) => w.network === network)));
  }

  const networksOf = (some: readonly Way[]) => some.map((w) => w.network);
  const table = graph
    .derive('network', (network): Output | undefined => {
      const workloads = new Map(leading(network).map((w) => [gatewayWorkload(w, settings()).uid, w]));
      const resources = [...workloads.values()].map((w) =>
        resourceOfAddress(gatewayWorkload(w, settings()), [w.object]),
      );
      return resources.length === 0 ? undefined : { resources, far: [] };
    })
    .after(ways, networksOf);
  return {
    table,
    to: (network) => leading(network)[0],
    watch(derived, inNetwork) {
      derived.after(ways, (some) => networksOf(some).flatMap((network) => [...inNetwork(network)]), waysDiffer);
    },
  };
}

function waysDiffer(a: readonly Way[], b: readonly Way[]): boolean {
  const view = (some: readonly Way[]) => JSON.stringify(some.map(({ network, at, port }) => [network, at, port]));
  return view(a) !== view(b);
}
