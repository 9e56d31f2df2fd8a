/** RateLimitPolicy of policy.aquifer.dev: how often requests may come. */
import { about, integer, list, object, oneOf, string, type TypeOf, where } from '../../schema/types.ts';
import type { Kind, KubeObject } from '../../types.ts';
import { age, type IstioStatus, istioStatus, targetRefFields } from '../istio/common.ts';

const key = where(
  object({
    'type!': about(
      'Header: the first value of a header. Claim: of a token that a RequestAuthentication reads. Identity: who calls, by its certificate. Address: where the connection comes from.',
      oneOf('Header', 'Claim', 'Identity', 'Address'),
    ),
    name: about(
      'Of the header, or of the claim, with dots between names that nest.',
      string({ minLength: 1, maxLength: 256 }),
    ),
  }),
  "has(self.name) == (self.type in ['Header', 'Claim'])",
  'Header and Claim need a name, and the others have none',
);

const match = object({
  methods: about('One of these.', list(string({ minLength: 1, maxLength: 64 }), { minItems: 1, maxItems: 16 })),
  paths: about(
    'One of these, without the query: as they are, or with "*" at the end for whatever follows.',
    list(
      string({
        minLength: 1,
        maxLength: 1024,
        pattern: '^/[^*?#]*\\*?$',
        expects: 'a path, perhaps with "*" at its end',
      }),
      { minItems: 1, maxItems: 32 },
    ),
  ),
});

const limit = object({
  'name!': about(
    'Within the policy.',
    string({ maxLength: 63, pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', expects: 'small letters, digits and "-"' }),
  ),
  match: about('Which requests; absent: all.', match),
  by: about(
    'Requests that are the same in all of these are counted together, those that lack a header or claim too. Absent: all are.',
    list(key, { maxItems: 4 }),
  ),
  'requests!': about('So many in each unit of time.', integer(1, 1_000_000_000)),
  'unit!': about(
    'Of time. A counter counts by the calendar in UTC, and it alone knows Month and Year.',
    oneOf('Second', 'Minute', 'Hour', 'Day', 'Month', 'Year'),
  ),
  burst: about(
    'So many at once after a time without any; not with a counter. Default: requests.',
    integer(1, 1_000_000_000),
  ),
});

const counter = object({
  'service!': about(
    'A Service of the mesh that speaks envoy.service.ratelimit.v3 and takes the limit from the entry quota, as `istiod quota` does.',
    object({
      'name!': about("The Service's.", string({ minLength: 1, maxLength: 63 })),
      namespace: about("Default: the policy's.", string({ minLength: 1, maxLength: 63 })),
    }),
  ),
  'port!': about('Of the Service; its protocol has to be gRPC or HTTP/2.', integer(1, 65_535)),
  failure: about(
    'Of requests where it does not answer in a second, or is not there. Default Refuse: 500, and 403 where there is no such port, then also for requests of other routes than the targets.',
    oneOf('Refuse', 'Pass'),
  ),
});

const target = object({
  ...targetRefFields,
  'kind!': about(
    'Kind of the target: Gateway, GatewayClass, Service, ServiceEntry or HTTPRoute.',
    string({ minLength: 1, maxLength: 63, pattern: '^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$', expects: 'a kind' }),
  ),
  sectionName: about(
    'Of a Service or ServiceEntry the name of a port, of an HTTPRoute that of a rule. Absent: all of it.',
    string({ minLength: 1, maxLength: 253 }),
  ),
});

const fields = object(
  {
    targetRef: about('What this is attached to; targetRefs takes several.', target),
    targetRefs: about(
      'What this is attached to: waypoints, services behind one, or HTTPRoutes of such services, whose requests alone are limited then.',
      list(target, { maxItems: 16 }),
    ),
    'limits!': about(
      'Without a counter each waypoint pod counts by itself. A request has to fit all; one that does not gets 429, or RESOURCE_EXHAUSTED with gRPC.',
      list(limit, {
        minItems: 1,
        maxItems: 16,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
      }),
    ),
    counter: about(
      'Counts for all waypoint pods together; what an hour or more is the limit of survives its restart.',
      counter,
    ),
  },
  { atMostOneOf: [['targetRef', 'targetRefs']] },
);

const spec = where(
  where(
    fields,
    "has(self.counter) || self.limits.all(l, !(l.unit in ['Month', 'Year']))",
    'limits by Month and Year need a counter',
  ),
  '!has(self.counter) || self.limits.all(l, !has(l.burst))',
  'a counter knows no burst',
);

export type RateLimitSpec = TypeOf<typeof spec>;
export type Limit = RateLimitSpec['limits'][number];
export type LimitCounter = TypeOf<typeof counter>;
export type LimitTarget = TypeOf<typeof target>;
export type LimitKey = TypeOf<typeof key>;

export interface RateLimitPolicy extends KubeObject {
  readonly spec: RateLimitSpec;
  readonly status?: IstioStatus;
}

export const rateLimitPolicyKind: Kind<RateLimitPolicy> = {
  group: 'policy.aquifer.dev',
  version: 'v1alpha1',
  kind: 'RateLimitPolicy',
  plural: 'ratelimitpolicies',
  namespaced: true,
};

export const rateLimitPolicy = {
  kind: rateLimitPolicyKind,
  description: 'How often requests may come to what is behind a waypoint.',
  versions: ['v1alpha1'],
  storage: 'v1alpha1',
  deprecated: [],
  shortNames: ['rlp'],
  columns: [age],
  categories: ['aquifer'],
  // Helm leaves them, and all objects with them, where a chart goes.
  annotations: { 'helm.sh/resource-policy': 'keep' },
  nameRule: 'subdomain',
  fields: object({ 'spec!': spec, status: istioStatus }),
} as const;
