/** Which Telemetry counts for a service behind a waypoint, as Istio chooses: later ones count before earlier ones. */
import type { Telemetry } from '../../../common/kube/kinds/istio/telemetry.ts';
import type { MeshService, MeshView } from '../inputs.ts';
import type { WaypointProxy } from '../proxy.ts';

const waypointClass = 'istio-waypoint';

/**
 * Of the root namespace, of the waypoint's, of the service's: of each the oldest that is for all there; then those that are attached to the
 * class of waypoints, the waypoint or the service. `service` undefined: for what no service is behind.
 */
export function applicableTelemetries(
  view: MeshView,
  proxy: WaypointProxy,
  service: MeshService | undefined,
): readonly Telemetry[] {
  const { rootNamespace } = view.facts;
  const namespaces = new Set([rootNamespace, proxy.namespace, ...(service ? [service.namespace] : [])]);
  const wide = [...namespaces].flatMap((namespace) => view.telemetries(namespace).find(isWide) ?? []);
  const attached = [...namespaces].flatMap((namespace) =>
    view.telemetries(namespace).filter((t) => isAttached(t, namespace, view, proxy, service)),
  );
  return [...wide, ...attached];
}

function isWide({ spec }: Telemetry): boolean {
  return targets(spec).length === 0 && Object.keys(spec?.selector?.matchLabels ?? {}).length === 0;
}

function isAttached(
  { spec }: Telemetry,
  namespace: string,
  { facts }: MeshView,
  proxy: WaypointProxy,
  service: MeshService | undefined,
): boolean {
  return targets(spec).some(({ kind, name }) => {
    switch (kind) {
      case 'GatewayClass':
        return namespace === facts.rootNamespace && name === waypointClass;
      case 'Gateway':
        return `${namespace}/${name}` === proxy.gateway;
      default:
        return kind === service?.kind && namespace === service.namespace && name === service.name;
    }
  });
}

function targets(spec: Telemetry['spec']) {
  return spec?.targetRefs ?? (spec?.targetRef ? [spec.targetRef] : []);
}
