import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ProbePlan } from '../manifest/probe.ts';
import { observe, unprobed } from './probe-state.ts';
import { type ContainerPhase, type ContainerState, type PodState, podStatus } from './status.ts';

const running: ContainerPhase = { kind: 'running', startedAt: 't' };
const ended = (exitCode: number): ContainerPhase => ({ kind: 'terminated', exitCode, startedAt: 't', finishedAt: 't' });
const waiting: ContainerPhase = { kind: 'waiting', reason: 'CrashLoopBackOff' };

function container(phase: ContainerPhase, over: Partial<ContainerState> = {}): ContainerState {
  return { name: 'c', image: 'i', phase, last: undefined, restarts: 0, started: true, ready: true, ...over };
}

function status(over: Partial<PodState>, before?: ReturnType<typeof podStatus>, now = 'now') {
  const state: PodState = {
    restartPolicy: 'Always',
    addresses: { v4: '10.244.1.2', v6: 'fd00::2' },
    host: { v4: '172.18.0.11', v6: 'fd00::11' },
    startTime: 't',
    initialized: true,
    ending: false,
    init: [],
    containers: [container(running)],
    ...over,
  };
  return podStatus(state, before, now);
}

const ready = (s: ReturnType<typeof status>) => s.conditions?.find((c) => c.type === 'Ready')?.status;

describe('podStatus', () => {
  test('a pod is ready as long as all of its containers are, also while it ends', () => {
    assert.equal(ready(status({})), 'True');
    assert.equal(ready(status({ containers: [container(running), container(running, { ready: false })] })), 'False');
    assert.equal(ready(status({ containers: [container(waiting)] })), 'False');
    assert.equal(ready(status({ ending: true })), 'True');
    assert.equal(ready(status({ ending: true, containers: [container(ended(143))] })), 'False');
  });

  test('the phase follows containers and restart policy', () => {
    const phase = (over: Partial<PodState>) => status(over).phase;
    assert.equal(phase({ initialized: false }), 'Pending');
    assert.equal(phase({ containers: [container({ kind: 'waiting', reason: 'ContainerCreating' })] }), 'Pending');
    assert.equal(phase({ containers: [container(waiting, { restarts: 3, last: ended(1) })] }), 'Running');
    assert.equal(phase({ restartPolicy: 'Never', containers: [container(ended(0))] }), 'Succeeded');
    assert.equal(phase({ restartPolicy: 'Never', containers: [container(ended(0)), container(ended(1))] }), 'Failed');
    assert.equal(phase({ restartPolicy: 'OnFailure', containers: [container(ended(1))] }), 'Running');
    assert.equal(phase({ restartPolicy: 'Never', initialized: false, init: [container(ended(1))] }), 'Failed');
  });

  test('a condition that did not change keeps its time', () => {
    const first = status({}, undefined, 'first');
    const second = status({ containers: [container(waiting)] }, first, 'second');
    const times = Object.fromEntries((second.conditions ?? []).map((c) => [c.type, c.lastTransitionTime]));
    assert.equal(times['Initialized'], 'first');
    assert.equal(times['Ready'], 'second');
  });

  test('before there is a network there is no address', () => {
    assert.equal(status({ addresses: undefined }).podIP, undefined);
  });
});

describe('observe', () => {
  const plan = { successThreshold: 2, failureThreshold: 3 } as ProbePlan;
  const after = (...results: boolean[]) => results.reduce((s, r) => observe(s, r, plan), unprobed).result;

  test('single attempts count only when enough of them agree in a row', () => {
    assert.equal(after(true), undefined);
    assert.equal(after(true, true), true);
    assert.equal(after(true, true, false, false), true);
    assert.equal(after(true, true, false, false, true, false, false), true);
    assert.equal(after(true, true, false, false, false), false);
    assert.equal(after(false, false, false, true), false);
  });
});
