/** The tls and tcp sections of a VirtualService. */
import { assertNever } from '../../../../common/core/errors.ts';
import type { VirtualService } from '../../../../common/kube/kinds/istio/virtual-service.ts';
import { namespaceOf } from '../../../../common/kube/names.ts';
import type { RouteContext } from '../../inputs.ts';
import { findDestination } from '../destinations.ts';
import type { RouteProblem, StreamRoute } from '../results.ts';
import { routeObject } from '../values.ts';
import { reachOf } from './select.ts';

type TlsRule = NonNullable<VirtualService['spec']['tls']>[number];
type TcpRule = NonNullable<VirtualService['spec']['tcp']>[number];
type StreamMatch = TlsRule['match'][number] | NonNullable<TcpRule['match']>[number];

/** In the order in which they are written. */
export function virtualServiceStreams(
  context: RouteContext,
  vs: VirtualService,
  section: 'tls' | 'tcp',
  problems: RouteProblem[],
): readonly StreamRoute[] {
  const object = routeObject(vs);
  return (vs.spec[section] ?? []).flatMap((rule: TlsRule | TcpRule, i): readonly StreamRoute[] => {
    const field = `spec.${section}[${i}]`;
    const matches: readonly (StreamMatch | undefined)[] = (rule.match?.length ?? 0) === 0 ? [undefined] : rule.match!;
    const reached = matches.filter((match, j) => {
      if (match === undefined) return true;
      const reach = reachOf(context, match);
      switch (reach.kind) {
        case 'elsewhere':
          return false;
        case 'here':
          return true;
        case 'unknown': {
          const message =
            'a waypoint knows callers by what they prove, which labels are not: nothing matches; use sourceNamespace';
          problems.push({ kind: 'ineffective', object, field: `${field}.match[${j}].sourceLabels`, message });
          return false;
        }
        default:
          return assertNever(reach);
      }
    });
    if (reached.length === 0) return [];
    const clusters = clustersOf(context, vs, rule, field, problems);
    return reached.map((match, j) => ({
      name: `${namespaceOf(vs)}.${vs.metadata.name}.${section}.${i}${reached.length === 1 ? '' : `.${j}`}`,
      sni: match !== undefined && 'sniHosts' in match ? match.sniHosts : [],
      destinations: match?.destinationSubnets ?? [],
      // A client that has labels knows its own namespace, too, and got here by that.
      ...(context.clientLabels === undefined && match?.sourceNamespace && { callers: match.sourceNamespace }),
      clusters,
      object,
    }));
  });
}

/** One alone gets everything, whatever its weight. */
function clustersOf(
  context: RouteContext,
  vs: VirtualService,
  { route = [] }: TlsRule | TcpRule,
  field: string,
  problems: RouteProblem[],
): StreamRoute['clusters'] {
  return route.flatMap(({ destination, weight = 0 }, i) => {
    if (route.length > 1 && weight === 0) return [];
    const found = findDestination(context, destination, namespaceOf(vs));
    if (found.kind === 'missing') {
      const { message } = found;
      const at = `${field}.route[${i}].destination.${found.field}`;
      problems.push({ kind: 'unresolved', reason: 'BackendNotFound', object: routeObject(vs), field: at, message });
    }
    const target = found.kind === 'found' ? { target: found.target } : {};
    return [{ name: found.cluster, weight: Math.max(weight, 1), ...target }];
  });
}
