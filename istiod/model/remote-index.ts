/** Of another cluster what counts for the proxies of this one, computed from its objects as it would compute them for its own. */
import type { Gateway } from '../../common/kube/kinds/gateway-api/gateway.ts';
import { createContext, type Output } from './ambient/context.ts';
import { MeshInputs } from './ambient/inputs.ts';
import { deriveNetworks } from './ambient/networks.ts';
import { derivePolicies } from './ambient/policies.ts';
import { deriveServices } from './ambient/services.ts';
import { deriveWaypoints } from './ambient/waypoints.ts';
import { deriveWorkloads } from './ambient/workloads.ts';
import { type Failure, Graph } from './graph/graph.ts';
import { networkLabel } from './network.ts';
import type { MeshSettings } from './settings.ts';

export interface RemoteIndexOptions {
  readonly clusterId: string;
  /** Of the cluster that is told, at this moment; say so by `configured` when they change. */
  readonly settings: () => MeshSettings;
  readonly onFailure: (failure: Failure) => void;
  /** What an object comes to, by its kind and key; undefined: nothing. */
  readonly onOutput: (key: string, output: Output | undefined) => void;
  /** An east-west gateway of the cluster; undefined: it is gone. */
  readonly onGateway: (key: string, gateway: Gateway | undefined) => void;
  /** Whose place it takes. */
  readonly before: RemoteIndex | undefined;
}

/** Its class leads into the cluster that it is of; one of class istio-remote is what that cluster thinks of others. */
const eastWest = 'istio-east-west';

export class RemoteIndex {
  readonly inputs = new MeshInputs();
  readonly #graph: Graph;
  readonly #told = new Set<string>();
  readonly #ways = new Set<string>();
  /** Told by whose place it has taken, and not by this one so far. */
  readonly #inherited: { readonly told: Set<string>; readonly ways: Set<string> };
  readonly #options: RemoteIndexOptions;

  constructor(options: RemoteIndexOptions) {
    this.#options = options;
    const [before, { inputs }] = [options.before, this];
    this.#inherited = { told: new Set(), ways: new Set() };
    for (const { told, ways } of before === undefined
      ? []
      : [before.#inherited, { told: before.#told, ways: before.#ways }]) {
      for (const key of told) this.#inherited.told.add(key);
      for (const key of ways) this.#inherited.ways.add(key);
    }
    this.#graph = new Graph(options.onFailure);
    const c = createContext(this.#graph, inputs, () => this.#settings());
    const waypoints = deriveWaypoints(c);
    const services = deriveServices(c, waypoints);
    const parts = {
      waypoints,
      services,
      policies: derivePolicies(c, waypoints, services),
      networks: deriveNetworks(c),
    };
    for (const table of deriveWorkloads(c, parts)) {
      table.onChange((_, output, key) => {
        const told = `${table.name} ${key}`;
        this.#inherited.told.delete(told);
        if (output === undefined) this.#told.delete(told);
        else this.#told.add(told);
        options.onOutput(told, output);
      });
    }
    inputs.gateways.onChange((before, after, key) => {
      if (before?.spec.gatewayClassName !== eastWest && after?.spec.gatewayClassName !== eastWest) return;
      const way = after?.spec.gatewayClassName === eastWest ? after : undefined;
      this.#inherited.ways.delete(key);
      if (way === undefined) this.#ways.delete(key);
      else this.#ways.add(key);
      options.onGateway(key, way);
    });
    inputs.namespaces.onChange((before, after, name) => {
      if (name !== options.settings().systemNamespace) return;
      if (before?.metadata.labels?.[networkLabel] !== after?.metadata.labels?.[networkLabel]) this.#graph.markAll();
    });
  }

  /** Everything is computed anew. */
  configured(): void {
    this.#graph.markAll();
  }

  get isDirty(): boolean {
    return this.#graph.isDirty;
  }

  /** In pieces of about a millisecond. */
  compute(): Generator<void> {
    return this.#graph.run();
  }

  /** All is known: takes back what the one before told, and is no more. */
  settle(): void {
    this.#takeBack(this.#inherited);
  }

  /** Takes back all that was told. */
  withdraw(): void {
    this.settle();
    this.#takeBack({ told: this.#told, ways: this.#ways });
  }

  #takeBack({ told, ways }: { readonly told: Set<string>; readonly ways: Set<string> }): void {
    for (const key of told) this.#options.onOutput(key, undefined);
    for (const key of ways) this.#options.onGateway(key, undefined);
    told.clear();
    ways.clear();
  }

  #settings(): MeshSettings {
    const { clusterId, settings } = this.#options;
    const home = settings();
    const network = this.inputs.namespaces.get(home.systemNamespace)?.metadata.labels?.[networkLabel] ?? '';
    return { ...home, clusterId, network, audience: { network: home.network } };
  }
}
