/** Filters in Envoy and in ours, and what random route tables do not meet: cases written by hand. */
import { describe, it } from 'node:test';
import { typeUrl } from '../../common/envoy/codec.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { type Case, compare } from './compare.ts';
import type { OurFilter } from './ours.ts';
import type { Request } from './world.ts';

const http = (name: string) => typeUrl(`envoy.extensions.filters.http.${name}`);
const ask = (path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET'): Request => {
  return { method, authority: 'a.test', path, headers: Object.entries(headers) };
};

interface Level {
  readonly filter?: readonly OurFilter[];
  readonly table?: object;
  readonly host?: object;
  readonly route?: object;
  readonly action?: object;
  /** Default: any path. */
  readonly match?: object;
}

/** One route to c0 behind these filters, whose configuration is in the levels. */
function routed(
  name: string,
  { filter = [], table, host, route, action, match = { prefix: '/' } }: Level,
  requests: readonly Request[],
): Case {
  const one = { match, route: { cluster: 'c0', ...action }, ...perFilter(route) };
  return {
    name,
    routes: {
      ...perFilter(table),
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: [one], ...perFilter(host) }],
    },
    envoy: { filters: filter.map(({ name: n, config }) => ({ name: n, typed_config: config })) },
    ours: { filters: filter },
    requests,
  };
}

function perFilter(config: object | undefined): object {
  return config === undefined ? {} : { typed_per_filter_config: config };
}

const yes = { value: true };
const no = { value: false };
const cors = { name: 'cors', config: { '@type': http('cors.v3.Cors') } };
const corsPolicy = (policy: object) => ({ cors: { '@type': http('cors.v3.CorsPolicy'), ...policy } });
const preflight = (origin: string, more: Readonly<Record<string, string>> = {}) =>
  ask('/', { origin, 'access-control-request-method': 'PUT', ...more }, 'OPTIONS');
const corsRequests = [
  ask('/'),
  ask('/', { origin: 'http://a' }),
  ask('/', { origin: 'http://b.x' }),
  ask('/', { origin: 'http://c' }),
  ask('/', { origin: 'http://a' }, 'OPTIONS'),
  preflight('http://a'),
  preflight('http://b.x'),
  preflight('http://c'),
  preflight('http://c', { 'access-control-request-private-network': 'true' }),
  preflight('http://a', { 'access-control-request-private-network': 'true' }),
  preflight('http://a', { 'access-control-request-headers': 'x-q, x-r' }),
  preflight('http://c', { 'access-control-request-headers': 'x-q' }),
];
const origins = { allow_origin_string_match: [{ exact: 'http://a' }, { suffix: '.x' }] };
const full = {
  ...origins,
  allow_methods: 'GET,PUT',
  allow_headers: 'x-a',
  expose_headers: 'x-b',
  max_age: '60',
  allow_credentials: yes,
  allow_private_network_access: yes,
};

const fault = (config: object): OurFilter => ({
  name: 'fault',
  config: { '@type': http('fault.v3.HTTPFault'), ...config },
});
const always = { percentage: { numerator: 100 } };
const faultRequests = [
  ask('/'),
  ask('/', { 'x-fail': '1' }),
  ask('/', { 'x-envoy-fault-abort-request': '418' }),
  ask('/', { 'x-envoy-fault-abort-request': '418', 'x-envoy-fault-abort-request-percentage': '0' }),
  ask('/', { 'x-envoy-fault-abort-grpc-request': '5', 'content-type': 'application/grpc' }),
  ask('/', { 'x-envoy-fault-delay-request': '5' }),
  ask('/', { 'content-type': 'application/grpc' }),
  ask('/', {}, 'HEAD'),
];

