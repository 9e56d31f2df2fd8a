/** What generators of routes find, beside the routes. */
import type { Tunnel } from '../clusters/rules.ts';
import type { RouteTarget } from '../inputs.ts';
import type { Route } from './envoy.ts';

/** An object of Kubernetes as it was read. */
export interface RouteObject {
  readonly kind: 'VirtualService' | 'HTTPRoute' | 'GRPCRoute' | 'TCPRoute' | 'TLSRoute';
  readonly namespace: string;
  readonly name: string;
  /** 0 where the object has none. */
  readonly generation: number;
}

/**
 * What of an object does not do what it says. `ineffective`: that field has no effect here. `unresolved`: what it refers to cannot be
 * reached, and requests that would go there are refused. `refused`: the rule cannot be done, and requests that match it are refused.
 * `shadowed`: other objects come before it.
 */
export type RouteProblem = {
  readonly object: RouteObject;
  /** `spec.http[0].match[1].sourceLabels`. */
  readonly field: string;
  readonly message: string;
} & (
  | { readonly kind: 'ineffective' | 'refused' | 'shadowed' }
  | { readonly kind: 'unresolved'; readonly reason: UnresolvedReason }
);

/** Reasons of the Gateway API's condition ResolvedRefs. */
export type UnresolvedReason = 'BackendNotFound' | 'RefNotPermitted' | 'InvalidKind';

export interface HttpRoutes {
  /** In the order in which they count; never empty. The whole of one virtual host, whose domain is `*`. */
  readonly routes: readonly Route[];
  readonly problems: readonly RouteProblem[];
  /** What the routes were made of; empty: nothing says where requests go, so they go to the service. */
  readonly objects: readonly RouteObject[];
}

export interface StreamRoute {
  readonly name: string;
  /** Names that clients ask for by TLS, `*.` in front for a wildcard; empty: whatever they ask for, and without TLS. */
  readonly sni: readonly string[];
  /** CIDRs or addresses that clients connected to; empty: any. */
  readonly destinations: readonly string[];
  /** Only connections from this namespace, by what their callers proved; undefined: all. */
  readonly callers?: string;
  /** Weights above 0. Empty: connections are refused. */
  readonly clusters: readonly StreamShare[];
  /** What connections go on through; undefined: they go on as they are. */
  readonly tunnel?: Tunnel;
  readonly object: RouteObject | undefined;
}

export interface StreamShare {
  /** Of the cluster. */
  readonly name: string;
  readonly weight: number;
  /** undefined: nothing of the mesh. */
  readonly target?: RouteTarget;
}

export interface StreamRoutes {
  /** In the order in which they count; never empty, and the last one takes what the others do not. */
  readonly routes: readonly StreamRoute[];
  readonly problems: readonly RouteProblem[];
  readonly objects: readonly RouteObject[];
}
