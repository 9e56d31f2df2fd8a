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
  routed: false,
  captured: false,
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
  routed: true,
  captured: true,
  proxy: 'added',
  announced: 'enabled',
};

describe('next step of a pod', () => {
  const cases: readonly [string, PodView, Step][] = [
    ['an unwanted pod is left alone', out, { kind: 'idle' }],
    ['a wanted pod is looked for', { ...out, wanted: true }, { kind: 'find-netns' }],
    ['found, it is added', { ...enrolled, proxy: 'none', captured: false, announced: undefined }, { kind: 'add' }],
    [
      'without a ztunnel it is pending',
      { ...enrolled, proxy: 'none', captured: false, announced: undefined, ztunnelReady: false },
      { kind: 'announce', value: 'pending' },
    ],
    [
      'and waits for one',
      { ...enrolled, proxy: 'none', captured: false, announced: 'pending', ztunnelReady: false },
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
    ['leaving begins with telling peers', { ...enrolled, wanted: false }, { kind: 'announce', value: undefined }],
    [
      'then comes the grace',
      { ...enrolled, wanted: false, announced: undefined, withdrawAt: later },
      { kind: 'idle', until: later },
    ],
    ['then capture ends', { ...enrolled, wanted: false, announced: undefined, withdrawAt: now }, { kind: 'withdraw' }],
    [
      'also that which an earlier agent left, whose announcement is gone',
      { ...enrolled, wanted: false, announced: undefined, netns: 'none' },
      { kind: 'find-netns' },
    ],
    [
      'then ztunnel is told',
      { ...enrolled, wanted: false, announced: undefined, captured: false, withdrawAt: now },
      { kind: 'del' },
    ],
    [
      'then its connections drain',
      { ...enrolled, wanted: false, announced: undefined, captured: false, proxy: 'none', drainedAt: later },
      { kind: 'idle', until: later },
    ],
    [
      'then the routes go',
      { ...enrolled, wanted: false, announced: undefined, captured: false, proxy: 'none', drainedAt: now },
      { kind: 'unroute' },
    ],
    [
      'then the namespace is let go',
      { ...enrolled, wanted: false, announced: undefined, captured: false, proxy: 'none', routed: false },
      { kind: 'close-netns' },
    ],
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
      routed: fc.boolean(),
      captured: fc.boolean(),
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
        else if (view.wanted)
          assert.deepEqual({ ...view, routed: true, withdrawAt: undefined, drainedAt: undefined }, enrolled);
        else
          assert.deepEqual([view.proxy, view.netns, view.captured, view.announced], ['none', 'none', false, undefined]);
      }),
    );
  });

  test('a pod is never announced before it is captured, nor let go while it is announced', () => {
    fc.assert(
      fc.property(anyView, (view) => {
        const step = nextStep(view, now);
        if (step.kind === 'announce' && step.value === 'enabled') assert.equal(view.proxy, 'added');
        if (step.kind === 'withdraw') assert.equal(view.announced, undefined);
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
      return { ...view, routed: true, captured: true, proxy: 'added' };
    case 'announce':
      return { ...view, announced: step.value };
    case 'withdraw':
      return { ...view, captured: false };
    case 'del':
      return { ...view, proxy: 'none' };
    case 'unroute':
      return { ...view, routed: false };
    case 'close-netns':
      return { ...view, netns: 'none', captured: false, routed: false };
    case 'forget':
    case 'idle':
      return view;
  }
}
