import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import type { Carrier, FrozenCarrier, HandOver, Unmoved } from '../engine/hand-over.ts';
import type { Frozen } from './give.ts';
import { type OpenRelay, OpenRelays } from './open-relays.ts';
import type { MovedTunnel } from './unit.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const asks = { unmoved: 'a request of it is not answered yet' };
const frozen: FrozenCarrier = { fds: [], tagOf: () => undefined, thaw: () => undefined, forget: () => undefined };

/** A tunnel with one relay, how it was frozen in the end, and what its peer was told. */
async function frozenFrom(role: MovedTunnel['role'], freeze: (left: boolean) => FrozenCarrier | Unmoved) {
  const clock = new FakeClock();
  const told = { leaving: 0, tries: 0 };
  const carrier: Carrier = {
    tunnel: { role, remote: '10.0.0.1:1', chain: [] },
    noMore: () => void told.leaving++,
    async freeze() {
      told.tries++;
      return freeze(told.leaving > 0);
    },
  };
  const open = new OpenRelays();
  const account = { counters: { received: 0, sent: 0 } };
  open.enter({ ends: {}, pod: { uid: 'u', netns: 'n' }, account } as OpenRelay);
  const [movable] = open.movables({ carrierOf: () => carrier } as unknown as HandOver, clock);
  let answer: Frozen | Unmoved | undefined;
  void movable!.freeze().then((result) => {
    answer = result;
  });
  for (let waited = 0; !answer; waited += 20) {
    assert.ok(waited < 5_000, 'it is tried for ever');
    await turn();
    clock.advance(20);
  }
  return { answer, ...told };
}

test('a peer that asks all the time is told to ask elsewhere, and its tunnel moves', async () => {
  const { answer, leaving } = await frozenFrom('server', (left) => (left ? frozen : asks));
  assert.ok('unit' in answer, JSON.stringify(answer));
  assert.equal(leaving, 1);
});

test('one that has a request open for a moment hears nothing, nor one that is asked itself', async () => {
  let tries = 0;
  const moment = await frozenFrom('server', () => (++tries < 5 ? asks : frozen));
  assert.ok('unit' in moment.answer);
  assert.equal(moment.leaving, 0);
  const asked = await frozenFrom('client', () => asks);
  assert.deepEqual(asked.answer, asks);
  assert.equal(asked.leaving, 0);
});

test('where descriptors lack who gives is told at once', async () => {
  const lacks = { lacksDescriptors: 'too many open files' };
  assert.deepEqual(await frozenFrom('server', () => lacks), { answer: lacks, leaving: 0, tries: 1 });
});
