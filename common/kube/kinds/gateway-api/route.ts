/** What all routes have: parents, backends, status. */
import {
  about,
  int32,
  integer,
  type ObjectSchema,
  object,
  oneOf,
  string,
  type Typed,
  where,
  withDefault,
} from '../../schema/types.ts';
import {
  atomic,
  controllerName,
  duration,
  gatewayGroup,
  group,
  hostname,
  kind,
  namespace,
  objectName,
  portNumber,
  reportedConditions,
  sectionName,
} from './common.ts';

export const parentRef = object({
  group: gatewayGroup,
  kind: withDefault(kind, 'Gateway'),
  namespace,
  'name!': objectName,
  sectionName: about('One listener of a Gateway, or one port of a Service, by its name.', sectionName),
  port: about('One port of the parent.', portNumber),
});

const same = (field: string, absent: string) =>
  `(has(one.${field}) ? one.${field} : ${absent}) == (has(other.${field}) ? other.${field} : ${absent})`;
const sameParent = `other.group == one.group && other.kind == one.kind && other.name == one.name && ${same('__namespace__', "''")}`;
const names = (item: string) => `(has(${item}.sectionName) && ${item}.sectionName != '')`;
const hasPort = (item: string) => `(has(${item}.port) && ${item}.port != 0)`;

export const routeParents = {
  parentRefs: about(
    'Gateways that this is attached to, or Services for traffic within the mesh.',
    where(
      where(
        atomic(parentRef, { maxItems: 32 }),
        `self.all(one, self.all(other, !(${sameParent}) || (${names('one')} == ${names('other')} && ${hasPort('one')} == ${hasPort('other')})))`,
        'a parent is named twice: each time a sectionName or port has to say which part of it',
      ),
      `self.all(one, self.exists_one(other, ${sameParent} && ${same('sectionName', "''")} && ${same('port', '0')}))`,
      'the same part of a parent is named twice',
    ),
  ),
  useDefaultGateways: about('Attach to Gateways that take routes without a parent.', oneOf('All', 'None')),
};

export const routeHostnames = about(
  'Names that requests ask for; without any, all that the parent serves.',
  atomic(hostname, { maxItems: 16 }),
);

/** A reference without a weight. */
export const backendObjectFields = {
  group: withDefault(group, ''),
  kind: withDefault(kind, 'Service'),
  'name!': objectName,
  namespace,
  port: about('Port of the Service.', portNumber),
};
export const servicesHavePorts = [
  "self.group != '' || self.kind != 'Service' || has(self.port)",
  'a Service needs a port',
] as const;
export const backendFields = {
  ...backendObjectFields,
  weight: about(
    'Share of the load, relative to the sum. Default 1.',
    withDefault({ ...integer(0, 1_000_000), format: 'int32' }, 1),
  ),
};
export const backend = where(object(backendFields), ...servicesHavePorts);

export const routeStatus = about(
  'What controllers found; written by them.',
  object({
    'parents!': about(
      'One for each parent and controller.',
      atomic(
        object({ 'parentRef!': parentRef, 'controllerName!': controllerName, 'conditions!': reportedConditions }),
        {
          maxItems: 32,
        },
      ),
    ),
  }),
);

export const ruleName = about('Name of the rule, unique in the route.', sectionName);
export const uniqueRuleNames = [
  'self.all(one, !has(one.name) || self.exists_one(other, has(other.name) && other.name == one.name))',
  'two rules have the same name',
] as const;
/** Written out for each of the 16 rules: what a sum over a list costs, API servers cannot tell beforehand. */
export const boundedMatches = [
  `${Array.from({ length: 16 }, (_, i) => `(self.size() > ${i} && has(self[${i}].matches) ? self[${i}].matches.size() : 0)`).join(' + ')} <= 128`,
  'a route has at most 128 matches, all rules together',
] as const;

export const headerName = string({
  minLength: 1,
  maxLength: 256,
  pattern: "^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$",
  expects: 'a header name: letters, digits and a few signs',
});

export const sessionPersistence = [
  [
    "!has(self.cookie) || !has(self.cookie.lifetimeType) || self.cookie.lifetimeType != 'Permanent' || has(self.absoluteTimeout)",
    'a permanent cookie needs absoluteTimeout',
  ],
  ["(self.type == 'Cookie') == has(self.cookie)", 'cookie is for type Cookie, which needs it'],
  ["(self.type == 'Header') == has(self.header)", 'header is for type Header, which needs it'],
].reduce(
  (schema, [rule, message]) => where(schema, rule!, message!),
  object({
    absoluteTimeout: about('How long a session may last.', duration),
    type: about('What holds the session. Default Cookie.', withDefault(oneOf('Cookie', 'Header'), 'Cookie')),
    header: object({ 'name!': headerName }),
    cookie: object({
      name: headerName,
      lifetimeType: about(
        'Whether it outlives the browser. Default Session.',
        withDefault(oneOf('Permanent', 'Session'), 'Session'),
      ),
      path: about('Path of the cookie. Default /.', withDefault(string({ maxLength: 1024 }), '/')),
    }),
  }),
);

/** Each of `fields` belongs to one value of `type`, which needs it. */
export function typed<S extends ObjectSchema & Typed<unknown>>(schema: S, fields: Readonly<Record<string, string>>): S {
  return Object.entries(fields).reduce(
    (to, [type, field]) =>
      where(to, `(self.type == '${type}') == has(self.${field})`, `${field} is for type ${type}, which needs it`),
    schema,
  );
}

export const mirrorFraction = where(
  object({
    'numerator!': { ...integer(0), format: 'int32' },
    denominator: withDefault({ ...int32, minimum: 1 }, 100),
  }),
  'self.numerator <= self.denominator',
  'a fraction is at most 1',
);
