import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MeshError } from '../../../common/core/errors.ts';
import { silentLogger } from '../../../common/core/log.ts';
import { configMapKind } from '../../../common/kube/kinds/core.ts';
import { FakeClock } from '../../../common/testing/fake-clock.ts';
import { FakeKube } from '../../../common/testing/fake-kube.ts';
import { until } from '../../../common/testing/until.ts';
import type { Holding } from './holding.ts';
import { openLedger } from './ledger.ts';

const namespace = 'istio-system';

function rig() {
  const [source, clock, stop] = [new FakeKube(), new FakeClock(), new AbortController()];
  const open = () => {
    const ledger = openLedger({ source, namespace, clock, log: silentLogger, signal: stop.signal });
    ledger.start();
    return ledger;
  };
  const holding = (i: number, more: Partial<Holding> = {}): Holding => ({
    pod: `istio-system/zt-${i}`,
    uid: `uid-${i}`,
    identity: 'spiffe://td/ns/shop/sa/web',
    own: false,
    roots: ['a'],
    under: 'a',
    issuedAt: clock.wall(),
    notAfter: clock.wall() + 60_000,
    ...more,
  });
  const written = async () => {
    const { items } = await source.list(configMapKind);
    return items.flatMap((m) => Object.keys(m.data ?? {})).length;
  };
  return { source, clock, stop, open, holding, written };
}

test('replicas write beside each other, and each reads all', async () => {
  const { clock, stop, open, holding, written } = rig();
  const [a, b] = [open(), open()];
  for (let i = 0; i < 40; i++) (i % 2 ? a : b).record(holding(i));
  assert.equal((await a.read()).length, 20);
  clock.advance(2_000);
  await until('all to be written', async () => (await written()) === 40);
  b.record(holding(0, { roots: ['a', 'b'] }));
  assert.equal((await b.read()).find((h) => h.uid === 'uid-0')?.roots.length, 2);
  assert.equal((await a.read()).find((h) => h.uid === 'uid-0')?.roots.length, 1);
  clock.advance(2_000);
  await until('the renewal', async () => (await a.read()).find((h) => h.uid === 'uid-0')?.roots.length === 2);
  assert.equal((await open().read()).length, 40);
  stop.abort();
});

test('what cannot be written is kept, and what a process issued last is written when it ends', async () => {
  const { source, clock, stop, open, holding, written } = rig();
  const ledger = open();
  ledger.record(holding(1));
  source.failPatches(new MeshError('API_UNAVAILABLE', 'away'));
  clock.advance(2_000);
  await until('the next wait', () => clock.timers === 1);
  assert.equal(await written(), 0);
  assert.equal((await ledger.read()).length, 1);
  stop.abort();
  await until('the last write', async () => (await written()) === 1);
});

test('what has expired is taken out, and what is no holding counts as none', async () => {
  const { source, clock, stop, open, holding, written } = rig();
  const ledger = open();
  ledger.record(holding(1));
  ledger.record(holding(2, { notAfter: clock.wall() + 1e9 }));
  clock.advance(2_000);
  await until('both', async () => (await written()) === 2);
  const [map] = (await source.list(configMapKind)).items;
  const { name } = map!.metadata;
  await source.patch(configMapKind, { namespace, name }, { data: { x1: 'nonsense', x2: '{"pod":1}' } });
  assert.equal((await ledger.read()).length, 2);
  clock.advance(60_000);
  await ledger.prune();
  assert.deepEqual(
    (await ledger.read()).map((h) => h.uid),
    ['uid-2'],
  );
  assert.equal(await written(), 1);
  stop.abort();
});
