/** The table of differences has its limit, whoever adds a row. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { countedElse, differences, tunnelledElse } from './differences.ts';

it('at most 20 differences from Envoy stand, each with its reason, none in what requests see', () => {
  const all = [...differences, ...countedElse, ...tunnelledElse];
  assert.ok(all.length <= 20, `${all.length} rows`);
  for (const { reason } of all) assert.ok(reason.length > 20, reason);
  assert.deepEqual(differences, []);
});
