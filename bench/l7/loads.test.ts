import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseH2load } from './loads.ts';

const output = `starting benchmark...
spawning thread #0: 4 total client(s). 1 total requests
finished in 2.00s, 6133.50 req/s, 713.23KB/s
requests: 12267 total, 12299 started, 12267 done, 12267 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 12267 2xx, 0 3xx, 0 4xx, 0 5xx
`;

test("h2load's rate and requests are read", () => {
  assert.deepEqual(parseH2load(output, 32), { rps: 6_133.5, requests: 12_267 });
});

test('requests that failed are an error, not a rate', () => {
  const refused = output.replace('12267 succeeded, 0 failed', '0 succeeded, 12267 failed');
  assert.throws(() => parseH2load(refused, 32), /0 succeeded/);
  assert.throws(() => parseH2load('could not connect', 32), /no result/);
});
