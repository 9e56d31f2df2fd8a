/** gateway.networking.k8s.io Gateway. */
import { about, int32, object, oneOf, type TypeOf, where, withDefault } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import {
  age,
  annotationMap,
  atomic,
  conditionColumn,
  conditions,
  gatewayAddress,
  gatewayApiKind,
  gatewayStatusAddress,
  keyed,
  labelMap,
  labelSelector,
  localObjectRef,
  objectName,
  objectRef,
  portNumber,
  secretRef,
  statusWith,
} from './common.ts';
import { type listener, listenerStatuses, listeners } from './listener.ts';

const once = (type: string) =>
  `self.all(one, one.type != '${type}' || !has(one.value) || self.exists_one(other, other.type == one.type && has(other.value) && other.value == one.value))`;

const clientValidation = object({
  validation: about(
    'How certificates of clients are verified.',
    object({
      'caCertificateRefs!': about(
        'ConfigMaps or Secrets with the authorities.',
        atomic(objectRef, { minItems: 1, maxItems: 16 }),
      ),
      mode: about(
        'AllowInsecureFallback takes clients without a valid certificate too. Default AllowValidOnly.',
        withDefault(oneOf('AllowValidOnly', 'AllowInsecureFallback'), 'AllowValidOnly'),
      ),
    }),
  ),
});

const spec = object({
  'gatewayClassName!': about('Class of the Gateway.', objectName),
  'listeners!': about('Where traffic arrives.', listeners),
  addresses: about(
    'Addresses that are asked for.',
    where(
      where(atomic(gatewayAddress, { maxItems: 16 }), once('IPAddress'), 'an IP address is named twice'),
      once('Hostname'),
      'a host name is named twice',
    ),
  ),
  infrastructure: about(
    'What is made for the Gateway carries these.',
    object({
      labels: about('Labels of what is made.', labelMap),
      annotations: about('Annotations of what is made.', annotationMap),
      parametersRef: about('Settings of what is made.', localObjectRef),
    }),
  ),
  allowedListeners: about(
    'Whose ListenerSets may add listeners.',
    object({
      namespaces: about(
        'Namespaces of ListenerSets. Default: none.',
        withDefault(
          object({ from: withDefault(oneOf('All', 'Selector', 'Same', 'None'), 'None'), selector: labelSelector }),
          { from: 'None' },
        ),
      ),
    }),
  ),
  tls: about(
    'TLS of the Gateway as a whole.',
    object({
      backend: about(
        'Towards backends.',
        object({ clientCertificateRef: about('Secret with the certificate that is shown to them.', secretRef) }),
      ),
      frontend: about(
        'Towards clients.',
        object({
          'default!': about('For all ports.', clientValidation),
          perPort: about(
            'For single ports.',
            where(
              keyed(object({ 'port!': portNumber, 'tls!': clientValidation }), 'port', { maxItems: 64 }),
              'self.all(one, self.exists_one(other, other.port == one.port))',
              'a port is named twice',
            ),
          ),
        }),
      ),
    }),
  ),
  defaultScope: about('Whether routes without a parent attach here.', oneOf('All', 'None')),
});

const status = object({
  addresses: about('Addresses that it has.', atomic(gatewayStatusAddress, { maxItems: 16 })),
  conditions,
  listeners: about('State of each listener.', listenerStatuses),
  attachedListenerSets: about('How many ListenerSets are attached.', int32),
});

export type GatewayListener = TypeOf<typeof listener>;

export interface Gateway extends KubeObject {
  readonly spec: TypeOf<typeof spec>;
  readonly status?: TypeOf<typeof status>;
}

export const gatewayKind: Kind<Gateway> = {
  group: 'gateway.networking.k8s.io',
  version: 'v1',
  kind: 'Gateway',
  plural: 'gateways',
  namespaced: true,
};

export const gateway = gatewayApiKind(gatewayKind, {
  description: 'Where traffic enters the mesh or a part of it; waypoints are Gateways.',
  versions: ['v1', 'v1beta1'],
  shortNames: ['gtw'],
  columns: [
    { name: 'Class', type: 'string', jsonPath: '.spec.gatewayClassName' },
    { name: 'Address', type: 'string', jsonPath: '.status.addresses[*].value' },
    conditionColumn('Programmed'),
    age,
  ],
  spec,
  status: statusWith(status, 'Accepted', 'Programmed'),
});
