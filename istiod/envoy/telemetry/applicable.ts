/** Which Telemetry counts for a service behind a waypoint, or for a plain Envoy, as Istio chooses: later ones count before earlier ones. */
import type { Telemetry } from '../../../common/kube/kinds/istio/telemetry.ts';
import type { MeshService, MeshView } from '../inputs.ts';
import type { ClientProxy, EnvoyProxy, WaypointProxy } from '../proxy.ts';

const waypointClass = 'istio-waypoint';
/** Of pods of a Gateway. */
const gatewayLabel = 'gateway.networking.k8s.io/gateway-name';

/**
 * Of the root namespace, of the waypoint's, of the service's: of each the oldest that is for all there; then those that are attached to the
 * class of waypoints, the waypoint or the service. Of a plain Envoy those of its own namespace that select it, or the Gateway that it is of.
 * `service` undefined: for what no service is behind.
 */
export function applicableTelemetries(
  view: MeshView,
  proxy: EnvoyProxy,
  service: MeshService | undefined,
): readonly Telemetry[] {
  const { rootNamespace } = view.facts;
  const namespaces = new Set([rootNamespace, proxy.namespace, ...(service ? [service.namespace] : [])]);
  const wide = [...namespaces].flatMap((namespace) => view.telemetries(namespace).find(isWide) ?? []);
  if (proxy.kind === 'client') return [...wide, ...view.telemetries(proxy.namespace).filter((t) => isFor(t, proxy))];
  const attached = [...namespaces].flatMap((namespace) =>
    view.telemetries(namespace).filter((t) => isAttached(t, namespace, view, proxy, service)),
  );
  return [...wide, ...attached];
}

function isWide({ spec }: Telemetry): boolean {
  return targets(spec).length === 0 && Object.keys(spec?.selector?.matchLabels ?? {}).length === 0;
}

function isFor({ spec }: Telemetry, { labels }: ClientProxy): boolean {
  const refs = targets(spec);
  if (refs.length > 0) return refs.some(({ kind, name }) => kind === 'Gateway' && name === labels[gatewayLabel]);
  const wanted = Object.entries(spec?.selector?.matchLabels ?? {});
  return wanted.length > 0 && wanted.every(([key, value]) => labels[key] === value);
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
