import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Gateway, GatewayListener } from '../../common/kube/kinds/gateway-api/gateway.ts';
import { gatewayStatus } from './status.ts';

function listenersOf(...listeners: readonly object[]) {
  const gateway: Gateway = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'waypoint', namespace: 'shop', uid: 'u', resourceVersion: '1', generation: 7 },
    spec: { gatewayClassName: 'istio-waypoint', listeners: listeners as readonly GatewayListener[] },
  };
  const facts = { front: { hostname: 'h', service: undefined, readyPods: 0 }, fault: undefined };
  return gatewayStatus(gateway, facts, '2026-01-01T00:00:00Z').listeners;
}

test('a listener takes no routes, and says so to who allows kinds of them', () => {
  const mesh = { name: 'mesh', port: 15008, protocol: 'HBONE' };
  const kinds = { ...mesh, name: 'kinds', allowedRoutes: { kinds: [{ kind: 'HTTPRoute' }] } };
  const [plain, limited, http] = listenersOf(mesh, kinds, { name: 'http', port: 80, protocol: 'HTTP' });
  for (const status of [plain, limited, http]) {
    assert.deepEqual([status?.attachedRoutes, status?.supportedKinds], [0, []]);
    assert.ok(status?.conditions.every((c) => c.observedGeneration === 7));
  }
  const says = (status: typeof plain, type: string) => {
    const found = status?.conditions.find((c) => c.type === type);
    return `${found?.status} ${found?.reason}`;
  };
  assert.deepEqual([says(plain, 'Accepted'), says(plain, 'ResolvedRefs')], ['True Accepted', 'True ResolvedRefs']);
  assert.equal(says(limited, 'ResolvedRefs'), 'False InvalidRouteKinds');
  assert.equal(says(http, 'Accepted'), 'False UnsupportedProtocol');
});
