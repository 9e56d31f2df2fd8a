/**
 * The engine's verdict against the one of a reference that was written from the specification alone. `npm run test:long`
 * compares a million random pairs of policies and connection, other runs a part of them.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Compat, compatCases } from '../core/compat.ts';
import { MeshStore } from '../mesh/store.ts';
import { workload } from '../testing/builders.ts';
import { randomCases } from '../testing/l4-random.ts';
import { referenceAllows } from '../testing/l4-reference.ts';
import { authorize } from './l4.ts';

const pairs = process.env['TEST_LONG'] === '1' ? 1_000_000 : 50_000;
const base = workload({ name: 'pod' });

const modes: readonly {
  readonly name: string;
  readonly compat: Compat;
  readonly stricter: boolean;
  readonly seed: number;
}[] = [
  { name: "Istio's rules", compat: new Set(compatCases), stricter: false, seed: 1 },
  { name: 'our stricter ones', compat: new Set(), stricter: true, seed: 2 },
];

for (const { name, compat, stricter, seed } of modes) {
  test(`${pairs} random verdicts are those of the reference, by ${name}`, () => {
    const next = randomCases(seed);
    const reasons = new Map<string, number>();
    for (let i = 0; i < pairs; i++) {
      const c = next();
      const pod = { ...base, namespace: c.namespace, authorizationPolicies: c.references };
      const store = new MeshStore();
      store.apply({ policies: c.policies });
      const connection = { source: c.source, identity: c.identity, destination: c.destination };
      const verdict = authorize(connection, store.policiesFor(pod), compat);
      const expected = referenceAllows(
        c.policies,
        pod,
        { source: c.source, destination: c.destination.ip, port: c.destination.port, identity: c.identity },
        { missingRefuses: stricter, emptyDenies: stricter },
      );
      if ((verdict.kind === 'allow') !== expected) {
        assert.fail(`pair ${i} of seed ${seed}: ${verdict.kind}, the reference says otherwise: ${JSON.stringify(c)}`);
      }
      const reason = `${verdict.kind} ${verdict.by.kind}`;
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
    // A comparison that always goes one way would say nothing.
    const kinds = [
      'allow no-allow-policy',
      'allow rule',
      'deny rule',
      'deny not-allowed',
      ...(stricter ? ['deny missing-policy'] : []),
    ];
    for (const kind of kinds) assert.ok((reasons.get(kind) ?? 0) > pairs / 100, `${kind}: ${reasons.get(kind) ?? 0}`);
  });
}
