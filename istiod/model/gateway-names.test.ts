import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '../../common/core/log.ts';
import type { NameRecord } from '../../common/dns/system-lookup.ts';
import { ip } from '../../common/testing/builders.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { GatewayNames, lookupOfGateway } from './gateway-names.ts';

const record = (text: string, ttlSeconds = 60): NameRecord => ({ ip: ip(text), ttlSeconds });
const failure = (code: string) => Object.assign(new Error(`query ${code}`), { code });

function rig(t: TestContext) {
  const stop = new AbortController();
  t.after(() => stop.abort());
  const clock = new FakeClock();
  const asked: string[] = [];
  const told: string[] = [];
  let answer: () => Promise<readonly NameRecord[]> = () => Promise.resolve([]);
  let isWanted = true;
  const names = new GatewayNames({
    lookup: (hostname) => {
      asked.push(hostname);
      return answer();
    },
    clock,
    log: silentLogger,
    signal: stop.signal,
    isWanted: () => isWanted,
    onChange: (lookup) => told.push(lookup),
  });
  return {
    names,
    clock,
    asked,
    told,
    says(next: () => Promise<readonly NameRecord[]>) {
      answer = next;
    },
    forget() {
      isWanted = false;
    },
    /** The answer has arrived: its timer waits. */
    async settled() {
      while (clock.timers === 0) await new Promise((resolve) => setImmediate(resolve));
    },
    addresses() {
      const looked = names.addresses('ew.example');
      return looked.kind === 'found' ? looked.value : undefined;
    },
  };
}

test('a name is asked for once, then again as its shortest record expires; only what differs is told', async (t) => {
  const r = rig(t);
  r.says(() => Promise.resolve([record('192.0.2.2', 90), record('192.0.2.1', 45), record('192.0.2.1', 45)]));
  assert.equal(r.addresses(), undefined);
  assert.equal(r.addresses(), undefined);
  await r.settled();
  assert.deepEqual(r.addresses(), ['192.0.2.1', '192.0.2.2']);
  assert.deepEqual([r.asked, r.told], [['ew.example'], [lookupOfGateway('ew.example')]]);
  assert.equal(r.clock.nextIn, 45_000);
  // Name servers turn the order round.
  r.says(() => Promise.resolve([record('192.0.2.2'), record('192.0.2.1')]));
  r.clock.advance(45_000);
  await r.settled();
  assert.deepEqual([r.asked.length, r.told.length], [2, 1]);
  r.says(() => Promise.resolve([record('192.0.2.3')]));
  r.clock.advance(60_000);
  await r.settled();
  assert.deepEqual([r.addresses(), r.told.length], [['192.0.2.3'], 2]);
});

for (const [ttl, wait] of [
  [0, 30_000],
  [86_400, 3_600_000],
] as const) {
  test(`a record of ${ttl} s holds for ${wait} ms`, async (t) => {
    const r = rig(t);
    r.says(() => Promise.resolve([record('192.0.2.1', ttl)]));
    r.addresses();
    await r.settled();
    assert.equal(r.clock.nextIn, wait);
  });
}

test('while nobody answers the last addresses hold, and it is a problem; a name that is gone has none', async (t) => {
  const r = rig(t);
  r.says(() => Promise.reject(failure('ETIMEOUT')));
  r.addresses();
  await r.settled();
  assert.deepEqual([r.addresses(), r.names.problem('ew.example')], [[], 'query ETIMEOUT']);
  assert.equal(r.told.length, 1, 'who waits for the first answer has one');
  r.says(() => Promise.resolve([record('192.0.2.1')]));
  r.clock.advance(30_000);
  await r.settled();
  assert.deepEqual([r.addresses(), r.names.problem('ew.example')], [['192.0.2.1'], undefined]);
  r.says(() => Promise.reject(failure('ESERVFAIL')));
  r.clock.advance(60_000);
  await r.settled();
  assert.deepEqual([r.addresses(), r.names.problem('ew.example')], [['192.0.2.1'], 'query ESERVFAIL']);
  r.says(() => Promise.reject(failure('ENOTFOUND')));
  r.clock.advance(30_000);
  await r.settled();
  assert.deepEqual([r.addresses(), r.names.problem('ew.example')], [[], 'query ENOTFOUND']);
});

test('at most 8 addresses; a name that no Gateway has any more is forgotten', async (t) => {
  const r = rig(t);
  r.says(() => Promise.resolve(Array.from({ length: 20 }, (_, i) => record(`192.0.2.${i + 1}`))));
  r.addresses();
  await r.settled();
  assert.equal(r.addresses()?.length, 8);
  r.forget();
  r.clock.advance(60_000);
  assert.deepEqual([r.asked.length, r.clock.timers], [1, 0]);
  assert.equal(r.addresses(), undefined, 'asked anew');
});