const add = (key: string, value: string, more: object = {}) => ({ append: { header: { key, value }, ...more } });
const mutation = (config: object): OurFilter => ({
  name: 'mutation',
  config: { '@type': http('header_mutation.v3.HeaderMutation'), ...config },
});
const mutations = (mark: string) => ({
  request_mutations: [
    add('x-a', `${mark}-%REQ(x-a)%`),
    { remove: 'x-b' },
    add('x-b', mark, { append_action: 'ADD_IF_ABSENT' }),
  ],
  response_mutations: [add('x-up', mark, { append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' }), add('x-all', mark)],
});
const perRoute = (mark: string) => ({
  mutation: { '@type': http('header_mutation.v3.HeaderMutationPerRoute'), mutations: mutations(mark) },
});
const mutationRequests = [ask('/'), ask('/', { 'x-a': '1', 'x-b': '2' })];

const rbac = { name: 'rbac', config: { '@type': http('rbac.v3.RBAC'), rules: { action: 'ALLOW' } } };
const free = { '@type': http('rbac.v3.RBACPerRoute') };
const disabled = { '@type': typeUrl('envoy.config.route.v3.FilterConfig'), disabled: true };

const template = {
  name: 'template',
  typed_config: {
    '@type': typeUrl('envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig'),
    path_template: '/{a}/{b=**}',
  },
};

const cases: readonly Case[] = [
  routed('cors without policy', { filter: [cors] }, corsRequests),
  routed('cors', { filter: [cors], route: corsPolicy(full) }, corsRequests),
  routed('cors with little', { filter: [cors], route: corsPolicy(origins) }, corsRequests),
  routed(
    'cors for any',
    { filter: [cors], route: corsPolicy({ allow_origin_string_match: [{ exact: '*' }] }) },
    corsRequests,
  ),
  routed('cors of the host', { filter: [cors], host: corsPolicy(full) }, corsRequests),
  routed(
    'cors of both',
    {
      filter: [cors],
      host: corsPolicy(full),
      route: corsPolicy({ ...origins, allow_methods: 'PATCH', allow_credentials: no }),
    },
    corsRequests,
  ),
  routed(
    'cors that keeps others',
    { filter: [cors], route: corsPolicy({ ...full, forward_not_matching_preflights: no }) },
    corsRequests,
  ),
  ...['*', 'GET,*'].flatMap((any) =>
    [yes, no, undefined].map((allow_credentials) =>
      routed(
        `cors: methods and headers ${any}, credentials ${JSON.stringify(allow_credentials)}`,
        {
          filter: [cors],
          route: corsPolicy({
            ...origins,
            allow_methods: any,
            allow_headers: any,
            expose_headers: any,
            max_age: '*',
            ...(allow_credentials && { allow_credentials }),
          }),
        },
        corsRequests,
      ),
    ),
  ),
  routed(
    'cors turned off',
    { filter: [cors], route: corsPolicy({ ...full, filter_enabled: { default_value: { numerator: 0 } } }) },
    corsRequests,
  ),
  routed('abort', { filter: [fault({ abort: { http_status: 503, ...always } })] }, faultRequests),
  routed('abort never', { filter: [fault({ abort: { http_status: 503 } })] }, faultRequests),
  routed('abort by gRPC status', { filter: [fault({ abort: { grpc_status: 14, ...always } })] }, faultRequests),
  routed('abort by header', { filter: [fault({ abort: { header_abort: {}, ...always } })] }, faultRequests),
  routed(
    'abort of some',
    { filter: [fault({ abort: { http_status: 500, ...always }, headers: [{ name: 'x-fail', present_match: true }] })] },
    faultRequests,
  ),
  routed(
    'abort for another cluster',
    { filter: [fault({ abort: { http_status: 500, ...always }, upstream_cluster: 'c1' })] },
    faultRequests,
  ),
  routed(
    'delay, then abort',
    {
      filter: [fault({ delay: { fixed_delay: '0.002s', ...always }, abort: { http_status: 500, ...always } })],
    },
    faultRequests,
  ),
  routed('delay by header', { filter: [fault({ delay: { header_delay: {}, ...always } })] }, faultRequests),
  routed(
    'fault of the route',
    {
      filter: [fault({})],
      route: { fault: { '@type': http('fault.v3.HTTPFault'), abort: { http_status: 429, ...always } } },
    },
    faultRequests,
  ),
  routed('mutation', { filter: [mutation({ mutations: mutations('f') })] }, mutationRequests),
  routed(
    'mutation at all levels',
    {
      filter: [mutation({ mutations: mutations('f') })],
      table: perRoute('t'),
      host: perRoute('h'),
      route: perRoute('r'),
    },
    mutationRequests,
  ),
  routed(
    'mutation, the most specific last',
    {
      filter: [mutation({ mutations: mutations('f'), most_specific_header_mutations_wins: true })],
      table: perRoute('t'),
      host: perRoute('h'),
      route: perRoute('r'),
    },
    mutationRequests,
  ),
  routed('a filter that the route turns off', { filter: [rbac], route: { rbac: disabled } }, [ask('/')]),
  routed('rules that the route lifts', { filter: [rbac], route: { rbac: free } }, [ask('/')]),
  routed('rules that refuse all', { filter: [rbac] }, [
    ask('/'),
    ask('/', { 'content-type': 'application/grpc' }),
    ask('/', {}, 'HEAD'),
  ]),
  routed('a host appended', { action: { host_rewrite_literal: 'b.test', append_x_forwarded_host: true } }, [
    ask('/'),
    ask('/', { 'x-forwarded-host': 'c.test' }),
    ask('/', { 'x-forwarded-host': 'a.test' }),
    ask('/', { 'x-forwarded-host': 'c.test, a.test' }),
    ask('/', { 'x-forwarded-host': 'a.test,c.test' }),
    ask('/', { 'x-forwarded-host': 'c.test,a.test' }),
  ]),
  routed(
    'a template rewritten',
    {
      match: { path_match_policy: template },
      action: {
        path_rewrite_policy: {
          name: 'rewrite',
          typed_config: {
            '@type': typeUrl('envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig'),
            path_template_rewrite: '/new/{b}/{a}',
          },
        },
      },
    },
    [ask('/1/2?q'), ask('/1/2/3'), ask('/1')],
  ),
];

describe('filters as in Envoy', { skip: skipWithoutEnvoy() }, () => {
  it('answer, forward and change the same', (t) => compare(t, cases));
});
