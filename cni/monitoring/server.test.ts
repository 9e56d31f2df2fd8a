import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { millis } from '../../common/core/brand.ts';
import type { Port } from '../../common/core/net.ts';
import { createMetrics } from './metrics.ts';
import { serveMonitoring } from './server.ts';

test('the monitoring port tells whether the agent is ready, and what it counted', async (t) => {
  let captured = 3;
  let ready = false;
  const metrics = createMetrics({
    counters: () => ({ outbound_captured: captured }),
    pods: () => ({ enrolled: 2, leaving: 0 }),
    installed: () => true,
  });
  const server = await serveMonitoring({ port: 0 as Port, registry: metrics.registry, ready: () => ready });
  t.after(() => server.close());
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const status = async (path: string, method = 'GET') => (await fetch(base + path, { method })).status;

  assert.equal(await status('/readyz'), 503);
  ready = true;
  assert.equal(await status('/readyz'), 200);
  assert.equal(await status('/healthz'), 200);
  assert.equal(await status('/'), 404);
  assert.equal(await status('/metrics', 'POST'), 405);

  metrics.enrolled(millis(4), millis(9));
  metrics.withdrawn();
  metrics.ztunnelConnected(true);
  captured = 7;
  for (let scrape = 0; scrape < 2; scrape++) {
    const text = await (await fetch(`${base}/metrics`)).text();
    assert.match(text, /^aquifer_capture_outbound_captured_total 7$/m);
    assert.match(text, /^aquifer_cni_enrolment_seconds_bucket\{le="0.005",part="capture"\} 1$/m);
    assert.match(text, /^aquifer_cni_enrolment_seconds_bucket\{le="0.005",part="announce"\} 0$/m);
    assert.match(text, /^aquifer_cni_withdrawals_total 1$/m);
    assert.match(text, /^aquifer_cni_pods\{state="enrolled"\} 2$/m);
    assert.match(text, /^ztunnel_connected 1$/m);
  }
});
