/** networking.istio.io EnvoyFilter. */
import { about, int32, list, map, object, oneOf, open, port, string, type TypeOf, where } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { type IstioStatus, istioKind, labelSelector, targetRefs, uint32 } from './common.ts';

const filter = about('A filter, and one within it.', object({ name: string(), subFilter: object({ name: string() }) }));

const match = where(
  object(
    {
      context: about(
        'Which side of which proxies.',
        oneOf('ANY', 'SIDECAR_INBOUND', 'SIDECAR_OUTBOUND', 'GATEWAY', 'WAYPOINT'),
      ),
      proxy: about(
        'Which proxies.',
        object({ proxyVersion: about('Regular expression.', string()), metadata: map(string()) }),
      ),
      listener: object({
        portNumber: uint32,
        portName: string(),
        filterChain: object({
          name: string(),
          sni: string(),
          transportProtocol: string(),
          transportSocket: string(),
          applicationProtocols: string(),
          filter,
          destinationPort: uint32,
        }),
        listenerFilter: string(),
        name: string(),
      }),
      routeConfiguration: object({
        portNumber: uint32,
        portName: string(),
        gateway: string(),
        vhost: object({
          name: string(),
          domainName: string(),
          route: object({ name: string(), action: oneOf('ANY', 'ROUTE', 'REDIRECT', 'DIRECT_RESPONSE') }),
        }),
        name: string(),
      }),
      cluster: object({ portNumber: uint32, service: string(), subset: string(), name: string() }),
      waypoint: object({ portNumber: port, filter, route: object({ name: string() }) }),
    },
    { atMostOneOf: [['listener', 'routeConfiguration', 'cluster', 'waypoint']] },
  ),
  "(has(self.context) && self.context == 'WAYPOINT') == has(self.waypoint)",
  'waypoint is for the context WAYPOINT, and that context takes nothing else',
);

const spec = where(
  object({
    workloadSelector: labelSelector,
    targetRefs,
    priority: about('Filters with lower numbers come first. Default 0.', int32),
    configPatches: about(
      'Changes in their order.',
      list(
        object({
          applyTo: about(
            'What is changed.',
            oneOf(
              'INVALID',
              'LISTENER',
              'FILTER_CHAIN',
              'NETWORK_FILTER',
              'HTTP_FILTER',
              'ROUTE_CONFIGURATION',
              'VIRTUAL_HOST',
              'HTTP_ROUTE',
              'CLUSTER',
              'EXTENSION_CONFIG',
              'BOOTSTRAP',
              'LISTENER_FILTER',
            ),
          ),
          match: about('Which of them.', match),
          patch: about(
            'How.',
            object({
              operation: oneOf(
                'INVALID',
                'MERGE',
                'ADD',
                'REMOVE',
                'INSERT_BEFORE',
                'INSERT_AFTER',
                'INSERT_FIRST',
                'REPLACE',
                'MERGE_AND_REPLACE_LIST',
              ),
              value: about("In Envoy's own configuration.", open),
              filterClass: about('Place among the filters.', oneOf('UNSPECIFIED', 'AUTHN', 'AUTHZ', 'STATS')),
            }),
          ),
        }),
      ),
    ),
  }),
  '!(has(self.workloadSelector) && has(self.targetRefs))',
  'workloadSelector and targetRefs exclude each other; keep one',
);

export interface EnvoyFilter extends KubeObject {
  readonly spec?: TypeOf<typeof spec>;
  readonly status?: IstioStatus;
}

export const envoyFilterKind: Kind<EnvoyFilter> = {
  group: 'networking.istio.io',
  version: 'v1alpha3',
  kind: 'EnvoyFilter',
  plural: 'envoyfilters',
  namespaced: true,
};

export const envoyFilter = istioKind(envoyFilterKind, {
  description: "Changes of Envoy's own configuration, for proxies that are Envoys.",
  versions: ['v1alpha3'],
  spec,
  specRequired: false,
});
