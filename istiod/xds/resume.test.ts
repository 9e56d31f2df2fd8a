/** A data plane without istiod, by the client that node proxies have: it keeps what it knows, and lacks nothing afterwards. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressTypeUrl } from '../../common/api/index.ts';
import { MeshStore } from '../../common/mesh/store.ts';
import { policy, service, workload } from '../../common/testing/builders.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { startTestProxy } from '../../common/testing/test-proxy.ts';
import { until } from '../../common/testing/until.ts';
import { resourceOfAddress, resourceOfPolicy } from '../model/resource.ts';
import { startXdsBed } from '../testing/xds-bed.ts';

const pods = 200;
const pod = (i: number, more = {}) =>
  resourceOfAddress(workload({ uid: `Kubernetes//Pod/default/pod-${i}`, name: `pod-${i}`, ...more }), []);

function follow(port: number) {
  const clock = new FakeClock();
  const stop = new AbortController();
  const store = new MeshStore();
  const messages = { addresses: 0, bytes: 0 };
  const ends: string[] = [];
  const client = startTestProxy({
    plane: () => port,
    node: { podName: 'zt-1' },
    store,
    clock,
    metrics: {
      message(url, bytes) {
        if (url === addressTypeUrl) messages.addresses++;
        messages.bytes += bytes;
      },
      terminated: (reason) => void ends.push(reason),
    },
    signal: stop.signal,
  });
  return { clock, store, client, messages, ends, stop: () => stop.abort() };
}

test('an hour without istiod, then another one: nothing is sent that is known already', async () => {
  const first = await startXdsBed();
  for (let i = 0; i < pods; i++) first.set(pod(i));
  first.set(resourceOfAddress(service({ name: 'web' }), []));
  first.set(resourceOfPolicy(policy({ name: 'p' }), []));
  const proxy = follow(first.port.port);
  await proxy.client.ready;
  const known = proxy.messages.bytes;
  assert.ok(known > 0);
  first.stop();
  // 15 s between two attempts, an hour long.
  for (let i = 0; i < 240; i++) {
    const { length } = proxy.ends;
    if (i < 12) await until('an attempt that failed', () => proxy.ends.length > length || proxy.ends.length > 11);
    proxy.clock.advance(15_000);
  }
  assert.ok(proxy.store.workload('Kubernetes//Pod/default/pod-7'), 'what is known stays');
  // The next one has computed the mesh anew, and knows nothing of what the first one sent.
  const next = await startXdsBed({ port: first.port.port });
  for (let i = 1; i < pods; i++) next.set(pod(i, i === 7 ? { canonicalName: 'changed' } : {}));
  next.set(resourceOfAddress(service({ name: 'web' }), []));
  next.set(resourceOfPolicy(policy({ name: 'p' }), []));
  await until('the change', () => {
    proxy.clock.advance(15_000);
    return proxy.store.workload('Kubernetes//Pod/default/pod-7')?.canonicalName === 'changed';
  });
  assert.equal(proxy.store.workload('Kubernetes//Pod/default/pod-0'), undefined, 'what went meanwhile is gone');
  assert.ok(proxy.store.workload('Kubernetes//Pod/default/pod-8'));
  assert.equal(proxy.messages.bytes - known, pod(7, { canonicalName: 'changed' }).bytes.length);
  proxy.stop();
  next.stop();
});
