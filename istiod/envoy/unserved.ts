/** What the status says of kinds of which Istio's sidecars make something and nothing here does. Pure. */
import type { Sidecar } from '../../common/kube/kinds/istio/sidecar.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { ineffective, type RouteConditions } from './routes/status.ts';

/** By kind. */
const reasons: Readonly<Record<string, string>> = {
  EnvoyFilter:
    'what istiod makes for waypoints is not patched, and node proxies are no Envoys; use VirtualService, DestinationRule and AuthorizationPolicy',
  WasmPlugin: 'waypoints run no Wasm; without it requests pass',
  TrafficExtension: 'waypoints run no extensions; without them requests pass',
  Telemetry: 'metrics and traces are as they are; the access log is set by MeshConfig (accessLogFile)',
};

/** undefined: kinds that are served. */
export function unservedConditions(object: KubeObject): RouteConditions | undefined {
  const reason = object.kind === 'Sidecar' ? ofSidecar(object as Sidecar) : reasons[object.kind];
  if (reason === undefined) return undefined;
  return new Map([[ineffective, { status: 'True', reason: 'Unsupported', message: `${object.kind}: ${reason}` }]]);
}

/** Istio's waypoints and node proxies heed none either. */
function ofSidecar({ spec = {} }: Sidecar): string {
  const rest = (['ingress', 'inboundConnectionPool', 'outboundTrafficPolicy'] as const).filter((f) => spec[f]);
  const idle = rest.length === 0 ? '' : `; of this one nothing heeds ${rest.join(', ')}`;
  return `egress holds for clients that read xDS themselves, as gRPC without a proxy, not for what goes through node proxies and waypoints${idle}`;
}
