/** What the kinds of the Gateway API have in common (api-fields.txt). */
import {
  type ArraySchema,
  about,
  type Column,
  type CustomKind,
  integer,
  list,
  map,
  type ObjectSchema,
  object,
  oneOf,
  type Schema,
  string,
  type Typed,
  type TypeOf,
  where,
  withDefault,
} from '../../schema/types.ts';
import type { Kind } from '../../types.ts';

export const subdomainPattern = '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*';
const subdomain = { pattern: `^${subdomainPattern}$`, expects: 'lower-case letters, digits, "-" and "."' };
/** Names beside it: a domain, "/" and a path. */
const domainPath = `${subdomainPattern}\\/[A-Za-z0-9\\/\\-._~%!$&'()*+,;=:]+`;

export const objectName = about('Name of the object.', string({ minLength: 1, maxLength: 253 }));
export const sectionName = string({ minLength: 1, maxLength: 253, ...subdomain });
export const namespace = about(
  "Namespace of the object; another one than this object's takes a ReferenceGrant there.",
  string({
    minLength: 1,
    maxLength: 63,
    pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
    expects: 'a namespace: lower-case letters, digits and "-"',
  }),
);
export const group = about(
  'API group of the object; empty for the core group.',
  string({ maxLength: 253, pattern: `^$|^${subdomainPattern}$`, expects: 'an API group, empty for the core group' }),
);
export const kind = about(
  'Kind of the object.',
  string({
    minLength: 1,
    maxLength: 63,
    pattern: '^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$',
    expects: 'a kind such as "Service"',
  }),
);
export const gatewayGroup = withDefault(group, 'gateway.networking.k8s.io');
export const hostname = string({
  minLength: 1,
  maxLength: 253,
  pattern: `^(\\*\\.)?${subdomainPattern}$`,
  expects: 'a DNS name in lower case, or *. and one',
});
/** A DNS name without a wildcard. */
export const preciseHostname = string({ minLength: 1, maxLength: 253, ...subdomain });
export const portNumber = { ...integer(1, 65_535), format: 'int32' };
export const int32From = (minimum: number) => ({ ...integer(minimum), format: 'int32' });
export const controllerName = string({
  minLength: 1,
  maxLength: 253,
  pattern: `^${domainPath}$`,
  expects: 'a domain, "/" and a path, such as example.com/controller',
});
export const duration = string({
  pattern: '^([0-9]{1,5}(h|m|s|ms)){1,4}$',
  expects: 'a duration such as 10s or 1m30s, of h, m, s and ms',
});
/** Whoever applies it owns all of it. */
export const atomic = <S extends Schema>(
  items: S,
  rest: Omit<ArraySchema, 'type' | 'items'> = {},
): ArraySchema & Typed<readonly TypeOf<S>[]> => ({ ...list(items, rest), 'x-kubernetes-list-type': 'atomic' });
/** Items are told apart by `key`. */
export const keyed = <S extends Schema>(
  items: S,
  key: string,
  rest: Omit<ArraySchema, 'type' | 'items'> = {},
): ArraySchema & Typed<readonly TypeOf<S>[]> => ({
  ...list(items, rest),
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': [key],
});

/** Each item once. */
export const setOf = <S extends Schema>(
  items: S,
  rest: Omit<ArraySchema, 'type' | 'items'> = {},
): ArraySchema & Typed<readonly TypeOf<S>[]> => ({ ...list(items, rest), 'x-kubernetes-list-type': 'set' });

export const labelSelector = object(
  {
    matchLabels: about('All of these labels.', map(string())),
    matchExpressions: about(
      'All of these requirements.',
      atomic(
        object({
          'key!': about('Label that it is about.', string()),
          'operator!': oneOf('In', 'NotIn', 'Exists', 'DoesNotExist'),
          values: about('For In and NotIn.', atomic(string())),
        }),
      ),
    ),
  },
  { 'x-kubernetes-map-type': 'atomic' },
);

export const condition = object({
  'type!': about(
    'What the condition is about.',
    string({
      maxLength: 316,
      pattern: `^(${subdomainPattern}/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$`,
      expects: 'a name such as Accepted',
    }),
  ),
  'status!': oneOf('True', 'False', 'Unknown'),
  'reason!': about(
    'The cause of the last change in one word.',
    string({
      minLength: 1,
      maxLength: 1024,
      pattern: '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$',
      expects: 'one word such as NoResources',
    }),
  ),
  'message!': about('The cause of the last change for a reader.', string({ maxLength: 32_768 })),
  'lastTransitionTime!': about('When the status changed last.', string({ format: 'date-time' })),
  observedGeneration: about('metadata.generation of what was judged.', { ...integer(0), format: 'int64' }),
});

/** At most eight, one of each type. */
export const conditions = about(
  'The present state, one condition of each type.',
  keyed(condition, 'type', { maxItems: 8 }),
);

/** Of one parent, by one controller, which has something to say. */
export const reportedConditions = { ...conditions, minItems: 1 };

