/** A valid object of each kind of the mesh, with most of its fields. */
import { parseDocuments } from '../../../common/kube/manifests/documents.ts';
import type { NewObject } from '../../../common/kube/types.ts';

const text = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: payments, namespace: shop}
spec:
  hosts: [payments.example.com]
  addresses: [240.0.0.7, 240.1.0.0/16]
  ports:
  - {number: 443, name: tls, protocol: TLS, targetPort: 8443}
  - {number: 80, name: http, protocol: HTTP}
  location: MESH_EXTERNAL
  resolution: STATIC
  endpoints:
  - {address: 192.0.2.1, ports: {tls: 9443}, labels: {version: v1}, network: net-1, locality: eu/a, weight: 3, serviceAccount: pay}
  exportTo: [".", other]
  subjectAltNames: [spiffe://cluster.local/ns/shop/sa/pay]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm-1, namespace: shop}
spec: {address: vm-1.example.com, ports: {http: 8080}, labels: {app: legacy}, network: net-1, locality: eu/a/1, weight: 2, serviceAccount: legacy}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: vms, namespace: shop}
spec:
  metadata: {labels: {app: legacy}, annotations: {note: yes-it-is}}
  template: {ports: {http: 8080}, serviceAccount: legacy, network: net-1}
  probe:
    initialDelaySeconds: 5
    periodSeconds: 2
    failureThreshold: 3
    httpGet: {path: /ready, port: 8080, scheme: HTTP, httpHeaders: [{name: X-Probe, value: a}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec:
  host: web.shop.svc.cluster.local
  trafficPolicy:
    connectionPool:
      tcp: {maxConnections: 10, connectTimeout: 3s, idleTimeout: 1h, tcpKeepalive: {probes: 3, time: 10s, interval: 1s}}
      http: {http2MaxRequests: 100, idleTimeout: 10s, h2UpgradePolicy: UPGRADE, http2KeepAlive: {interval: 1s, timeout: 1s}}
    outlierDetection: {consecutive5xxErrors: 3, interval: 5s, baseEjectionTime: 30s, maxEjectionPercent: 50}
    loadBalancer:
      consistentHash: {httpCookie: {name: user, ttl: 10s, path: /, attributes: [{name: SameSite, value: Lax}]}, ringHash: {minimumRingSize: 64}}
      localityLbSetting: {enabled: true, distribute: [{from: eu/a, to: {eu/a: 70, eu/b: 30}}]}
      warmup: {duration: 10s, minimumPercent: 10, aggression: 1}
    tls: {mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem, sni: web, subjectAltNames: [web]}
    portLevelSettings: [{port: {number: 8080}, loadBalancer: {simple: RANDOM}}]
    retryBudget: {percent: 20, minRetryConcurrency: 3, budgetInterval: 10s}
  subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}]
  exportTo: ["*"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web.example.com, "*.shop.example.com"]
  gateways: [mesh, infra/front]
  http:
  - name: one
    match:
    - uri: {prefix: /api}
      headers: {x-user: {regex: "a.*"}}
      queryParams: {q: {exact: a}}
      method: {exact: GET}
      port: 80
      sourceLabels: {app: web}
    route:
    - destination: {host: web, subset: v1, port: {number: 80}}
      weight: 75
      headers: {request: {set: {x-a: b}, remove: [x-c]}}
    - destination: {host: other.shop.svc.cluster.local}
      weight: 25
    rewrite: {uri: /v2}
    timeout: 5s
    retries: {attempts: 3, perTryTimeout: 1s, retryOn: "5xx,reset"}
    fault: {delay: {percentage: {value: 1}, fixedDelay: 1s}, abort: {percentage: {value: 0.5}, httpStatus: 503}}
    mirrors: [{destination: {host: shadow}, percentage: {value: 10}}]
    corsPolicy: {allowOrigins: [{exact: https://a.example.com}], allowMethods: [GET], allowHeaders: [x-a], maxAge: 24h, allowCredentials: true}
  - match: [{uri: {prefix: /old}}]
    redirect: {authority: new.example.com, redirectCode: 308}
  - match: [{uri: {exact: /teapot}}]
    directResponse: {status: 418, body: {string: tea}}
  tls:
  - match: [{port: 443, sniHosts: [web.example.com]}]
    route: [{destination: {host: web}}]
  tcp:
  - match: [{port: 3306, destinationSubnets: [10.0.0.0/8]}]
    route: [{destination: {host: db}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: infra}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [shop/web.example.com, "*.example.com"], tls: {mode: SIMPLE, credentialName: web-cert, minProtocolVersion: TLSV1_2}}
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"], tls: {httpsRedirect: true}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec:
  workloadSelector: {labels: {app: web}}
  ingress: [{port: {number: 9080, protocol: HTTP, name: http}, defaultEndpoint: "127.0.0.1:8080"}]
  egress: [{hosts: [./*, infra/web.example.com]}]
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: lua, namespace: shop}
spec:
  workloadSelector: {labels: {app: web}}
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: GATEWAY, listener: {portNumber: 8080, filterChain: {filter: {name: a, subFilter: {name: b}}}}}
    patch: {operation: INSERT_BEFORE, value: {name: x, typed_config: {a: 1}}}
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {name: small, namespace: shop}
spec: {selector: {matchLabels: {app: web}}, concurrency: 1, environmentVariables: {A: b}, image: {imageType: distroless}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: allow-web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  action: ALLOW
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/client, "*/sa/admin"], ipBlocks: [10.0.0.0/8]}}, {source: {serviceAccounts: [other/api]}}]
    to: [{operation: {ports: ["80", "8080"], methods: [GET], paths: ["/api/*", "/a/{*}/b/{**}"], hosts: ["*.example.com"]}}]
    when: [{key: "request.headers[x-a]", values: ["b"]}, {key: source.ip, notValues: [192.0.2.0/24]}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {"8080": {mode: PERMISSIVE}}}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: jwt, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: front}]
  jwtRules:
  - {issuer: https://issuer.example.com, jwksUri: https://issuer.example.com/keys, audiences: [web], fromHeaders: [{name: x-token, prefix: "T "}], fromCookies: [t], outputClaimToHeaders: [{header: x-sub, claim: sub}], forwardOriginalToken: true, timeout: 2s}
---
apiVersion: policy.aquifer.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: calls, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: web}]
  limits:
  - {name: each-user, match: {methods: [GET], paths: [/api/*, /cart]}, by: [{type: Header, name: x-user}, {type: Claim, name: org.id}], requests: 100, unit: Minute, burst: 20}
  - {name: each-caller, by: [{type: Identity}, {type: Address}], requests: 10, unit: Second}
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: all, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  tracing: [{providers: [{name: otel}], randomSamplingPercentage: 1.5, customTags: {a: {literal: {value: b}}}}]
  metrics: [{providers: [{name: prometheus}], overrides: [{match: {metric: REQUEST_COUNT, mode: SERVER}, tagOverrides: {x: {operation: UPSERT, value: request.host}, y: {operation: REMOVE}}}], reportingInterval: 5s}]
  accessLogging: [{providers: [{name: envoy}], filter: {expression: response.code >= 400}}]
---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: auth, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  url: oci://registry.example.com/auth:1
  phase: AUTHN
  priority: 10
  imagePullPolicy: IfNotPresent
  failStrategy: FAIL_CLOSE
  pluginConfig: {a: 1}
  vmConfig: {env: [{name: A, value: b}]}
  match: [{mode: SERVER, ports: [{number: 80}]}]
---
apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata: {name: lua, namespace: shop}
spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}], lua: {inlineCode: "return 1"}, phase: AUTHZ, priority: 1}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: mesh}
spec: {controllerName: istio.io/mesh-controller, description: waypoints, parametersRef: {group: "", kind: ConfigMap, name: a, namespace: b}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: infra}
spec:
  gatewayClassName: istio
  listeners:
  - {name: http, port: 80, protocol: HTTP, hostname: "*.example.com", allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {a: b}}}}}
  - {name: https, port: 443, protocol: HTTPS, tls: {mode: Terminate, certificateRefs: [{name: cert}]}}
  - {name: mesh, port: 15008, protocol: HBONE}
  addresses: [{type: IPAddress, value: 192.0.2.1}, {type: Hostname, value: a.example.com}]
  infrastructure: {labels: {a: b}, annotations: {a.b/c: d}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more, namespace: shop}
spec: {parentRef: {name: front, namespace: infra}, listeners: [{name: a, port: 8443, protocol: TLS, hostname: a.example.com, tls: {mode: Passthrough}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{name: front, namespace: infra, sectionName: http}, {group: "", kind: Service, name: web, port: 80}]
  hostnames: [web.example.com]
  rules:
  - name: api
    matches: [{path: {type: PathPrefix, value: /api}, headers: [{name: x-a, value: b}], queryParams: [{name: q, value: a}], method: GET}]
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-b, value: c}], remove: [x-d]}}
    - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /v2}}}
    - {type: CORS, cors: {allowOrigins: ["https://a.example.com"], allowMethods: [GET], maxAge: 10}}
    backendRefs: [{name: web, port: 80, weight: 3}, {name: other, namespace: b, port: 80}]
    timeouts: {request: 10s, backendRequest: 2s}
    retry: {codes: [503], attempts: 2, backoff: 100ms}
    sessionPersistence: {type: Cookie, cookie: {name: s, lifetimeType: Permanent}, absoluteTimeout: 1h}
  - matches: [{path: {type: Exact, value: /old}}]
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: api, namespace: shop}
spec:
  parentRefs: [{name: front, namespace: infra}]
  rules: [{matches: [{method: {service: shop.Orders, method: Get}, headers: [{name: x-a, value: b}]}], backendRefs: [{name: api, port: 9000}], filters: [{type: RequestMirror, requestMirror: {backendRef: {name: shadow, port: 9000}, percent: 10}}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: db, namespace: shop}
spec: {parentRefs: [{name: front, namespace: infra}], rules: [{backendRefs: [{name: db, port: 3306}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: tls, namespace: shop}
spec: {parentRefs: [{name: front, namespace: infra}], hostnames: [a.example.com], rules: [{backendRefs: [{name: web, port: 443}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: dns, namespace: shop}
spec: {parentRefs: [{name: front, namespace: infra}], rules: [{name: a, backendRefs: [{name: dns, port: 53}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: from-infra, namespace: shop}
spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: infra}], to: [{group: "", kind: Service, name: web}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: web, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: web, sectionName: https}]
  validation: {hostname: web.example.com, caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}], subjectAltNames: [{type: URI, uri: "spiffe://a/b"}]}
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {name: out, namespace: shop}
spec: {type: ExternalHostname, externalHostname: {hostname: api.example.com}, port: {port: 443, name: https}, protocol: HTTP, tls: {mode: ServerOnly, validation: {hostname: api.example.com, wellKnownCACertificates: System}}}
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: retries, namespace: shop}
spec: {targetRefs: [{group: "", kind: Service, name: web}], retryConstraint: {budget: {percent: 10, interval: 5s}, minRetryRate: {count: 2, interval: 1s}}, sessionPersistence: {type: Header, header: {name: x-s}}}
---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XMesh
metadata: {name: mesh}
spec: {controllerName: aquifer.dev/mesh, description: the mesh}
`;

export const examples: readonly NewObject[] = parseDocuments('examples.yaml', text).objects.map((o) => o.object);
