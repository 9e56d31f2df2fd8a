/** Everything that a waypoint is told, made anew only where something changed. */
import { type MadeCluster, makeCluster } from '../clusters/cluster.ts';
import { policyOf, rulesFor } from '../clusters/rules.ts';
import { type SecretPlan, secretResource } from '../credentials.ts';
import { assignment } from '../endpoints/assignment.ts';
import type { MeshService, MeshView } from '../inputs.ts';
import { connectOriginate, connectTerminate, encap, mainInternal } from '../names.ts';
import type { WaypointProxy } from '../proxy.ts';
import type { MadeResource, Remember, Remembered } from '../remember.ts';
import { accessLogs } from '../telemetry/logging.ts';
import { clusterTypeUrl, endpointTypeUrl, listenerTypeUrl, routeTypeUrl, secretTypeUrl } from '../types.ts';
import { type DirectAccess, directAccess } from './direct.ts';
import { farNetworks } from './far-networks.ts';
import { mainInternalListener } from './main-internal.ts';
import {
  collectorTargets,
  type FarTarget,
  type Leading,
  type WaypointFront,
  type WaypointRoutes,
  waypointClusters,
  waypointFront,
  waypointRoutes,
} from './service.ts';
import {
  encapCluster,
  mainInternalCluster,
  originateCluster,
  originateListener,
  terminateListener,
} from './tunnels.ts';

/** A service in parts, so that a change of its routes is none of how clients come in, or of its clusters. */
interface Known {
  readonly front: Part<WaypointFront>;
  readonly routes: Part<WaypointRoutes>;
  readonly clusters: Part<readonly MadeCluster[]>;
}

interface Part<T> {
  readonly id: string;
  readonly value: T;
}

/** Upstream failures. */
const failed = { response_flag_filter: { flags: ['UF'] } };

/** Each could be made at least once. */
function isWhole(parts: { readonly [P in keyof Known]: Remembered<Known[P]['value'] | undefined> }): parts is Known {
  return Object.values(parts).every(({ value }) => value !== undefined);
}

export class WaypointConfiguration {
  readonly #proxy: WaypointProxy;
  readonly #remember: Remember;
  #services: readonly Known[] = [];
  #direct: DirectAccess | undefined;
  #isNamed: boolean | undefined;
  #mainInternal: MadeResource | undefined;

  constructor(proxy: WaypointProxy, remember: Remember) {
    this.#proxy = proxy;
    this.#remember = remember;
  }

