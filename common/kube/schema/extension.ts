/** apiextensions.k8s.io/v1. */
import { customResourceDefinitionKind } from '../kinds/extension.ts';
import { conditions } from './meta.ts';
import { boolean, integer, type KindEntry, list, object, oneOf, open, string, withDefault } from './types.ts';

const label = string({
  maxLength: 63,
  pattern: '^[a-z]([-a-z0-9]*[a-z0-9])?$',
  expects: 'an RFC 1035 label: lower-case letters, digits and "-", beginning with a letter, at most 63',
});
const kind = string({
  maxLength: 63,
  pattern: '^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$',
  expects: 'a kind: letters and digits, beginning with a letter',
});

/** With `plural!` and `kind!` as a user gives them; in status they may be absent. */
const names = (mark: '!' | '') =>
  object({
    [`plural${mark}`]: mark === '' ? string() : label,
    singular: string(),
    shortNames: list(string()),
    [`kind${mark}`]: mark === '' ? string() : kind,
    listKind: string(),
    categories: list(string()),
  });

const version = object({
  'name!': label,
  'served!': boolean,
  'storage!': boolean,
  deprecated: boolean,
  deprecationWarning: string({ maxLength: 256 }),
  // Schemas hold schemas: the API server reads it (istiod/apiserver/crd/structural.ts).
  schema: object({ openAPIV3Schema: open }),
  subresources: object({
    status: open,
    scale: object({ 'specReplicasPath!': string(), 'statusReplicasPath!': string(), labelSelectorPath: string() }),
  }),
  additionalPrinterColumns: list(
    object({
      'name!': string({ minLength: 1 }),
      'type!': oneOf('boolean', 'date', 'integer', 'number', 'string'),
      format: oneOf('int32', 'int64', 'float', 'double', 'byte', 'binary', 'date', 'date-time', 'password', ''),
      description: string(),
      priority: integer(),
      'jsonPath!': string({ minLength: 1 }),
    }),
  ),
  selectableFields: list(object({ 'jsonPath!': string({ minLength: 1 }) }), { maxItems: 8 }),
});

export const customResourceDefinitionEntry: KindEntry = {
  kind: customResourceDefinitionKind,
  versions: ['v1'],
  nameRule: 'subdomain',
  fields: object({
    'spec!': object({
      'group!': string({
        maxLength: 253,
        pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$',
        expects: 'a domain name such as example.com',
      }),
      'names!': names('!'),
      'scope!': oneOf('Cluster', 'Namespaced'),
      'versions!': list(version, { minItems: 1 }),
      conversion: withDefault(object({ 'strategy!': oneOf('None', 'Webhook'), webhook: open }), { strategy: 'None' }),
      preserveUnknownFields: boolean,
    }),
    status: object({ conditions, acceptedNames: names(''), storedVersions: list(string()) }),
  }),
};
