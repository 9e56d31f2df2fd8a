import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { secretKind } from '../../common/kube/kinds/core.ts';
import type { Kind, KubeObject, NewObject } from '../../common/kube/types.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { FakeKube } from '../../common/testing/fake-kube.ts';
import { until } from '../../common/testing/until.ts';
import { withWorld } from '../testing/world.ts';
import { KubeCredentials } from './credentials.ts';

class Api extends FakeKube {
  readonly reviews: unknown[] = [];
  verdict: boolean | Error = false;

  override async create<T extends KubeObject>(kind: Kind<T>, object: NewObject): Promise<T> {
    if (kind.kind !== 'SubjectAccessReview') return super.create(kind, object);
    this.reviews.push(object['spec']);
    if (this.verdict instanceof Error) throw this.verdict;
    return { ...object, status: { allowed: this.verdict } } as unknown as T;
  }
}

function world() {
  const [api, clock, stop] = [new Api(), new FakeClock(), new AbortController()];
  const changes: string[] = [];
  const credentials = new KubeCredentials({
    source: api,
    clock,
    log: silentLogger,
    signal: stop.signal,
    onChange: (lookup) => void changes.push(lookup),
  });
  return { api, clock, changes, credentials, [Symbol.dispose]: () => stop.abort() };
}

const put = (api: Api, data: Record<string, string>) =>
  api.create(secretKind, { apiVersion: 'v1', kind: 'Secret', metadata: { namespace: 'shop', name: 's' }, data });
const base64 = (text: string) => Buffer.from(text).toString('base64');

test('a Secret is followed from when it is first asked for; only certificates and keys of it are kept', async () => {
  using w = world();
  await put(w.api, { 'tls.crt': base64('a'), password: base64('x') });
  assert.deepEqual(w.credentials.secret('shop', 's'), { kind: 'pending' });
  await until('it is known', () => w.changes.length > 0);
  const data = () => {
    const looked = w.credentials.secret('shop', 's');
    return looked.kind === 'found' && looked.value && [...looked.value].map(([k, v]) => `${k}=${v}`);
  };
  assert.deepEqual(data(), ['tls.crt=a']);
  await w.api.patch(secretKind, { namespace: 'shop', name: 's' }, { data: { 'tls.crt': base64('b') } });
  await until('the change', () => w.changes.length > 1);
  assert.deepEqual(data(), ['tls.crt=b']);
  await w.api.delete(secretKind, { namespace: 'shop', name: 's' });
  await until('the end', () => w.changes.length > 2);
  assert.equal(data(), undefined);
  assert.deepEqual([...new Set(w.changes)], ['secret shop/s']);
});

test('who may list Secrets is asked of the API server, and asked again', async () => {
  using w = world();
  assert.deepEqual(w.credentials.mayList('shop', 'waypoint'), { kind: 'pending' });
  assert.deepEqual(w.credentials.mayList('shop', 'waypoint'), { kind: 'pending' });
  await until('the answer', () => w.changes.length === 1);
  assert.deepEqual(w.credentials.mayList('shop', 'waypoint'), { kind: 'found', value: false });
  assert.deepEqual(w.api.reviews, [
    {
      user: 'system:serviceaccount:shop:waypoint',
      resourceAttributes: { namespace: 'shop', verb: 'list', resource: 'secrets' },
    },
  ]);
  w.api.verdict = true;
  w.clock.advance(10_000);
  await until('it may', () => w.changes.length === 2);
  assert.deepEqual(w.credentials.mayList('shop', 'waypoint'), { kind: 'found', value: true });
  // Nobody answers: what was said holds.
  w.api.verdict = new Error('away');
  w.clock.advance(300_000);
  await until('it was asked', () => w.api.reviews.length === 3);
  assert.deepEqual(w.credentials.mayList('shop', 'waypoint'), { kind: 'found', value: true });
});

test('a Secret that cannot be read counts as none after a while', async () => {
  using w = world();
  w.api.list = async () => {
    throw new Error('forbidden');
  };
  assert.deepEqual(w.credentials.secret('shop', 's'), { kind: 'pending' });
  w.clock.advance(2_000);
  assert.deepEqual(w.credentials.secret('shop', 's'), { kind: 'found', value: undefined });
  assert.deepEqual(w.changes, ['secret shop/s']);
});

test('the API server takes the question', () =>
  withWorld(async ({ source }) => {
    using stop = disposable();
    const changes: string[] = [];
    const onChange = (lookup: string) => void changes.push(lookup);
    const credentials = new KubeCredentials({
      source,
      clock: systemClock,
      log: silentLogger,
      signal: stop.signal,
      onChange,
    });
    for (const account of ['waypoint', 'other']) credentials.mayList('shop', account);
    await until('answers', () => changes.length === 2);
    assert.deepEqual(credentials.mayList('shop', 'waypoint'), { kind: 'found', value: false });
    await source.apply(
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'secrets' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
        subjects: [{ kind: 'ServiceAccount', name: 'waypoint', namespace: 'shop' }],
      },
      { fieldManager: 'test', force: true },
    );
    const later = new KubeCredentials({ source, clock: systemClock, log: silentLogger, signal: stop.signal, onChange });
    later.mayList('shop', 'waypoint');
    await until('the answer', () => later.mayList('shop', 'waypoint').kind === 'found');
    assert.deepEqual(later.mayList('shop', 'waypoint'), { kind: 'found', value: true });
  }));

function disposable() {
  const stop = new AbortController();
  return { signal: stop.signal, [Symbol.dispose]: () => stop.abort() };
}
