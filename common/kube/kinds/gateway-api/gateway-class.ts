/** gateway.networking.k8s.io GatewayClass. */
import { about, object, string, type TypeOf, where } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import {
  age,
  conditionColumn,
  conditions,
  controllerName,
  gatewayApiKind,
  group,
  keyed,
  kind,
  namespace,
  objectName,
  statusWith,
} from './common.ts';

const spec = object({
  'controllerName!': about(
    'Which controller makes the Gateways of this class.',
    where(controllerName, 'self == oldSelf', 'the controller of a class cannot change; make another class'),
  ),
  parametersRef: about(
    'Settings of the class; which kind it is depends on the controller.',
    object({ 'group!': group, 'kind!': kind, 'name!': objectName, namespace }),
  ),
  description: about('For those who choose a class.', string({ maxLength: 64 })),
});

const status = object({
  conditions,
  supportedFeatures: about(
    'Features of the API that the controller supports.',
    keyed(object({ 'name!': string() }), 'name', { maxItems: 64 }),
  ),
});

export interface GatewayClass extends KubeObject {
  readonly spec: TypeOf<typeof spec>;
  readonly status?: TypeOf<typeof status>;
}

export const gatewayClassKind: Kind<GatewayClass> = {
  group: 'gateway.networking.k8s.io',
  version: 'v1',
  kind: 'GatewayClass',
  plural: 'gatewayclasses',
  namespaced: false,
};

export const gatewayClass = gatewayApiKind(gatewayClassKind, {
  description: 'A sort of Gateways, with the controller that makes them.',
  versions: ['v1', 'v1beta1'],
  shortNames: ['gc'],
  columns: [
    { name: 'Controller', type: 'string', jsonPath: '.spec.controllerName' },
    conditionColumn('Accepted'),
    age,
    { name: 'Description', type: 'string', jsonPath: '.spec.description', priority: 1 },
  ],
  spec,
  status: statusWith(status, 'Accepted'),
});
