/** Objects in Kubernetes' words, requests to services of a mesh, and what shall become of them: for any data plane. */
import { parseMeshConfig } from '../../../istiod/model/mesh-config.ts';
import type { MeshSettings } from '../../../istiod/model/settings.ts';
import type { Question } from '../pair/pair.ts';

export interface RouteCase {
  /** As a conformance suite calls it, or what of an Istio resource it is about. */
  readonly name: string;
  /** YAML of routes, rules and policies on the services of `test/envoy/pair/mesh.ts`; namespace `shop` where an object names none. Older objects first. */
  readonly objects: string;
  /** What MeshConfig says. */
  readonly mesh?: Partial<MeshSettings['envoy']>;
  /** Pod that decides about requests. */
  readonly decider?: string;
  readonly requests: readonly CaseRequest[];
}

/** Goes to port 80 of service `web` unless it says otherwise. */
export interface CaseRequest extends Omit<Question, 'host'> {
  /** Default the service's name. */
  readonly host?: string;
  readonly expect: Expectation;
  /** So often, and what comes of it is by chance: shares of pods, or of statuses where nobody got it. */
  readonly shares?: Readonly<Record<string, number>>;
}

/** What is not named is not looked at; null: is not there. */
export interface Expectation {
  /** Default 200. */
  readonly status?: number;
  /** The service that answers; absent: nobody. */
  readonly to?: string;
  /** One of several pods that answers. */
  readonly pod?: string;
  /** How often upstreams were asked in all. Default 1, or 0 without `to`. */
  readonly attempts?: number;
  /** Services that get a copy. */
  readonly mirrored?: readonly string[];
  /** By the one that answers. */
  readonly received?: {
    readonly protocol?: string;
    readonly path?: string;
    readonly host?: string;
    readonly body?: string;
    readonly headers?: Readonly<Record<string, string | null>>;
  };
  readonly response?: Readonly<Record<string, string | null>>;
  readonly trailers?: Readonly<Record<string, string | null>>;
  readonly body?: string;
}

/** Of a MeshConfig's text. */
export function meshOf(text: string): NonNullable<RouteCase['mesh']> {
  const parsed = parseMeshConfig([text]);
  if (parsed.kind !== 'ok') throw new Error(parsed.reason);
  return parsed.config.settings.envoy;
}

export const virtualService = (http: string, name = 'web', host = 'web') => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec:
  hosts: [${host}]
  http: [${http}]
---`;

export const destinationRule = (spec: string, name = 'web') => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name} }
spec: { host: ${name}, ${spec} }
---`;

export const httpRoute = (
  rules: string,
  { kind = 'HTTPRoute', name = 'route', namespace = 'shop', of = 'web' } = {},
) => `
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  parentRefs: [{ group: '', kind: Service, name: ${of}, namespace: shop }]
  rules: [${rules}]
---`;

export const grpcRoute = (rules: string) => httpRoute(rules, { kind: 'GRPCRoute', name: 'grpc' });

/** An object of the root namespace for the class of waypoints; another namespace's counts for nobody. */
export const ofAllWaypoints = (kind: string, spec: string, namespace = 'istio-system') => `
${kind}
metadata: { name: all-waypoints, namespace: ${namespace} }
spec:
  targetRefs: [{ kind: GatewayClass, group: gateway.networking.k8s.io, name: istio-waypoint }]
  ${spec}
---`;
