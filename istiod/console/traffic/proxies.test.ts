import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proxyAddresses } from './proxies.ts';

test('addresses of proxies, of both families, and of nobody else', () => {
  const proxies = [
    { id: 'ztunnel~10.0.0.1~z.istio-system~istio-system.svc.cluster.local', peer: '10.0.0.1:4000' },
    { id: 'waypoint~fd00::1~w.shop~shop.svc.cluster.local', peer: 'fd00:10:244:1::4:36842' },
    { id: 'sidecar~10.0.0.2~s.shop~shop.svc.cluster.local', peer: '10.0.0.2:4000' },
    { id: 'ztunnel~~z~', peer: 'unknown' },
  ];
  assert.deepEqual([...proxyAddresses(proxies)], ['10.0.0.1', 'fd00:10:244:1::4']);
});