/** `types` are unknown until a controller has looked. */
export function pending(...types: readonly string[]): object[] {
  return types.map((type) => ({
    type,
    status: 'Unknown',
    reason: 'Pending',
    message: 'Waiting for controller',
    lastTransitionTime: '1970-01-01T00:00:00Z',
  }));
}

/** Status with conditions that are filled in, so that nobody takes a new object for a finished one. */
export function statusWith<S extends ObjectSchema & Typed<unknown>>(schema: S, ...types: readonly string[]): S {
  const filled = { ...conditions, default: pending(...types) };
  return {
    ...schema,
    properties: { ...schema.properties, conditions: filled },
    default: { conditions: pending(...types) },
  };
}

const labelKeyRule = [
  `self.all(key, key.matches(r"""^(${subdomainPattern}/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$"""))`,
  'keys are names of at most 63 letters, digits, "-", "_" and ".", after a domain and "/" or without',
] as const;
const labelDomainRule = [
  "self.all(key, key.split('/')[0].size() < 253)",
  'the domain of a key has at most 252 characters',
] as const;
export const labelMap = where(
  where(
    map(
      string({
        maxLength: 63,
        pattern: '^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$',
        expects: 'a label value: letters, digits, "-", "_" and ".", at most 63',
      }),
      { maxProperties: 8 },
    ),
    ...labelKeyRule,
  ),
  ...labelDomainRule,
);
export const annotationMap = where(
  where(map(string({ maxLength: 4096 }), { maxProperties: 16 }), ...labelKeyRule),
  ...labelDomainRule,
);
/** Keys and values that only implementations know. */
export const optionMap = map(string({ maxLength: 4096 }), { maxProperties: 16 });

/** An object of the same namespace. */
export const localObjectRef = object({ 'group!': group, 'kind!': kind, 'name!': objectName });
export const objectRef = object({ 'group!': group, 'kind!': kind, 'name!': objectName, namespace });
export const secretRef = object({
  group: withDefault(group, ''),
  kind: withDefault(kind, 'Secret'),
  'name!': objectName,
  namespace,
});

const addressType = withDefault(
  string({
    minLength: 1,
    maxLength: 253,
    pattern: `^Hostname|IPAddress|NamedAddress|${domainPath}$`,
    expects: 'Hostname, IPAddress, NamedAddress, or a domain, "/" and a path',
  }),
  'IPAddress',
);
const ipWhereSaid = {
  oneOf: [
    { properties: { type: { enum: ['IPAddress'] }, value: { anyOf: [{ format: 'ipv4' }, { format: 'ipv6' }] } } },
    { properties: { type: { not: { enum: ['IPAddress'] } } } },
  ],
};
const nameWhereSaid = [
  `self.type != 'Hostname' || !has(self.value) || self.value.matches(r"""^(\\*\\.)?${subdomainPattern}$""")`,
  'of type Hostname: expected a DNS name in lower case',
] as const;
export const gatewayAddress = where(
  object({ type: addressType, value: string({ maxLength: 253 }) }, ipWhereSaid),
  ...nameWhereSaid,
);
export const gatewayStatusAddress = where(
  object({ type: addressType, 'value!': string({ minLength: 1, maxLength: 253 }) }, ipWhereSaid),
  ...nameWhereSaid,
);

export const age: Column = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };
export const conditionColumn = (type: string): Column => ({
  name: type,
  type: 'string',
  jsonPath: `.status.conditions[?(@.type=="${type}")].status`,
});

interface Description {
  readonly description: string;
  /** The first one is stored unless `storage` says otherwise. */
  readonly versions: readonly string[];
  readonly storage?: string;
  readonly deprecated?: readonly string[];
  readonly shortNames?: readonly string[];
  readonly columns: readonly Column[];
  readonly spec: ObjectSchema;
  readonly specRequired?: boolean;
  readonly status?: ObjectSchema;
  readonly specOf?: Readonly<Record<string, ObjectSchema>>;
}

/** The release of the Gateway API whose fields these are, and that fields on trial are among them. */
const annotations = {
  'api-approved.kubernetes.io': 'https://github.com/kubernetes-sigs/gateway-api/pull/4530',
  'gateway.networking.k8s.io/bundle-version': 'v1.6.1',
  'gateway.networking.k8s.io/channel': 'experimental',
};

export function gatewayApiKind(of: Kind, given: Description): CustomKind {
  const { description, versions, storage = versions[0]!, deprecated = [], shortNames = [], columns, status } = given;
  const fields = (spec: ObjectSchema): ObjectSchema => {
    const rest = status === undefined ? {} : { status };
    return object(given.specRequired === false ? { spec, ...rest } : { 'spec!': spec, ...rest });
  };
  return {
    kind: of,
    description,
    versions,
    storage,
    deprecated,
    shortNames,
    columns,
    categories: ['gateway-api'],
    annotations,
    nameRule: 'subdomain',
    fields: fields(given.spec),
    ...(given.specOf === undefined
      ? {}
      : { fieldsOf: Object.fromEntries(Object.entries(given.specOf).map(([v, spec]) => [v, fields(spec)])) }),
  };
}
