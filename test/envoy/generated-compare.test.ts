/** What istiod makes of random routes of both APIs decides alike in Envoy and in ours. Chance is taken out: each throws dice of its own. */
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { typeUrl } from '../../common/envoy/codec.ts';
import type { ClusterWeight, Route } from '../../istiod/envoy/routes/envoy.ts';
import { corsFilter, faultFilter } from '../../istiod/envoy/routes/filters.ts';
import { httpRoutesOf } from '../../istiod/envoy/routes/http.ts';
import { routeObjects } from '../../istiod/envoy/routes/testing/arbitrary.ts';
import { service, viewOf, waypointContext } from '../../istiod/envoy/routes/testing/view.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { type Case, compare } from './compare.ts';
import { clusters, type Request } from './world.ts';

const services = [service('shop/web:http=80'), service('shop/v2:http=80'), service('pay/api:grpc=9000')];
const cors = 'envoy.extensions.filters.http.cors.v3.Cors';

const paths = [
  '/',
  '/a',
  '/a/',
  '/a/b',
  '/A',
  '/ab',
  '/a/1',
  '/a.b',
  '/a%20b/c',
  '/x-y/z?abc=a',
  '/a?a=b&x-y=Z9',
  '/a.B/Get',
  '/C/Put',
];
const requests: readonly Request[] = paths.flatMap((path) => [
  { method: 'GET', authority: 'web', path, headers: [] },
  {
    method: 'POST',
    authority: 'abc',
    path,
    headers: [
      ['x-a', 'a'],
      ['x-b', 'abc'],
      ['user-agent', 'x-y'],
    ],
  },
  {
    method: 'OPTIONS',
    authority: 'a',
    path,
    headers: [
      ['origin', 'https://x.a.com'],
      ['access-control-request-method', 'PUT'],
      ['cookie', 'b'],
    ],
  },
]);

describe('routes that istiod makes', { skip: skipWithoutEnvoy() }, () => {
  it('decide in Envoy as in ours', async (t) => {
    const count = process.env['TEST_LONG'] === '1' ? 400 : 40;
    const cases = fc.sample(routeObjects, count).flatMap((objects): readonly Case[] => {
      const context = waypointContext(viewOf(services, objects), services[0]!, 80, {
        cluster: ({ service: to, subset }) => clusters[subset === '' ? services.indexOf(to) : 3]!,
      });
      const { routes } = httpRoutesOf(context);
      if (routes.some((r) => r.match.runtime_fraction !== undefined)) return [];
      return [
        {
          name: JSON.stringify(objects),
          routes: {
            '@type': typeUrl('envoy.config.route.v3.RouteConfiguration'),
            name: 'x',
            virtual_hosts: [{ name: 'all', domains: ['*'], routes: routes.map(certain) }],
            validate_clusters: { value: false },
          },
          envoy: { filters: [{ name: corsFilter, typed_config: { '@type': typeUrl(cors) } }] },
          ours: { filters: [{ name: corsFilter, config: { '@type': typeUrl(cors) } }] },
          requests,
        },
      ];
    });
    await compare(t, cases);
  });
});

/** Without what happens by chance: also by how busy the machine is. */
function certain(route: Route): object {
  const { [faultFilter]: _fault, ...filters } = route.typed_per_filter_config ?? {};
  const rest = { ...route, typed_per_filter_config: filters };
  if (!('route' in route)) return rest;
  const { weighted_clusters, request_mirror_policies: _m, retry_policy: _r, timeout: _t, ...action } = route.route;
  const [first] = weighted_clusters?.clusters ?? [];
  const one = (c: ClusterWeight) => ({ weighted_clusters: { clusters: [c] } });
  return { ...rest, route: { ...action, ...(first === undefined ? {} : one(first)) } };
}
