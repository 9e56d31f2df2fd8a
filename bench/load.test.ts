import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseIperf, parseWrk } from './load.ts';

const wrkOutput = `Running 1s test @ http://10.244.2.2:8080/
  2 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.42ms  540.12us   9.10ms   80.00%
    Req/Sec    11.31k     1.02k   13.00k    60.00%
  Latency Distribution
     50%    1.33ms
     75%    1.61ms
     90%    1.98ms
     99%  812.00us
  22710 requests in 1.00s, 4.9MB read
Requests/sec:  22710.55
Transfer/sec:      4.90MB
`;

describe('load programs', () => {
  it("wrk's rates and percentiles are read, in microseconds", () => {
    assert.deepEqual(parseWrk(wrkOutput), { rps: 22_710.55, p50Us: 1_330, p99Us: 812 });
  });

  it('calls that failed are an error, not a rate', () => {
    const failed = wrkOutput.replace(
      'Requests/sec',
      '  Socket errors: connect 3, read 0, write 0, timeout 1\nRequests/sec',
    );
    assert.throws(() => parseWrk(failed), /connect 3/);
    assert.throws(() => parseWrk('unable to connect'), /no result/);
  });

  it("iperf3's received sum counts", () => {
    assert.deepEqual(parseIperf('{"end":{"sum_received":{"bits_per_second":4.7e9,"bytes":2e9}}}'), {
      mbits: 4_700,
      gigabytes: 2,
    });
    assert.throws(() => parseIperf('{"error":"unable to connect to server"}'), /unable to connect/);
  });
});
