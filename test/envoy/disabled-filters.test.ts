/** Filters that only some routes run, in Envoy and in ours. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { typeUrl } from '../../common/envoy/codec.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { Engines, named } from './engines.ts';

const faultType = 'envoy.extensions.filters.http.fault.v3.HTTPFault';
const abort = (status: number) => ({ abort: { http_status: status, percentage: { numerator: 100 } } });
const wrapped = (config: object) => ({ '@type': typeUrl('envoy.config.route.v3.FilterConfig'), ...config });
const at = (path: string, fault?: object) => ({
  match: { path },
  route: { cluster: 'a' },
  ...(fault && { typed_per_filter_config: { fault } }),
});
const routes = [
  at('/200'),
  at('/201', { '@type': typeUrl(faultType), ...abort(499) }),
  at('/202', wrapped({ config: {} })),
  at('/203', wrapped({ disabled: true })),
  at('/206', wrapped({ config: { '@type': typeUrl(faultType), ...abort(498) } })),
];

describe('a filter that is disabled', { skip: skipWithoutEnvoy() }, () => {
  it('runs for the routes that configure or enable it', async () => {
    const filters = [
      { ...named('fault', faultType, abort(418)), disabled: true },
      named('router', 'envoy.extensions.filters.http.router.v3.Router'),
    ];
    await using engines = await Engines.start(() => [{ name: 'a', routes, manager: { http_filters: filters } }]);
    const seen: (readonly [number, number])[] = [];
    for (const { match } of routes) {
      const [envoy, ours] = await engines.ask('a', match.path);
      seen.push([envoy.status, ours.status]);
    }
    assert.deepEqual(
      seen,
      [200, 499, 418, 203, 498].map((status) => [status, status]),
    );
  });
});
