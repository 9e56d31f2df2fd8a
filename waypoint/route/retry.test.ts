import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkFields } from '../../common/envoy/fields.ts';
import { Headers } from '../request/headers.ts';
import { backOffBefore, isRetriable, readRetry, type TryOutcome } from './retry.ts';

function policy(config: object) {
  const made = checkFields(config, 'RetryPolicy', readRetry);
  if (made.kind !== 'ok') throw new Error(made.reason);
  return made.value;
}

const response = (status: number, headers: readonly (readonly [string, string])[] = []): TryOutcome => {
  return { kind: 'response', response: { status, headers: Headers.of(headers) } };
};

describe('retries', () => {
  for (const [on, outcome, expected] of [
    ['5xx', response(500), '5xx'],
    ['gateway-error', response(500), undefined],
    ['gateway-error', response(503), 'gateway-error'],
    ['retriable-4xx', response(409), 'retriable-4xx'],
    ['retriable-status-codes', response(418), 'retriable-status-codes'],
    ['unavailable', response(200, [['grpc-status', '14']]), 'unavailable'],
    ['cancelled', response(200, [['grpc-status', '14']]), undefined],
    ['5xx', response(503, [['x-envoy-ratelimited', 'true']]), undefined],
    ['connect-failure', { kind: 'connect-failure' }, 'connect-failure'],
    ['connect-failure', { kind: 'reset', beforeRequest: true }, undefined],
    ['reset-before-request', { kind: 'reset', beforeRequest: true }, 'reset-before-request'],
    ['reset-before-request', { kind: 'reset', beforeRequest: false }, undefined],
    ['refused-stream', { kind: 'refused-stream' }, 'refused-stream'],
    ['retriable-headers', response(200, [['x-again', 'yes']]), 'retriable-headers'],
  ] as const) {
    it(`${on} of ${JSON.stringify(outcome)}: ${expected ?? 'no'}`, () => {
      const made = policy({
        retry_on: `${on},word-that-nobody-knows`,
        retriable_status_codes: [418],
        retriable_headers: [{ name: 'x-again', present_match: true }],
      });
      assert.equal(isRetriable(made, outcome), expected);
    });
  }

  it('wait longer each time, with full jitter and a bound', () => {
    const made = policy({
      retry_back_off: { base_interval: { nanos: 10_000_000 }, max_interval: { nanos: 50_000_000 } },
    });
    assert.deepEqual(
      [1, 2, 3, 4, 40].map((n) => backOffBefore(made, n, 0.999)),
      [9, 29, 49, 49, 49],
    );
    assert.equal(backOffBefore(made, 4, 0), 0);
  });

  it('name what they do not honour', () => {
    const made = checkFields({ retry_options_predicates: [{ name: 'x' }] }, 'RetryPolicy', readRetry);
    assert.match(
      made.kind === 'rejected' ? made.reason : '',
      /RetryPolicy\.retry_options_predicates: is not supported/,
    );
  });
});
