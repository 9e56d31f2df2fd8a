import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MeshError } from '../../common/core/errors.ts';
import { type Pod, podKind } from '../../common/kube/kinds/core.ts';
import { FakeKube } from '../../common/testing/fake-kube.ts';
import { announce, redirectionAnnotation, redirectionOf } from './announce.ts';

const key = { namespace: 'shop', name: 'web' };

function create(kube: FakeKube, uid: string): Promise<Pod> {
  return kube.create<Pod>(podKind, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...key, uid },
    spec: { containers: [] },
  });
}

describe('announcing a pod', () => {
  test('writes and removes the annotation, also from an outdated copy', async () => {
    const kube = new FakeKube();
    const pod = await create(kube, 'u1');
    await kube.patch(podKind, key, { metadata: { labels: { a: 'b' } } });
    const written = await announce(kube, pod, 'enabled');
    assert.equal(redirectionOf(written!), 'enabled');
    assert.equal(written!.metadata.labels?.['a'], 'b');
    assert.equal(redirectionOf((await announce(kube, pod, undefined))!), undefined);
    assert.equal((await kube.get(podKind, key))!.metadata.annotations?.[redirectionAnnotation], undefined);
  });

  test('leaves the successor of the same name alone', async () => {
    const kube = new FakeKube();
    const old = await create(kube, 'u1');
    await kube.delete(podKind, key);
    assert.equal(await announce(kube, old, 'enabled'), undefined);
    await create(kube, 'u2');
    assert.equal(await announce(kube, old, 'enabled'), undefined);
    assert.equal((await kube.get(podKind, key))!.metadata.annotations, undefined);
  });

  test('gives up after ten conflicts, and at once on another error', async () => {
    const kube = new FakeKube();
    const pod = await create(kube, 'u1');
    kube.failPatches(...Array.from({ length: 9 }, () => new MeshError('CONFLICT', 'changed')));
    assert.equal(redirectionOf((await announce(kube, pod, 'pending'))!), 'pending');
    kube.failPatches(...Array.from({ length: 10 }, () => new MeshError('CONFLICT', 'changed')));
    await assert.rejects(announce(kube, pod, 'enabled'), /shop\/web changed 10 times/);
    kube.failPatches(new Error('disk full'));
    await assert.rejects(announce(kube, pod, 'enabled'), /disk full/);
  });
});
