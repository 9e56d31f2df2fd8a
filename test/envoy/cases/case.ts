/** A mesh in Kubernetes' words, requests to one of its services, and what shall become of them: for any data plane. */

export interface RouteCase {
  /** As a conformance suite calls it, or what of an Istio resource it is about. */
  readonly name: string;
  /** YAML of routes. Services are those of `services`; namespace `shop` where an object names none. Older objects first. */
  readonly objects: string;
  readonly requests: readonly CaseRequest[];
}

export interface CaseRequest {
  /** Default GET. */
  readonly method?: string;
  /** Default `web`. */
  readonly host?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** SPIFFE identity of the caller. */
  readonly principal?: string;
  readonly expect: Expectation;
}

/** What is not named is not looked at; null: is not there. */
export interface Expectation {
  /** Default 200. */
  readonly status?: number;
  /** Service that gets the request, `web` or `web/v1` for a subset; absent: nobody. */
  readonly to?: string;
  readonly received?: {
    readonly path?: string;
    readonly host?: string;
    readonly headers?: Readonly<Record<string, string | null>>;
  };
  readonly response?: Readonly<Record<string, string | null>>;
  readonly body?: string;
}

/** Those that cases may send to. */
export const services = ['shop/web:http=80,http-admin=8080', 'shop/v2:http=80', 'pay/api:grpc=9000'] as const;

export const virtualService = (http: string, name = 'web') => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec:
  hosts: [web]
  http: [${http}]
---`;

export const httpRoute = (rules: string, { kind = 'HTTPRoute', name = 'route', namespace = 'shop' } = {}) => `
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  parentRefs: [{ group: '', kind: Service, name: web, namespace: shop }]
  rules: [${rules}]
---`;

export const grpcRoute = (rules: string) => httpRoute(rules, { kind: 'GRPCRoute', name: 'grpc' });
