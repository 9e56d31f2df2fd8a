/** gateway.networking.k8s.io TCPRoute, UDPRoute and TLSRoute: connections and datagrams as they are. */
import { about, object, type TypeOf, where } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { age, atomic, gatewayApiKind, hostname } from './common.ts';
import { backend, routeParents, routeStatus, ruleName, uniqueRuleNames } from './route.ts';

const rule = object({
  name: ruleName,
  'backendRefs!': about('Where they go, by weights.', atomic(backend, { minItems: 1, maxItems: 16 })),
});
const oneRule = about('Where connections go.', atomic(rule, { minItems: 1, maxItems: 1 }));
/** Older versions took several, of which implementations honoured the first. */
const severalRules = about(
  'Where connections go.',
  where(atomic(rule, { minItems: 1, maxItems: 16 }), ...uniqueRuleNames),
);

const spec = object({ ...routeParents, 'rules!': oneRule });
const olderSpec = object({ ...routeParents, 'rules!': severalRules });

const sniNames = about('Names that clients ask for in the hello of TLS.', atomic(hostname, { maxItems: 1024 }));
const tlsSpec = object({
  ...routeParents,
  'hostnames!': where(
    { ...sniNames, minItems: 1 },
    'self.all(name, !isIP(name))',
    'clients never ask for an IP address',
  ),
  'rules!': oneRule,
});
const olderTlsSpec = object({ ...routeParents, hostnames: sniNames, 'rules!': severalRules });

export interface StreamRoute extends KubeObject {
  readonly spec: TypeOf<typeof spec>;
  readonly status?: TypeOf<typeof routeStatus>;
}

export interface TlsRoute extends KubeObject {
  readonly spec: TypeOf<typeof tlsSpec>;
  readonly status?: TypeOf<typeof routeStatus>;
}

const group = { group: 'gateway.networking.k8s.io', version: 'v1', namespaced: true } as const;

export const tcpRouteKind: Kind<StreamRoute> = { ...group, kind: 'TCPRoute', plural: 'tcproutes' };
export const udpRouteKind: Kind<StreamRoute> = { ...group, kind: 'UDPRoute', plural: 'udproutes' };
export const tlsRouteKind: Kind<TlsRoute> = { ...group, kind: 'TLSRoute', plural: 'tlsroutes' };

const common = { columns: [age], status: routeStatus };
const older = { versions: ['v1', 'v1alpha2'], deprecated: ['v1alpha2'], specOf: { v1alpha2: olderSpec } };

export const streamRoutes = [
  gatewayApiKind(tcpRouteKind, { ...common, ...older, description: 'Where TCP connections go.', spec }),
  gatewayApiKind(tlsRouteKind, {
    ...common,
    description: 'Where TLS connections go, by the name that the client asks for.',
    versions: ['v1', 'v1alpha2', 'v1alpha3'],
    deprecated: ['v1alpha2', 'v1alpha3'],
    spec: tlsSpec,
    specOf: { v1alpha2: olderTlsSpec },
  }),
  gatewayApiKind(udpRouteKind, { ...common, ...older, description: 'Where UDP datagrams go.', spec }),
];
