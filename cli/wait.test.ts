import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '../common/testing/fake-clock.ts';
import { parseWaitArgs, stateOf, waitFor } from './wait.ts';

const args = (line: string) => parseWaitArgs(line.split(' '));
const object = (status: string, observedGeneration = 2) => ({
  apiVersion: 'security.istio.io/v1',
  kind: 'AuthorizationPolicy',
  metadata: { name: 'p', namespace: 'shop', uid: 'u', resourceVersion: '1', generation: 2 },
  status: { conditions: [{ type: 'Programmed', status, message: '3/3 proxies', observedGeneration }] },
});

test('kinds are known by each of their names', () => {
  for (const word of ['AuthorizationPolicy', 'authorizationpolicies', 'ap', 'ap.security.istio.io']) {
    const parsed = args(`--for=programmed ${word}/p -n shop --timeout 5s`);
    assert.ok(typeof parsed !== 'string', String(parsed));
    assert.deepEqual(
      [parsed.objects[0]?.kind.plural, parsed.namespace, parsed.timeout],
      ['authorizationpolicies', 'shop', 5_000],
    );
  }
});

test('mistakes are told', () => {
  assert.match(String(args('ap/p')), /--for is missing/);
  assert.match(String(args('--for=programmed')), /no object/);
  assert.match(String(args('--for=programmed p')), /"p" is not KIND\/NAME/);
  assert.match(String(args('--for=programmed bla/p')), /"bla" is not a kind/);
  assert.match(String(args('--for=programmed ap/p --timeout x')), /--timeout=x/);
});

test('only the newest generation counts', () => {
  assert.deepEqual(stateOf(object('True'), 'programmed'), { met: true, text: 'Programmed=True (3/3 proxies)' });
  assert.equal(stateOf(object('False'), 'programmed').met, false);
  const old = stateOf(object('True', 1), 'programmed');
  assert.ok(!old.met && /generation 1; the object is at 2/.test(old.text));
  assert.equal(stateOf(undefined, 'programmed').met, false);
});

test('of a route all parents that speak of it count', () => {
  const { status, ...rest } = object('True');
  const of = (...parents: (readonly object[])[]) =>
    stateOf({ ...rest, status: { parents: parents.map((conditions) => ({ conditions })) } } as never, 'programmed');
  const [yes] = status.conditions;
  assert.equal(of([yes!], []).met, true);
  assert.equal(of([yes!], [{ ...yes, status: 'False' }]).met, false);
  assert.equal(of([]).met, false);
});

test('it waits, and gives up in time with what was missing', async () => {
  const clock = new FakeClock();
  const parsed = args('--for=programmed ap/p --timeout 1s');
  assert.ok(typeof parsed !== 'string');
  const states = ['False', 'False', 'True'];
  const get = async () => object(states.shift() ?? 'False') as never;
  const run = async () => {
    const result = waitFor(parsed, { get }, clock);
    for (let i = 0; i < 20; i++) {
      await new Promise(setImmediate);
      clock.advance(250);
    }
    return result;
  };
  assert.deepEqual(await run(), { met: true, lines: ['AuthorizationPolicy default/p: Programmed=True (3/3 proxies)'] });
  const late = await run();
  assert.ok(!late.met && /not programmed after 1 s: Programmed=False/.test(late.lines[0] ?? ''));
});
