/** Brings Services and their EndpointSlices to the nodes' nftables and to the cluster DNS, as kube-proxy and CoreDNS do. */
import { isDeepStrictEqual } from 'node:util';
import type { LabNode, Runtime } from '../daemon/runtime.ts';
import { buildZone, type Zone } from '../dns/zone.ts';
import { netnsPath } from '../names.ts';
import { isServing } from '../pods/conditions.ts';
import { run } from '../system/run.ts';
import { serviceBackends } from './backends.ts';
import { renderServices } from './nft.ts';

export class ServiceController {
  readonly #runtime: Runtime;
  readonly #nodes: readonly LabNode[];
  readonly #onZone: (zone: Zone) => void;
  readonly #rulesets = new Map<string, string>();
  #zone: Zone = {};

  constructor(runtime: Runtime, nodes: readonly LabNode[], onZone: (zone: Zone) => void) {
    this.#runtime = runtime;
    this.#nodes = nodes;
    this.#onZone = onZone;
  }

  /** From what the collections show now. */
  async reconcile(): Promise<void> {
    const { cluster } = this.#runtime;
    const services = [...cluster.services.objects.values()];
    const slices = [...cluster.endpointSlices.objects.values()];
    const zone = buildZone(services, slices);
    if (!isDeepStrictEqual(zone, this.#zone)) {
      this.#zone = zone;
      this.#onZone(zone);
    }
    const backends = serviceBackends(services, slices);
    const pods = [...cluster.pods.objects.values()].filter((p) => isServing(p) && !p.spec.hostNetwork);
    const hosts = this.#nodes.map((n) => {
      const local = pods.filter((p) => p.spec.nodeName === n.name);
      const ips = local.flatMap((p) => p.status?.podIPs?.map((x) => x.ip) ?? []).sort();
      return { ...n, ruleset: renderServices(backends, n.name, ips) };
    });
    await Promise.all(
      hosts.map(async ({ name, netns, ruleset }) => {
        if (this.#rulesets.get(name) === ruleset) return;
        await run(['nsenter', `--net=${netnsPath(netns)}`, 'nft', '-f', '-'], ruleset);
        this.#rulesets.set(name, ruleset);
      }),
    );
  }
}