  resources(): readonly MadeResource[] {
    const [proxy, remember] = [this.#proxy, this.#remember];
    const behind = remember('services', (view) => view.behind(proxy.gateway).map((s) => s.key));
    const services = (behind.value ?? []).flatMap((key): readonly Known[] => {
      const part = <T>(what: string, make: (view: MeshView, proxy: WaypointProxy, service: MeshService) => T) =>
        remember(`${what} of ${key}`, (view) => {
          const service = view.service(key);
          return service && make(view, proxy, service);
        });
      const parts = {
        front: part('front', waypointFront),
        routes: part('routes', waypointRoutes),
        clusters: part('clusters', waypointClusters),
      };
      return isWhole(parts) ? [parts] : [];
    });
    const direct = remember('direct', (view) => directAccess(view, proxy));
    const tunnels = this.#tunnels();
    const far = this.#far([
      ...services.flatMap(({ front, routes }) => [front.value, routes.value]),
      ...(direct.value ? [direct.value] : []),
      tunnels,
    ]);
    const clusters = [...services.flatMap((s) => s.clusters.value), ...far.map((f) => f.value)];
    return [
      ...tunnels.made,
      this.#main(services, direct),
      ...services.flatMap((s) => this.#of(s)),
      ...far.flatMap(({ value, id }) => this.#cluster(value, id)),
      ...this.#secrets(clusters.flatMap((c) => c.secrets)),
    ];
  }

  /** Clusters of services that others are before, each once. */
  #far(leading: readonly Leading[]): readonly { readonly value: MadeCluster; readonly id: string }[] {
    const targets = new Map<string, FarTarget>();
    for (const [name, target] of leading.flatMap((l) => [...l.targets])) {
      if (targets.get(name)?.kind !== 'http') targets.set(name, target);
    }
    return [...targets.values()].flatMap((target) => {
      const { id, value } = this.#remember(`target ${target.kind} ${target.name}`, (view) => {
        // Routes found them a moment ago.
        const service = view.service(target.service)!;
        const port = service.ports.find((p) => p.number === target.port)!;
        const rules = rulesFor(view, service, this.#proxy.namespace, undefined);
        const subset = rules.subsets.find((s) => s.name === target.subset);
        // A subset that nobody defines has no endpoints.
        if (target.subset !== '' && subset === undefined) return undefined;
        const { name, kind } = target;
        return makeCluster(view, this.#proxy, {
          name,
          service,
          port,
          kind,
          subset,
          policy: policyOf(rules, port.number, subset),
        });
      });
      return value === undefined ? [] : [{ value, id }];
    });
  }

  /** Each once; several clusters may name the same. */
  #secrets(plans: readonly SecretPlan[]): readonly MadeResource[] {
    return [...new Map(plans.map((p) => [p.name, p])).values()].flatMap((plan) => {
      const { value, id } = this.#remember(`secret ${plan.name}`, (view) => secretResource(view, this.#proxy, plan));
      return value === undefined ? [] : [{ type: secretTypeUrl, name: plan.name, message: value, from: [id] }];
    });
  }

  /** What is of one service alone. */
  #of({ routes, clusters }: Known): readonly MadeResource[] {
    return [
      ...clusters.value.flatMap((c) => this.#cluster(c, clusters.id)),
      ...routes.value.routes.map((r) => ({ type: routeTypeUrl, name: r.name, message: r, from: [routes.id] })),
    ];
  }

  #cluster({ cluster, assignment: plan }: MadeCluster, id: string): readonly MadeResource[] {
    const made: MadeResource = { type: clusterTypeUrl, name: cluster.name, message: cluster, from: [id] };
    if (plan === undefined) return [made];
    // Other labels or another order are other work, whatever the mesh says.
    const what = JSON.stringify([plan.labels, plan.balancing, plan.service.balancing]);
    const endpoints = this.#remember(`endpoints ${plan.name} ${what}`, (view) => assignment(view, this.#proxy, plan));
    if (endpoints.value === undefined) return [made];
    return [made, { type: endpointTypeUrl, name: plan.name, message: endpoints.value, from: [endpoints.id, id] }];
  }

  #tunnels(): Leading & { readonly made: readonly MadeResource[] } {
    const { value, id } = this.#remember('tunnels', (view) => {
      const { facts } = view;
      const { targets, cluster } = collectorTargets();
      // Connections that came about are in the log of what is inside.
      const logs = accessLogs(view, this.#proxy, { service: undefined, cluster, only: failed });
      return {
        terminate: terminateListener(this.#proxy, facts),
        originate: originateListener(logs),
        mainInternal: mainInternalCluster(),
        encap: encapCluster(),
        outward: originateCluster(facts),
        far: facts.multiNetwork ? farNetworks(this.#proxy, facts, logs) : [],
        targets,
      };
    });
    if (value === undefined) return { made: [], targets: new Map() };
    const from = [id];
    const made = [
      ...value.far.map(({ type, message }) => ({ type, name: message.name, message, from })),
      { type: clusterTypeUrl, name: mainInternal, message: value.mainInternal, from },
      { type: clusterTypeUrl, name: encap, message: value.encap, from },
      { type: clusterTypeUrl, name: connectOriginate, message: value.outward, from },
      { type: listenerTypeUrl, name: connectTerminate, message: value.terminate, from },
      { type: listenerTypeUrl, name: connectOriginate, message: value.originate, from },
    ];
    return { made, targets: value.targets };
  }

  /** One listener has the chains of all services. */
  #main(services: readonly Known[], direct: Remembered<DirectAccess | undefined>): MadeResource {
    const before = this.#services;
    // Gateways of other networks say the name of the service.
    const isNamed = this.#remember('named', ({ facts }) => facts.multiNetwork);
    const same =
      direct.value === this.#direct &&
      isNamed.value === this.#isNamed &&
      services.length === before.length &&
      services.every((s, i) => hasSameFront(s.front.value, before[i]!.front.value));
    this.#services = services;
    if (this.#mainInternal !== undefined && same) return this.#mainInternal;
    this.#direct = direct.value;
    this.#isNamed = isNamed.value;
    const message = mainInternalListener(
      services.map((s) => s.front.value),
      direct.value,
      isNamed.value === true,
    );
    this.#mainInternal = {
      type: listenerTypeUrl,
      name: mainInternal,
      message,
      from: [direct.id, isNamed.id, ...services.map((s) => s.front.id)],
    };
    return this.#mainInternal;
  }
}

/** Whether clients come in alike, though it was made anew. */
function hasSameFront(a: WaypointFront, b: WaypointFront): boolean {
  const front = ({ chains, ports, ranges }: WaypointFront) => JSON.stringify([chains, [...ports], ranges]);
  return a === b || front(a) === front(b);
}
