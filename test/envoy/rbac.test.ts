/** Authorization in Envoy and in ours: random rules, each on a virtual host of its own, and random requests to it. */
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { typeUrl } from '../../common/envoy/codec.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { longOr } from '../harness/require.ts';
import { type Case, compare } from './compare.ts';
import { rbacRequest, rules } from './rbac-arbitraries.ts';

const tables = longOr(20, 100);
const batches = longOr(1, 5);
const policiesPerTable = 20;
const requestsPerPolicy = longOr(6, 10);

const rbac = { '@type': typeUrl('envoy.extensions.filters.http.rbac.v3.RBAC') };
const principal = {
  '@type': typeUrl('envoy.extensions.filters.http.set_filter_state.v3.Config'),
  on_request_headers: [
    {
      object_key: 'io.istio.peer_principal',
      factory_key: 'envoy.string',
      format_string: { text_format_source: { inline_string: '%REQ(X-Principal)%' }, omit_empty_values: true },
      skip_if_empty: true,
    },
  ],
};
const meta = { team: 'red', level: 7, list: ['a', 'b'] };
/** Envoy's alone: what there is in ours from the start. */
const setMetadata = {
  '@type': typeUrl('envoy.extensions.filters.http.set_metadata.v3.Config'),
  metadata: [{ metadata_namespace: 'test.meta', value: meta }],
};

const filters = [
  { name: 'set_filter_state', config: principal },
  { name: 'envoy.filters.http.rbac', config: rbac },
];

describe('authorization as in Envoy', { skip: skipWithoutEnvoy() }, () => {
  it(`decides as Envoy on ${batches * tables * policiesPerTable * requestsPerPolicy} random pairs of rules and request`, async (t) => {
    const seed = Number(process.env['ENVOY_SEED'] ?? longOr(3, Date.now() % 1_000_000));
    for (let batch = 0; batch < batches; batch++) {
      const cases = Array.from({ length: tables }, (_, i) => randomCase(seed + batch * tables + i));
      await compare(t, cases);
    }
  });
});

function randomCase(seed: number): Case {
  const all = fc.sample(rules, { seed, numRuns: policiesPerTable });
  const hosts = all.map((one, i) => ({
    name: `p${i}`,
    domains: [`p${i}.test`],
    routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }],
    typed_per_filter_config: {
      'envoy.filters.http.rbac': {
        '@type': typeUrl('envoy.extensions.filters.http.rbac.v3.RBACPerRoute'),
        rbac: { rules: one },
      },
    },
  }));
  const requests = all.flatMap((_, i) => {
    return fc.sample(rbacRequest(`p${i}.test`), { seed: seed * 1_000 + i, numRuns: requestsPerPolicy });
  });
  const inEnvoy = [{ name: 'meta', config: setMetadata }, ...filters];
  return {
    name: `random rules of seed ${seed}`,
    routes: { virtual_hosts: hosts },
    envoy: { alsoOurs: false, filters: inEnvoy.map(({ name, config }) => ({ name, typed_config: config })) },
    ours: { filters, metadata: new Map([['test.meta', meta]]) },
    requests,
  };
}
