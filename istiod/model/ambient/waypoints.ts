/** The waypoints, and who uses them. */
import type { KubeObject } from '../../../common/kube/types.ts';
import type { Derived } from '../graph/graph.ts';
import type { Labelled } from '../graph/labelled.ts';
import type { Table } from '../graph/table.ts';
import { gatewayNameLabel, namedWaypoints, type Waypoint, type WaypointScope, waypointOf } from '../waypoint.ts';
import type { Context } from './context.ts';

export interface Waypoints {
  /** By `namespace/name`. */
  readonly table: Derived<Waypoint>;
  scopeOf(namespace: string): WaypointScope;
  /** Makes a function that finds the keys of those objects that name a waypoint themselves or by their namespace. */
  users<T extends KubeObject>(table: Table<T>, labelled: Labelled<T>): (waypoint: Waypoint) => readonly string[];
  /** The same of objects that are instances of it. */
  instances<T>(labelled: Labelled<T>): (waypoint: Waypoint) => readonly string[];
}

export function deriveWaypoints({ graph, inputs, settings }: Context): Waypoints {
  const byClass = inputs.gateways.index((g) => [g.spec.gatewayClassName]);
  const namespaces = inputs.namespaces.index((n) => namedWaypoints(n.metadata.labels, n.metadata.name));
  const table = graph
    .derive('waypoint', (key) => {
      const gateway = inputs.gateways.get(key);
      return gateway && waypointOf(gateway, inputs.gatewayClasses.get(gateway.spec.gatewayClassName), settings());
    })
    .after(inputs.gateways, (_, key) => [key])
    .after(inputs.gatewayClasses, (_, name) => byClass.keys(name));
  return {
    table,
    scopeOf: (namespace) => ({
      namespace: inputs.namespaces.get(namespace),
      waypoint: (id) => table.get(id),
      settings: settings(),
    }),
    users(objects, labelled) {
      const naming = objects.index((o) => {
        const place = labelled.placeOf(o);
        return namedWaypoints(place.labels, place.namespace);
      });
      return ({ id }) => [...naming.keys(id), ...namespaces.keys(id).flatMap((n) => labelled.inNamespace(n))];
    },
    instances: (labelled) => (w) => labelled.matching(w.namespace, { [gatewayNameLabel]: w.gateway.metadata.name }),
  };
}

/** Whether objects that use it see a difference. */
export function waypointDiffers(a: Waypoint, b: Waypoint): boolean {
  const view = ({ address, serves, from, selector, tunnel, gateway }: Waypoint) =>
    JSON.stringify([address, serves, from, selector, tunnel, gateway.metadata.generation]);
  return view(a) !== view(b);
}
