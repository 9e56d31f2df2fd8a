/** What backendRefs of routes lead to. */
import { assertNever } from '../../../../common/core/errors.ts';
import type { RouteContext, RouteTarget } from '../../inputs.ts';
import { findDestination } from '../destinations.ts';
import type { UnresolvedReason } from '../results.ts';

/** A backendRef of any route, without its filters. */
export interface BackendRef {
  readonly group?: string;
  readonly kind?: string;
  readonly name: string;
  readonly namespace?: string;
  readonly port?: number;
  readonly weight?: number;
}

export type Backend =
  | {
      readonly kind: 'found';
      readonly cluster: string;
      readonly target: RouteTarget;
    }
  | {
      readonly kind: 'unresolved';
      readonly reason: UnresolvedReason;
      readonly field: string;
      readonly message: string;
    };

/** What requests for a backend that is none are sent to: no cluster has this name. Istio's word. */
export const unknownCluster = 'UnknownService';

/**
 * Any namespace may be named: a route of the mesh leads callers to where they could go anyway, so it takes no ReferenceGrant
 * (GEP-1294).
 */
export function findBackend(context: RouteContext, ref: BackendRef, namespace: string): Backend {
  const host = hostOf(context, ref, namespace);
  if (host.kind !== 'host') return host;
  const port = ref.port === undefined ? {} : { port: { number: ref.port } };
  const found = findDestination(context, { host: host.name, ...port }, ref.namespace ?? namespace);
  switch (found.kind) {
    case 'found':
      return found;
    case 'missing': {
      const field = found.field === 'host' ? 'name' : 'port';
      return { kind: 'unresolved', reason: 'BackendNotFound', field, message: found.message };
    }
    default:
      return assertNever(found);
  }
}

type Host = { readonly kind: 'host'; readonly name: string } | Extract<Backend, { readonly kind: 'unresolved' }>;

function hostOf({ view }: RouteContext, ref: BackendRef, namespace: string): Host {
  const { group = '', kind = 'Service', name } = ref;
  if (group === '' && kind === 'Service') {
    return { kind: 'host', name: `${name}.${ref.namespace ?? namespace}.svc.${view.facts.domain}` };
  }
  // Istio's: a name that a ServiceEntry has.
  if (group === 'networking.istio.io' && kind === 'Hostname') return { kind: 'host', name };
  if (group === 'networking.istio.io' && kind === 'ServiceEntry') {
    const service = view.ofObject('ServiceEntry', ref.namespace ?? namespace, name);
    if (service !== undefined) return { kind: 'host', name: service.hostname };
    const message = `there is no ServiceEntry ${ref.namespace ?? namespace}/${name}`;
    return { kind: 'unresolved', reason: 'BackendNotFound', field: 'name', message };
  }
  const message = `requests cannot be sent to a ${group === '' ? 'core' : group} ${kind}; expected a Service, or a Hostname or ServiceEntry of networking.istio.io`;
  return { kind: 'unresolved', reason: 'InvalidKind', field: 'kind', message };
}
