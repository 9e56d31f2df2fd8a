/** Route tables in Envoy and in ours: random ones, and what random ones do not meet. */
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { longOr } from '../harness/require.ts';
import { request, routeTable } from './arbitraries.ts';
import { compare } from './compare.ts';

const batches = longOr(4, 100);
const tablesPerBatch = 25;
const requestsPerTable = longOr(30, 40);

describe('routes as in Envoy', { skip: skipWithoutEnvoy() }, () => {
  it(`decides as Envoy on ${batches * tablesPerBatch * requestsPerTable} random requests`, async (t) => {
    const seed = Number(process.env['ENVOY_SEED'] ?? longOr(7, Date.now() % 1_000_000));
    for (let batch = 0; batch < batches; batch++) {
      const from = seed + batch;
      const tables = fc.sample(routeTable, { seed: from, numRuns: tablesPerBatch });
      const cases = tables.map((routes, i) => ({
        name: `random table ${i} of seed ${from}`,
        routes,
        requests: fc.sample(request, { seed: from * 1_000 + i, numRuns: requestsPerTable }),
      }));
      await compare(t, cases);
    }
  });
});
