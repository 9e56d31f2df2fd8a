import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { until } from '../../../common/testing/until.ts';
import { loadAssignment, rig } from '../testing/rig.ts';
import { inFamily, type Resolved, type Resolver } from './resolver.ts';

class FakeResolver implements Resolver {
  readonly asked: string[] = [];
  answer: Resolved | Error = new Error('not set');

  resolve(name: string): Promise<Resolved> {
    this.asked.push(name);
    return this.answer instanceof Error ? Promise.reject(this.answer) : Promise.resolve(this.answer);
  }
}

const { '@type': _, ...assignment } = loadAssignment([{ endpoints: [{ address: 'db.example:5432', weight: 3 }] }]);

function start(first: Resolved | Error, cluster: object) {
  const resolver = new FakeResolver();
  resolver.answer = first;
  const all = rig({ load_assignment: assignment, ...cluster }, { resolver });
  const keys = () => all.upstream.hosts().map(({ key }) => key);
  const asked = (times: number) => until(`${times} questions`, () => resolver.asked.length === times);
  return { ...all, resolver, keys, asked };
}

/** Lets what was answered arrive. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('a cluster of names', () => {
  test('has every address as a host (STRICT_DNS), with what the endpoint says, and asks again', async () => {
    const { upstream, resolver, clock, keys, asked } = start(
      { addresses: ['10.0.0.1', 'fd00::1'], ttl: 5 },
      {
        type: 'STRICT_DNS',
        dns_refresh_rate: { seconds: 30 },
      },
    );
    await upstream.ready;
    assert.deepEqual(keys(), ['10.0.0.1:5432', '[fd00::1]:5432']);
    assert.deepEqual(
      upstream.hosts().map(({ weight, hostname }) => [weight, hostname]),
      [
        [3, 'db.example'],
        [3, 'db.example'],
      ],
    );
    const [kept] = upstream.hosts();
    resolver.answer = { addresses: ['10.0.0.2', '10.0.0.1'], ttl: 5 };
    // Its TTL is not respected here.
    clock.advance(29_999);
    assert.equal(resolver.asked.length, 1);
    clock.advance(1);
    await asked(2);
    await settled();
    assert.deepEqual(keys().toSorted(), ['10.0.0.1:5432', '10.0.0.2:5432']);
    assert.ok(upstream.hosts().includes(kept!));
    upstream.close();
    assert.equal(clock.timers, 0);
  });

  test('has one host (LOGICAL_DNS), and follows the TTL where it shall', async () => {
    const { upstream, clock, keys, asked } = start(
      { addresses: ['10.0.0.9', '10.0.0.1'], ttl: 2 },
      { type: 'LOGICAL_DNS', respect_dns_ttl: true },
    );
    await upstream.ready;
    assert.deepEqual(keys(), ['10.0.0.9:5432']);
    clock.advance(2_000);
    await asked(2);
    upstream.close();
  });

  test('keeps its addresses while nobody answers, is ready with a failure too, and asks later and later', async () => {
    const { upstream, resolver, clock, keys, asked, reports } = start(new Error('SERVFAIL'), {
      type: 'STRICT_DNS',
      dns_failure_refresh_rate: { base_interval: { seconds: 1 }, max_interval: { seconds: 4 } },
    });
    await upstream.ready;
    assert.deepEqual(reports, [{ kind: 'dns', name: 'db.example', reason: 'SERVFAIL' }]);
    assert.equal(upstream.pick({ dice: Math }).kind, 'none');
    resolver.answer = { addresses: ['10.0.0.1'], ttl: undefined };
    clock.advance(2_000);
    await asked(2);
    await settled();
    assert.deepEqual(keys(), ['10.0.0.1:5432']);
    resolver.answer = new Error('SERVFAIL');
    for (let i = 3; i < 8; i++) {
      clock.advance(5_000);
      await asked(i);
      await settled();
      assert.ok(clock.nextIn! >= 1_000 && clock.nextIn! <= 4_000, `${clock.nextIn}`);
    }
    assert.deepEqual(keys(), ['10.0.0.1:5432']);
    upstream.close();
  });

  test('a late answer changes nothing after the end', async () => {
    const { upstream, keys } = start({ addresses: ['10.0.0.1'], ttl: undefined }, { type: 'STRICT_DNS' });
    upstream.close();
    await settled();
    assert.deepEqual(keys(), []);
  });
});

test('families: which are asked, and which answer counts', async () => {
  const asked: number[] = [];
  const ask = (has: readonly number[]) => async (_: string, family: 4 | 6) => {
    asked.push(family);
    return has.includes(family) ? { addresses: [`of ${family}`], ttl: family } : undefined;
  };
  const of = async (family: Parameters<typeof inFamily>[1], has: readonly number[]) =>
    (await inFamily('x', family, ask(has))).addresses.join();
  assert.equal(await of('v4', [4, 6]), 'of 4');
  assert.equal(await of('v6', [4, 6]), 'of 6');
  assert.equal(await of('auto', [4, 6]), 'of 6');
  assert.equal(await of('auto', [4]), 'of 4');
  assert.equal(await of('v4-preferred', [4, 6]), 'of 4');
  assert.equal(await of('v4-preferred', [6]), 'of 6');
  assert.deepEqual(await inFamily('x', 'all', ask([4, 6])), { addresses: ['of 4', 'of 6'], ttl: 4 });
  await assert.rejects(inFamily('x', 'v6', ask([4])), /x has no address/);
});
