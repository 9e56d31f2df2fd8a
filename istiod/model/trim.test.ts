import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '../../common/kube/kinds/core.ts';
import { trimPod } from './trim.ts';

test('a condition of a pod that is no text does not make it ready, and is no fault of istiod', () => {
  const readiness = (status: unknown) => {
    const conditions = [{ type: 'Ready', status }];
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a', namespace: 'b', uid: 'c' },
      spec: {},
      status: { conditions },
    };
    return trimPod(pod as unknown as Pod).status?.conditions?.map((c) => c.status);
  };
  assert.deepEqual(readiness('True'), ['True']);
  for (const odd of ['False', 'Unknown', true, null, { toString: 1 }, ['True']])
    assert.deepEqual(readiness(odd), ['False']);
});
