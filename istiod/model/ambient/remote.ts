/** What other clusters have of the mesh: of services that are global in both, endpoints. */
import { decodeAddress } from '../../../common/api/index.ts';
import type { Derived } from '../graph/graph.ts';
import { type Resource, resourceOfAddress } from '../resource.ts';
import type { Context, Output } from './context.ts';
import type { Networks } from './networks.ts';
import type { Services } from './services.ts';

export function deriveRemote(
  { graph, inputs, settings }: Context,
  services: Services,
  networks: Networks,
): Derived<Output> {
  const byService = inputs.remote.index((o) => [
    ...new Set([...o.resources.flatMap((r) => r.services), ...o.far.flatMap((f) => f.services)]),
  ]);
  const byNetwork = inputs.remote.index((o) => [...new Set(o.far.map((f) => f.network))]);
  const isGlobal = (key: string) => services.table.get(key)?.isGlobal === true;
  const derived = graph
    .derive('workload of another cluster', (key): Output | undefined => {
      const output = inputs.remote.get(key);
      if (output === undefined || !settings().multiNetwork) return undefined;
      return {
        resources: output.resources.flatMap((r) => narrowed(r, isGlobal) ?? []),
        far: output.far.map((f) => ({ ...f, services: f.services.filter(isGlobal), object: undefined })),
      };
    })
    .after(inputs.remote, (_, key) => [key])
    .after(
      services.table,
      (_, key) => byService.keys(key),
      (a, b) => a.isGlobal !== b.isGlobal,
    );
  // The way to its network is part of what is told of it.
  networks.watch(derived, (network) => byNetwork.keys(network));
  return derived;
}

/** The workload behind these services alone. Its objects are not this cluster's. */
function narrowed(r: Resource, isGlobal: (service: string) => boolean): Resource | undefined {
  if (r.services.every(isGlobal)) return { ...r, inputs: [] };
  const decoded = decodeAddress(r.bytes);
  if (decoded.kind === 'rejected' || decoded.value.kind !== 'workload') return undefined;
  const kept = [...decoded.value.services].filter(([key]) => isGlobal(key));
  return resourceOfAddress({ ...decoded.value, services: new Map(kept) }, [], r);
}
