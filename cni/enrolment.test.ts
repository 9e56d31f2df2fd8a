import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Namespace, Pod } from '../common/kube/kinds/core.ts';
import { dataplaneModeLabel, decideEnrolment } from './enrolment.ts';

const excluded = new Set(['kube-system']);

interface Given {
  /** Label of the pod and of its namespace. */
  readonly pod?: string;
  readonly namespace?: string;
  readonly inNamespace?: string;
  readonly hostNetwork?: boolean;
  readonly sidecar?: boolean;
  readonly phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
}

function decide(given: Given): string {
  const meta = { uid: 'u', resourceVersion: '1' };
  const namespace: Namespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { ...meta, name: 'shop', ...(given.namespace && { labels: { [dataplaneModeLabel]: given.namespace } }) },
  };
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...meta,
      name: 'web',
      namespace: given.inNamespace ?? 'shop',
      ...(given.pod && { labels: { [dataplaneModeLabel]: given.pod } }),
      ...(given.sidecar && { annotations: { 'sidecar.istio.io/status': '{}' } }),
    },
    spec: { containers: [], ...(given.hostNetwork !== undefined && { hostNetwork: given.hostNetwork }) },
    status: { phase: given.phase ?? 'Running' },
  };
  return decideEnrolment(pod, namespace, excluded).kind;
}

describe('enrolment', () => {
  const cases: readonly [string, Given, boolean][] = [
    ['no label anywhere', {}, false],
    ['namespace ambient', { namespace: 'ambient' }, true],
    ['pod ambient', { pod: 'ambient' }, true],
    ['namespace ambient, pod none', { namespace: 'ambient', pod: 'none' }, false],
    ['namespace none, pod ambient', { namespace: 'none', pod: 'ambient' }, true],
    ['namespace ambient, pod has a value that nobody knows', { namespace: 'ambient', pod: 'sidecar' }, true],
    ['another value of the namespace', { namespace: 'Ambient' }, false],
    ['hostNetwork', { pod: 'ambient', hostNetwork: true }, false],
    ['hostNetwork false', { pod: 'ambient', hostNetwork: false }, true],
    ['sidecar', { pod: 'ambient', sidecar: true }, false],
    ['pending', { pod: 'ambient', phase: 'Pending' }, true],
    ['succeeded', { pod: 'ambient', phase: 'Succeeded' }, false],
    ['failed', { pod: 'ambient', phase: 'Failed' }, false],
    ['excluded namespace', { pod: 'ambient', inNamespace: 'kube-system' }, false],
  ];
  for (const [name, given, enrolled] of cases) {
    test(`${name}: ${enrolled ? 'in' : 'out'}`, () => assert.equal(decide(given), enrolled ? 'enrol' : 'leave-alone'));
  }

  test('an unknown namespace is one without label', () => {
    const pod: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', namespace: 'shop', uid: 'u', resourceVersion: '1' },
      spec: { containers: [] },
    };
    assert.equal(decideEnrolment(pod, undefined, excluded).kind, 'leave-alone');
  });
});
