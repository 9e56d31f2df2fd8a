import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { view } from '../testing/view.ts';
import { effectiveTimeouts, grpcTimeout } from './timeouts.ts';
import type { RouteTimeouts } from './types.ts';

const plain: RouteTimeouts = { response: 15_000, idle: undefined, stream: undefined, grpc: undefined };
const grpc = { 'content-type': 'application/grpc' };

describe('timeouts of a request', () => {
  it('are those of the route, where no header asks for others', () => {
    assert.deepEqual(effectiveTimeouts(view(), plain, undefined), { response: 15_000, perTry: 0, stream: 0 });
  });

  it('follow the headers of Envoy, and a try never outlasts the whole', () => {
    const headers = { 'x-envoy-upstream-rq-timeout-ms': '100', 'x-envoy-upstream-rq-per-try-timeout-ms': '40' };
    assert.deepEqual(effectiveTimeouts(view({ headers }), plain, undefined), { response: 100, perTry: 40, stream: 0 });
    const longer = { ...headers, 'x-envoy-upstream-rq-per-try-timeout-ms': '100' };
    assert.equal(effectiveTimeouts(view({ headers: longer }), plain, undefined).perTry, 0);
  });

  it('follow grpc-timeout up to what the route allows', () => {
    const bounded = { ...plain, grpc: { max: 2_000, offset: 0 } };
    const of = (value: string | undefined, timeouts: RouteTimeouts) =>
      effectiveTimeouts(
        view({ headers: value === undefined ? grpc : { ...grpc, 'grpc-timeout': value } }),
        timeouts,
        undefined,
      );
    assert.equal(of('1S', bounded).response, 1_000);
    assert.equal(of('9S', bounded).response, 2_000);
    assert.equal(of(undefined, bounded).response, 2_000);
    assert.equal(of('9S', plain).response, 15_000);
    const stream = { max: 5_000, grpcHeaderMax: 3_000, grpcHeaderOffset: 100 };
    assert.deepEqual(of('2S', { ...plain, stream }), { response: 0, perTry: 0, stream: 1_900 });
    assert.equal(of(undefined, { ...plain, stream }).stream, 5_000);
  });

  it('are none of what is no grpc-timeout', () => {
    for (const text of ['', '1', '1x', '-1S', '123456789S', undefined]) assert.equal(grpcTimeout(text), undefined);
    assert.deepEqual(['1H', '1M', '1m', '1u', '1n'].map(grpcTimeout), [3_600_000, 60_000, 1, 1, 1]);
  });
});
