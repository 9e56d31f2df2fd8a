/** What the CNI plugin's calls do to the whole agent, with a scripted ztunnel at the other end; see cni/testing/world.ts. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { podKind } from '../common/kube/kinds/core.ts';
import { until } from '../common/testing/until.ts';
import { skipUnless } from '../test/harness/require.ts';
import { dataplaneModeLabel } from './enrolment.ts';
import { World } from './testing/world.ts';

/** Settled or not, at this moment. */
function watched(call: Promise<void>): { state: 'waits' | 'done' | string } {
  const seen: { state: 'waits' | 'done' | string } = { state: 'waits' };
  call.then(
    () => {
      seen.state = 'done';
    },
    (e: Error) => {
      seen.state = e.message;
    },
  );
  return seen;
}

describe('calls of the CNI plugin', { skip: skipUnless('addon') }, () => {
  test('a pod without process or address is captured with what the runtime gave it, before it may start', async (t) => {
    const w = await World.running(t);
    const ztunnel = w.ztunnel();
    await ztunnel.has('snapshotSent');
    const asked = Promise.withResolvers<void>();
    ztunnel.onAdd = async (uid) => {
      await asked.promise;
      return ztunnel.steer(uid);
    };
    await w.newPod('web', 'u1');
    w.kernel.paths.set('/run/netns/7', 'netns-7');
    const call = watched(w.plugin('add', 'web', 7, 'u1'));
    await ztunnel.has('add u1');
    assert.equal(call.state, 'waits');
    asked.resolve();
    await until('it may start', () => call.state === 'done');
    assert.deepEqual(w.journal, ['enrol u1 10.0.1.7']);
    await w.announced('web', 'enabled');
    await w.plugin('check', 'web', 7, 'u1');
  });

  test('a pod that does not belong to the mesh starts at once, whatever its agent could do', async (t) => {
    const w = await World.running(t);
    await w.namespace('plain');
    await w.newPod('web', 'u1');
    await w.kube.patch(
      podKind,
      { namespace: 'shop', name: 'web' },
      { metadata: { labels: { [dataplaneModeLabel]: 'none' } } },
    );
    await until('the agent has seen it', async () => {
      await w.plugin('add', 'web', 7, 'u1');
      return true;
    });
    await w.plugin('add', 'anything', 7, 'u9', 'kube-system');
    assert.deepEqual(w.journal, []);
    assert.equal(w.kernel.held.size, 0);
  });

  test('an unknown pod is waited for, then refused', async (t) => {
    const w = await World.running(t);
    w.ztunnel();
    w.kernel.paths.set('/run/netns/7', 'netns-7');
    const late = watched(w.plugin('add', 'web', 7, 'u1'));
    await until('it is looked for', () => w.clock.timers >= 3);
    await w.newPod('web', 'u1');
    await w.step('it came', () => late.state === 'done');

    const never = watched(w.plugin('add', 'nobody', 8, 'u2'));
    await w.step('it is refused', () => never.state !== 'waits');
    assert.match(never.state, /node n1 knows no pod shop\/nobody with UID u2/);
  });

  test('the successor of a pod is not taken for it', async (t) => {
    const w = await World.running(t);
    w.ztunnel();
    await w.pod('web', 'u1', 7);
    await w.announced('web', 'enabled');
    w.kernel.paths.set('/run/netns/8', 'netns-8');
    const successor = watched(w.plugin('add', 'web', 8, 'u2'));
    await w.kube.delete(podKind, { namespace: 'shop', name: 'web' });
    await w.newPod('web', 'u2');
    await w.step('it is in', () => successor.state === 'done');
    assert.equal(w.journal.at(-1), 'enrol u2 10.0.1.8');
  });

  test('without ztunnel it waits, is announced as pending, and is refused after 15 s', async (t) => {
    const w = await World.running(t);
    await w.newPod('web', 'u1');
    w.kernel.paths.set('/run/netns/7', 'netns-7');
    const call = watched(w.plugin('add', 'web', 7, 'u1'));
    await w.announced('web', 'pending');
    w.clock.advance(14_900);
    assert.equal(call.state, 'waits');
    w.clock.advance(100);
    await until('it is refused', () => call.state !== 'waits');
    assert.match(call.state, /shop\/web is not captured yet: ztunnel is not connected/);
    // The runtime tears the namespace down and makes another.
    await w.plugin('del', 'web', 7, 'u1');
    w.kernel.paths.delete('/run/netns/7');
    await until('the old namespace is let go', () => w.kernel.held.size === 0);
    w.kernel.paths.set('/run/netns/8', 'netns-8');
    const again = watched(w.plugin('add', 'web', 8, 'u1'));
    w.ztunnel();
    await w.step('it is in', () => again.state === 'done');
    await w.announced('web', 'enabled');
    assert.equal(w.kernel.held.size, 1);
  });

  test('what ztunnel refuses is said to the runtime', async (t) => {
    const w = await World.running(t);
    const ztunnel = w.ztunnel();
    ztunnel.onAdd = async () => 'no room';
    await ztunnel.has('snapshotSent');
    await w.newPod('web', 'u1');
    w.kernel.paths.set('/run/netns/7', 'netns-7');
    const call = watched(w.plugin('add', 'web', 7, 'u1'));
    await w.step('it is refused', () => call.state !== 'waits');
    assert.match(call.state, /ztunnel refused it: no room/);
  });

  test('listeners that ztunnel made in an earlier namespace of the pod get none of its traffic', async (t) => {
    const w = await World.running(t);
    const ztunnel = w.ztunnel();
    await ztunnel.has('snapshotSent');
    const first = Promise.withResolvers<void>();
    const steered: string[] = [];
    ztunnel.onAdd = async (uid) => {
      if (steered.length === 0) await first.promise;
      steered.push(await ztunnel.steer(uid));
      return steered.at(-1)!;
    };
    await w.newPod('web', 'u1');
    w.kernel.paths.set('/run/netns/7', 'netns-7').set('/run/netns/8', 'netns-8');
    void w.plugin('add', 'web', 7, 'u1').catch(() => undefined);
    await ztunnel.has('add u1');
    const second = watched(w.plugin('add', 'web', 8, 'u1'));
    await until('the agent holds the second', () => w.kernel.held.size === 1 && second.state === 'waits');
    first.resolve();
    await w.step('the second is in', () => second.state === 'done');
    assert.match(steered[0]!, /another network namespace now/);
    assert.deepEqual(
      w.journal.filter((e) => e.startsWith('enrol')),
      ['enrol u1 10.0.1.8'],
    );
  });

  test('a deletion lets the namespace go at once; one of another namespace, or of an unknown pod, does nothing', async (t) => {
    const w = await World.running(t);
    const ztunnel = w.ztunnel();
    await w.newPod('web', 'u1');
    w.kernel.paths.set('/run/netns/7', 'netns-7');
    await w.step('it is in', async () => {
      await w.plugin('add', 'web', 7, 'u1');
      return true;
    });
    await w.plugin('del', 'web', 6, 'u1');
    await w.plugin('del', 'nobody', 7, 'u2');
    assert.equal(w.kernel.held.size, 1);
    await w.plugin('del', 'web', 7, 'u1');
    await ztunnel.has('del u1');
    assert.equal(w.kernel.held.size, 0);
  });

  test('a namespace that its runtime removed without a word is found to be gone', async (t) => {
    const w = await World.running(t);
    const ztunnel = w.ztunnel();
    await w.newPod('web', 'u1');
    w.kernel.paths.set('/run/netns/7', 'netns-7');
    await w.plugin('add', 'web', 7, 'u1');
    w.kernel.paths.delete('/run/netns/7');
    await w.step('it is let go', () => w.kernel.held.size === 0);
    await ztunnel.has('del u1');
  });

  test('a check tells another namespace, and one that is not captured', async (t) => {
    const w = await World.running(t);
    await w.newPod('web', 'u1');
    w.kernel.paths.set('/run/netns/7', 'netns-7').set('/run/netns/8', 'netns-8');
    void w.plugin('add', 'web', 7, 'u1').catch(() => undefined);
    await w.announced('web', 'pending');
    await assert.rejects(w.plugin('check', 'web', 7, 'u1'), /not captured/);
    w.ztunnel();
    await w.announced('web', 'enabled');
    await w.plugin('check', 'web', 7, 'u1');
    await assert.rejects(w.plugin('check', 'web', 8, 'u1'), /another network namespace/);
    await assert.rejects(w.plugin('check', 'web', 9, 'u1'), /does not exist/);
    assert.equal(w.kernel.held.size, 1);
  });
});
