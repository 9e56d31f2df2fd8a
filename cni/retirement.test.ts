import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { millis } from '../common/core/brand.ts';
import { silentLogger } from '../common/core/log.ts';
import { FakeClock } from '../common/testing/fake-clock.ts';
import { FakeKube } from '../common/testing/fake-kube.ts';
import { until } from '../common/testing/until.ts';
import { daemonSetKind, onRetirement, retireAll, retireAnnotation } from './retirement.ts';

const home = { namespace: 'mesh', name: 'istio-cni-node' };

async function world(numberReady: number) {
  const kube = new FakeKube();
  await kube.create(daemonSetKind, { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { ...home } });
  await kube.patch(daemonSetKind, home, { status: { numberReady } }, { subresource: 'status' });
  return { kube, clock: new FakeClock() };
}

describe('retirement of the agents', () => {
  test('is asked for by an annotation, and over when none is ready', async (t) => {
    const { kube, clock } = await world(2);
    const abort = new AbortController();
    t.after(() => abort.abort());
    let retired = 0;
    onRetirement({ kube, home, clock, log: silentLogger, signal: abort.signal }, () => retired++);
    let over = false;
    const all = retireAll(kube, home, clock, millis(60_000)).then(() => {
      over = true;
    });
    await until('the agent is told', () => retired === 1);
    assert.equal(over, false);
    await kube.patch(daemonSetKind, home, { status: { numberReady: 0 } }, { subresource: 'status' });
    await until('it is over', () => {
      clock.advance(500);
      return over;
    });
    await all;
    await kube.delete(daemonSetKind, home);
    await new Promise(setImmediate);
    assert.equal(retired, 1, 'once');
  });

  test('follows from the end of the DaemonSet, too, and needs none', async (t) => {
    const { kube, clock } = await world(1);
    const abort = new AbortController();
    t.after(() => abort.abort());
    let retired = 0;
    onRetirement({ kube, home, clock, log: silentLogger, signal: abort.signal }, () => retired++);
    await kube.delete(daemonSetKind, home);
    await until('the agent is told', () => retired === 1);
    await retireAll(kube, home, clock, millis(1_000));
  });

  test('gives up where an agent does not come to its end', async () => {
    const { kube, clock } = await world(1);
    const failed = assert.rejects(
      retireAll(kube, home, clock, millis(2_000)),
      /mesh\/istio-cni-node still have pods .* 2 s/,
    );
    let over = false;
    void failed.finally(() => {
      over = true;
    });
    await until('it is over', () => {
      clock.advance(500);
      return over;
    });
    assert.equal((await kube.get(daemonSetKind, home))?.metadata.annotations?.[retireAnnotation], 'true');
  });
});
