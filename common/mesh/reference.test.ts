import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ip, networkAddress, port, serves, service, storeOf, waypoint, workload } from '../testing/builders.ts';
import { isInstanceOf, referenced, referenceName, waypointOf, waypointsOf } from './reference.ts';
import type { GatewayAddress } from './types.ts';

const a = waypoint('infra/a');
const b = waypoint('infra/b');
const byIp = (text: string): GatewayAddress => ({
  destination: { kind: 'address', ...networkAddress(text) },
  hboneMtlsPort: port(15_008),
});

test('weighted waypoints win over the plain one if any weighs something', () => {
  const pick = (weights: readonly [GatewayAddress, number][], random: number, plain?: GatewayAddress) =>
    waypointOf(
      service({
        weightedWaypoints: weights.map(([w, weight]) => ({ waypoint: w, weight })),
        ...(plain && { waypoint: plain }),
      }),
      () => random,
    );
  assert.equal(pick([], 0), undefined);
  assert.equal(pick([], 0, a), a);
  assert.equal(pick([[b, 0]], 0, a), a);
  assert.equal(pick([[b, 1]], 0.99, a), b);
  assert.equal(
    pick(
      [
        [a, 90],
        [b, 10],
      ],
      0.89,
    ),
    a,
  );
  assert.equal(
    pick(
      [
        [a, 90],
        [b, 10],
      ],
      0.9,
    ),
    b,
  );
  assert.equal(
    pick(
      [
        [a, 0],
        [b, 10],
      ],
      0,
    ),
    b,
  );
  assert.equal(
    pick(
      [
        [a, 100],
        [b, 0],
      ],
      0.999,
    ),
    a,
  );
});

test('a split follows the weights', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 100 }), { minLength: 1, maxLength: 4 }), (weights) => {
      const total = weights.reduce((x, y) => x + y, 0);
      fc.pre(total > 0);
      const list = weights.map((weight, i) => ({ waypoint: waypoint(`infra/w${i}`), weight }));
      const s = service({ weightedWaypoints: list });
      // Each of `total` equal slices of [0, 1) belongs to one waypoint, as many slices as it weighs.
      const counts = weights.map(() => 0);
      for (let i = 0; i < total; i++) {
        const chosen = waypointOf(s, () => (i + 0.5) / total)!;
        counts[list.findIndex((w) => w.waypoint === chosen)]!++;
        assert.ok(waypointsOf(s).includes(chosen));
      }
      assert.deepEqual(counts, weights);
    }),
  );
});

test('what a reference names: by host name a service, then a workload; by address a VIP, then a workload', () => {
  const wp = service({ name: 'wp', namespace: 'infra', addresses: [networkAddress('/10.96.0.9')] });
  const pod = workload({ name: 'wp-0', namespace: 'infra', addresses: [ip('10.0.0.9')], services: serves(wp) });
  const named = workload({ name: 'wp-1', namespace: 'infra', hostname: 'wp.example' });
  const secret = service({
    name: 'x',
    namespace: 'infra',
    visibility: 'NAMESPACE',
    addresses: [networkAddress('/10.96.0.8')],
  });
  const store = storeOf(wp, pod, named, secret);
  const rows: readonly [GatewayAddress, unknown][] = [
    [waypoint(`infra/${wp.hostname}`), wp],
    [waypoint(`other/${wp.hostname}`), undefined],
    [waypoint('infra/wp.example'), named],
    [waypoint('infra/'), undefined],
    [byIp('/10.96.0.9'), wp],
    [byIp('/10.0.0.9'), pod],
    [byIp('net-2/10.0.0.9'), undefined],
    [byIp('/10.96.0.8'), undefined],
  ];
  for (const [reference, expected] of rows) {
    assert.equal(referenced(store, reference, 'default'), expected, referenceName(reference));
  }
  assert.equal(referenced(store, byIp('/10.96.0.8'), 'infra'), secret);
  assert.equal(isInstanceOf(pod, wp), true);
  assert.equal(isInstanceOf(pod, pod), true);
  assert.equal(isInstanceOf(named, wp), false);
  assert.equal(isInstanceOf(named, pod), false);
});
