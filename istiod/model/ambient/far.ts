/** What services are to node proxies, with the endpoints that they have in other networks (ambient-wire 9.7). */
import type { Derived } from '../graph/graph.ts';
import { MultiMap } from '../graph/multi-map.ts';
import { type FarEndpoint, farIdentities, membersOf, splitHorizon } from '../network.ts';
import { resourceOfAddress } from '../resource.ts';
import type { Context, Output } from './context.ts';
import type { Networks } from './networks.ts';
import type { Services } from './services.ts';

export function deriveFar(
  { graph, settings }: Context,
  services: Services,
  networks: Networks,
  workloads: readonly Derived<Output>[],
): readonly Derived<Output>[] {
  const byService = new MultiMap<FarEndpoint>();
  // Before the tables below are marked.
  for (const table of workloads) {
    table.onChange((before, after) => {
      for (const f of before?.far ?? []) for (const key of f.services) byService.delete(key, f);
      for (const f of after?.far ?? []) for (const key of f.services) byService.add(key, f);
    });
  }
  const touched = (o: Output) => o.far.flatMap((f) => f.services);

  const announced = graph
    .derive('announced service', (key): Output | undefined => {
      const info = services.table.get(key);
      if (!info) return undefined;
      const far = byService.get(key);
      const names = [...new Set([...info.service.subjectAltNames, ...farIdentities(far)])];
      const service = names.length === 0 ? info.service : { ...info.service, subjectAltNames: names };
      return { resources: [resourceOfAddress(service, [...info.inputs, ...far.map((f) => f.object)])], far: [] };
    })
    .after(services.table, (_, key) => [key]);

  const horizon = graph
    .derive('split horizon', (key): Output | undefined => {
      const [network, service] = splitKey(key);
      const info = services.table.get(service);
      const way = networks.to(network);
      if (!settings().multiNetwork || !info?.isGlobal || !way) return undefined;
      const far = byService.get(service).filter((f) => f.network === network);
      if (far.length === 0) return undefined;
      const workload = splitHorizon(way, info.service, far, settings());
      return {
        resources: [
          resourceOfAddress(workload, [info.object, way.object, ...far.map((f) => f.object)], {
            members: membersOf(far),
          }),
        ],
        far: [],
      };
    })
    .after(services.table, (_, key) => byService.get(key).map((f) => horizonKey(f.network, key)));
  for (const table of workloads) {
    announced.after(table, touched);
    horizon.after(table, (o) => o.far.flatMap((f) => f.services.map((key) => horizonKey(f.network, key))));
  }
  return [announced, horizon];
}

function horizonKey(network: string, service: string): string {
  return `${network} ${service}`;
}

function splitKey(key: string): readonly [string, string] {
  const at = key.indexOf(' ');
  return [key.slice(0, at), key.slice(at + 1)];
}
