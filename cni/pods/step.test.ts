import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { millis } from '../../common/core/brand.ts';
import { nextStep, type PodView, type Step } from './step.ts';

const now = millis(1_000);
const later = millis(2_000);

const out: PodView = {
  exists: true,
  wanted: false,
  netns: 'none',
  capture: 'none',
  proxy: 'none',
  ztunnelReady: true,
  announced: undefined,
  withdrawAt: undefined,
  drainedAt: undefined,
  retry: undefined,
};
const enrolled: PodView = {
  ...out,
  wanted: true,
  netns: 'held',
  capture: 'full',
  proxy: 'added',
  announced: 'enabled',
};

const leaving: PodView = { ...enrolled, wanted: false, capture: 'leaving', announced: undefined };

describe('next step of a pod', () => {
  const cases: readonly [string, PodView, Step][] = [
    ['an unwanted pod is left alone', out, { kind: 'idle' }],
    ['a wanted pod is looked for', { ...out, wanted: true }, { kind: 'find-netns' }],
    ['found, it is added', { ...enrolled, proxy: 'none', capture: 'none', announced: undefined }, { kind: 'add' }],
    [
      'without a ztunnel it is pending',
      { ...enrolled, proxy: 'none', capture: 'none', announced: undefined, ztunnelReady: false },
      { kind: 'announce', value: 'pending' },
    ],
    [
      'and waits for one',
      { ...enrolled, proxy: 'none', capture: 'none', announced: 'pending', ztunnelReady: false },
      { kind: 'idle' },
    ],
    [
      'refused by ztunnel it is pending until the next try',
      { ...enrolled, proxy: 'maybe', announced: undefined, retry: { step: 'add', at: later } },
      { kind: 'announce', value: 'pending' },
    ],
    [
      'and the next try comes',
      { ...enrolled, proxy: 'maybe', announced: 'pending', retry: { step: 'add', at: later } },
      { kind: 'idle', until: later },
    ],
    ['added, it is announced', { ...enrolled, announced: 'pending' }, { kind: 'announce', value: 'enabled' }],
    ['announced, it is at home', enrolled, { kind: 'idle' }],
    [
      'it stays announced while ztunnel restarts',
      { ...enrolled, proxy: 'maybe', ztunnelReady: false },
      { kind: 'idle' },
    ],
    [
      'what a node announced before its reboot is taken back',
      { ...out, wanted: true, announced: 'enabled' },
      { kind: 'announce', value: 'pending' },
    ],
    [
      'leaving begins with plain text for the app, whoever sends it',
      { ...enrolled, wanted: false },
      { kind: 'set-plaintext', to: 'direct' },
    ],
    ['then peers are told', { ...leaving, announced: 'enabled' }, { kind: 'announce', value: undefined }],
    ['then comes the grace', { ...leaving, withdrawAt: later }, { kind: 'idle', until: later }],
    ['then capture ends', { ...leaving, withdrawAt: now }, { kind: 'withdraw' }],
    [
      'a pod that stays after all is captured in full again',
      { ...leaving, wanted: true },
      { kind: 'set-plaintext', to: 'captured' },
    ],
    [
      'peers are told also where the namespace of the pod is not to be found',
      { ...enrolled, wanted: false, netns: 'none' },
      { kind: 'announce', value: undefined },
    ],
    [
      'also that which an earlier agent left, whose announcement is gone',
      { ...enrolled, wanted: false, announced: undefined, netns: 'none' },
      { kind: 'find-netns' },
    ],
    ['then ztunnel is told', { ...leaving, capture: 'draining', withdrawAt: now }, { kind: 'del' }],
    [
      'then its connections drain',
      { ...leaving, capture: 'draining', proxy: 'none', drainedAt: later },
      { kind: 'idle', until: later },
    ],
    [
      'then what they needed goes',
      { ...leaving, capture: 'draining', proxy: 'none', drainedAt: now },
      { kind: 'remove' },
    ],
    ['then the namespace is let go', { ...leaving, capture: 'none', proxy: 'none' }, { kind: 'close-netns' }],
    ['a pod that is gone is deleted from ztunnel at once', { ...enrolled, exists: false }, { kind: 'del' }],
    ['then its namespace is let go', { ...enrolled, exists: false, proxy: 'none' }, { kind: 'close-netns' }],
    ['then it is forgotten', { ...out, exists: false, announced: 'enabled' }, { kind: 'forget' }],
    ['a pod whose namespace is gone is deleted at once', { ...enrolled, netns: 'lost' }, { kind: 'del' }],
    [
      'a step that failed waits',
      { ...out, wanted: true, retry: { step: 'find-netns', at: later } },
      { kind: 'idle', until: later },
    ],
    [
      'until its time has come',
      { ...out, wanted: true, retry: { step: 'find-netns', at: now } },
      { kind: 'find-netns' },
    ],
  ];
  for (const [name, view, step] of cases) {
    test(name, () => assert.deepEqual(nextStep(view, now), step));
  }

  const anyView: fc.Arbitrary<PodView> = fc.record(
    {
      exists: fc.boolean(),
      wanted: fc.boolean(),
      netns: fc.constantFrom('none', 'held', 'lost'),
      capture: fc.constantFrom('none', 'full', 'leaving', 'draining'),
      proxy: fc.constantFrom('none', 'maybe', 'added'),
      ztunnelReady: fc.boolean(),
      announced: fc.constantFrom('enabled', 'pending', undefined),
      withdrawAt: fc.constantFrom(undefined, later),
      drainedAt: fc.constantFrom(undefined, later),
      retry: fc.constant(undefined),
    },
    { noNullPrototype: true },
  );

  test('from every state the steps, when they succeed, lead to what is wanted', () => {
    fc.assert(
      fc.property(anyView, (start) => {
        let view: PodView = { ...start, ztunnelReady: true };
        for (let i = 0; i < 20; i++) {
          const step = nextStep(view, later);
          if (step.kind === 'idle' || step.kind === 'forget') break;
          view = succeed(view, step);
        }
        if (!view.exists) assert.deepEqual([view.proxy, view.netns], ['none', 'none']);
        else if (view.wanted) assert.deepEqual({ ...view, withdrawAt: undefined, drainedAt: undefined }, enrolled);
        else
          assert.deepEqual([view.proxy, view.netns, view.capture, view.announced], ['none', 'none', 'none', undefined]);
      }),
    );
  });

  test('a pod is never announced before it is captured, nor let go while it is announced', () => {
    fc.assert(
      fc.property(anyView, (view) => {
        const step = nextStep(view, now);
        if (step.kind === 'announce' && step.value === 'enabled') assert.equal(view.proxy, 'added');
        if (step.kind === 'withdraw') assert.equal(view.announced, undefined);
        // A caller that has been told comes in plain text.
        if (step.kind === 'announce' && step.value === undefined && view.netns === 'held') {
          assert.notEqual(view.capture, 'full');
        }
      }),
    );
  });
});

/** What the step does to the pod when nothing goes wrong. */
function succeed(view: PodView, step: Step): PodView {
  switch (step.kind) {
    case 'find-netns':
      return { ...view, netns: 'held' };
    case 'add':
      return { ...view, capture: 'full', proxy: 'added' };
    case 'set-plaintext':
      return { ...view, capture: step.to === 'direct' ? 'leaving' : 'full' };
    case 'announce':
      return { ...view, announced: step.value };
    case 'withdraw':
      return { ...view, capture: 'draining' };
    case 'del':
      return { ...view, proxy: 'none' };
    case 'remove':
      return { ...view, capture: 'none' };
    case 'close-netns':
      return { ...view, netns: 'none', capture: 'none' };
    case 'forget':
    case 'idle':
      return view;
  }
}
