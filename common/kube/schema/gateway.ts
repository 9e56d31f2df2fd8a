/** gateway.networking.k8s.io (api-fields.txt). Fields that nothing of ours reads are kept unchecked. */
import { gatewayKind } from '../kinds/gateway.ts';
import { condition } from './meta.ts';
import { integer, type KindEntry, list, map, object, oneOf, open, port, string } from './types.ts';

const name = string({ minLength: 1, maxLength: 253 });

const selector = object({
  matchLabels: map(string()),
  matchExpressions: list(
    object({
      'key!': string(),
      'operator!': oneOf('In', 'NotIn', 'Exists', 'DoesNotExist'),
      values: list(string()),
    }),
  ),
});

const listener = object({
  'name!': name,
  'port!': port,
  'protocol!': string({ minLength: 1, maxLength: 255 }),
  hostname: name,
  tls: open,
  allowedRoutes: object({
    kinds: list(open, { maxItems: 8 }),
    namespaces: object({ from: oneOf('All', 'Selector', 'Same'), selector }),
  }),
});

export const gatewayKinds: readonly KindEntry[] = [
  {
    kind: gatewayKind,
    versions: ['v1', 'v1beta1'],
    nameRule: 'subdomain',
    fields: object({
      'spec!': object({
        'gatewayClassName!': name,
        'listeners!': list(listener, { minItems: 1, maxItems: 64, 'x-kubernetes-list-map-keys': ['name'] }),
        addresses: list(object({ type: name, value: string({ maxLength: 253 }) }), { maxItems: 16 }),
        allowedListeners: open,
        defaultScope: oneOf('All', 'None'),
        infrastructure: open,
        tls: open,
      }),
      status: object({
        addresses: list(object({ type: name, 'value!': name }), { maxItems: 16 }),
        attachedListenerSets: integer(),
        conditions: list(condition, { 'x-kubernetes-list-map-keys': ['type'] }),
        listeners: list(open, { maxItems: 64 }),
      }),
    }),
  },
];
