/** Which VirtualServices count for a service, and what of them is for this proxy. */
import type { VirtualService } from '../../../../common/kube/kinds/istio/virtual-service.ts';
import { namespaceOf } from '../../../../common/kube/names.ts';
import type { RouteContext } from '../../inputs.ts';
import type { FilterStateMatcher } from '../envoy.ts';
import { callersOf } from '../matchers.ts';

/** Oldest first. A waypoint honours those of its own namespace and of the service's, a client all that it sees. */
export function selectVirtualServices(context: RouteContext): readonly VirtualService[] {
  const { view, service, namespace, gateway } = context;
  return view.virtualServices(service.hostname).filter((vs) => {
    const owner = namespaceOf(vs);
    if (gateway !== undefined && owner !== namespace && owner !== service.namespace) return false;
    return isForMesh(vs.spec.gateways) && isSeen(context, vs, namespace);
  });
}

/** Whether its exportTo shows it to a namespace. */
export function isSeen({ view }: RouteContext, vs: VirtualService, namespace: string): boolean {
  const { exportTo = [] } = vs.spec;
  const given = exportTo.length === 0 ? view.facts.virtualServiceExportTo : exportTo;
  return given.some((to) => to === '*' || (to === '.' ? namespaceOf(vs) : to) === namespace);
}

/** Without gateways all workloads are meant. */
function isForMesh(gateways: readonly string[] = []): boolean {
  return gateways.length === 0 || gateways.includes('mesh');
}

interface SourceMatch {
  readonly port?: number;
  readonly gateways?: readonly string[];
  readonly sourceLabels?: Readonly<Record<string, string>>;
  readonly sourceNamespace?: string;
}

/** How a match stands with callers: for some other port, gateway or caller; `unknown` labels that no identity tells; or for these. */
export type Reach =
  | { readonly kind: 'elsewhere' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'here'; readonly callers: readonly FilterStateMatcher[] };

/** A client knows its own labels; a waypoint knows of its callers what they proved, which is a namespace and an account. */
export function reachOf(context: RouteContext, match: SourceMatch): Reach {
  const { port, gateways, sourceLabels = {}, sourceNamespace = '' } = match;
  const labels = Object.entries(sourceLabels);
  if (port !== undefined && port !== 0 && port !== context.port.number) return { kind: 'elsewhere' };
  if (!isForMesh(gateways)) return { kind: 'elsewhere' };
  const { clientLabels } = context;
  if (clientLabels === undefined) {
    if (labels.length > 0) return { kind: 'unknown' };
    return { kind: 'here', callers: sourceNamespace === '' ? [] : [callersOf(sourceNamespace)] };
  }
  if (sourceNamespace !== '' && sourceNamespace !== context.namespace) return { kind: 'elsewhere' };
  if (labels.some(([key, value]) => clientLabels[key] !== value)) return { kind: 'elsewhere' };
  return { kind: 'here', callers: [] };
}
