import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Secret } from '../../common/kube/kinds/core.ts';
import { wantedClusters } from './secrets.ts';

const secret = (name: string, data: Readonly<Record<string, string>>, label: string | undefined = 'true'): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: {
    name,
    namespace: 'istio-system',
    uid: name,
    resourceVersion: '1',
    ...(label !== undefined && { labels: { 'istio/multiCluster': label } }),
  },
  data: Object.fromEntries(Object.entries(data).map(([id, text]) => [id, Buffer.from(text).toString('base64')])),
});

test('each key of a labelled Secret is a cluster; the own one and a second of a name are refused', () => {
  const wanted = wantedClusters(
    [
      secret('b', { east: 'B', west: 'W', here: 'H' }),
      secret('a', { east: 'A' }),
      secret('c', { north: 'N' }, 'false'),
      {
        ...secret('d', { north: 'N' }),
        metadata: { name: 'd', namespace: 'istio-system', uid: 'd', resourceVersion: '1' },
      },
    ],
    'here',
  );
  assert.deepEqual(Object.fromEntries(wanted.clusters), {
    east: { secret: 'istio-system/a', text: 'A' },
    west: { secret: 'istio-system/b', text: 'W' },
  });
  assert.deepEqual(
    wanted.refused.map((r) => [r.id, r.secret]),
    [
      ['east', 'istio-system/b'],
      ['here', 'istio-system/b'],
    ],
  );
});
