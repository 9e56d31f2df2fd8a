/** networking.istio.io DestinationRule. */
import { about, list, map, object, string, type TypeOf } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { age, type IstioStatus, istioKind, selector } from './common.ts';
import { trafficPolicy } from './traffic-policy.ts';

const spec = object({
  'host!': about('The service: a DNS name, short or full, or with a wildcard in front.', string()),
  trafficPolicy: about('For all of the service.', trafficPolicy),
  subsets: about(
    'Named parts of the service, for routes.',
    list(
      object({
        'name!': about('Name that routes use.', string()),
        labels: about('Labels of the endpoints that belong to it.', map(string())),
        trafficPolicy: about('In place of that of the service.', trafficPolicy),
      }),
    ),
  ),
  exportTo: about('Namespaces that see it: names, "." for its own, "*" for all. Default all.', list(string())),
  workloadSelector: selector,
});

export interface DestinationRule extends KubeObject {
  readonly spec: TypeOf<typeof spec>;
  readonly status?: IstioStatus;
}

export const destinationRuleKind: Kind<DestinationRule> = {
  group: 'networking.istio.io',
  version: 'v1',
  kind: 'DestinationRule',
  plural: 'destinationrules',
  namespaced: true,
};

export const destinationRule = istioKind(destinationRuleKind, {
  description: 'How connections to a service are made once a route has chosen it: load balancing, limits, TLS.',
  versions: ['v1', 'v1alpha3', 'v1beta1'],
  shortNames: ['dr'],
  columns: [{ name: 'Host', type: 'string', jsonPath: '.spec.host', description: 'The service' }, age],
  spec,
  specRequired: false,
});
