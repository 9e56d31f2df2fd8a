import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Node, Pod } from '../../../../common/kube/kinds/core.ts';
import { parseQuantity } from '../../../../common/kube/quantity.ts';
import { NodeLoad } from './load.ts';
import { place } from './place.ts';

const meta = (name: string, over: object = {}) => ({ name, uid: name, resourceVersion: '1', ...over });
const node = (name: string, over: { labels?: object; spec?: object; status?: object } = {}): Node =>
  ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: meta(name, { labels: { 'kubernetes.io/hostname': name, ...over.labels } }),
    spec: over.spec ?? {},
    status: over.status ?? {},
  }) as Node;
const pod = (spec: object = {}, name = 'p', owner?: string): Pod =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: meta(name, {
      namespace: 'default',
      ...(owner === undefined
        ? {}
        : { ownerReferences: [{ apiVersion: 'v1', kind: 'X', name: owner, uid: owner, controller: true }] }),
    }),
    spec: { containers: [{ name: 'c' }], ...spec },
  }) as Pod;
const empty = new NodeLoad();
const where = (p: Pod, nodes: readonly Node[], load = empty) => {
  const placement = place(p, nodes, load);
  return placement.kind === 'node' ? placement.name : placement.message;
};

describe('place', () => {
  test('taints keep away whom they are not tolerated by', () => {
    const tainted = node('a', { spec: { taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }] } });
    const closed = node('b', { spec: { unschedulable: true } });
    assert.equal(
      where(pod(), [tainted, closed]),
      '0/2 nodes are available: 1 node(s) had untolerated taint {gpu: yes}, 1 node(s) had untolerated taint {node.kubernetes.io/unschedulable: }.',
    );
    assert.equal(where(pod({ tolerations: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }] }), [tainted]), 'a');
    assert.equal(where(pod({ tolerations: [{ key: 'gpu', operator: 'Exists' }] }), [tainted]), 'a');
    assert.equal(where(pod({ tolerations: [{ operator: 'Exists' }] }), [closed]), 'b');
    assert.match(where(pod({ tolerations: [{ key: 'gpu', value: 'no' }] }), [tainted]), /untolerated/);
    const disliked = node('c', { spec: { taints: [{ key: 'x', effect: 'PreferNoSchedule' }] } });
    assert.equal(where(pod(), [disliked, node('d')]), 'd');
    assert.equal(where(pod(), [disliked]), 'c');
  });

  test('selectors and required affinity choose, preferred affinity orders', () => {
    const nodes = [
      node('a', { labels: { disk: 'ssd', cores: '4' } }),
      node('b', { labels: { disk: 'hdd', cores: '16' } }),
    ];
    assert.equal(where(pod({ nodeSelector: { disk: 'hdd' } }), nodes), 'b');
    assert.match(where(pod({ nodeSelector: { disk: 'tape' } }), nodes), /2 node\(s\) didn't match Pod's node affinity/);
    const required = (terms: object[]) => ({
      affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } } },
    });
    const expression = (key: string, operator: string, values?: string[]) => ({
      matchExpressions: [{ key, operator, values }],
    });
    assert.equal(where(pod(required([expression('cores', 'Gt', ['8'])])), nodes), 'b');
    assert.equal(where(pod(required([expression('none', 'Exists'), expression('disk', 'In', ['ssd'])])), nodes), 'a');
    assert.equal(
      where(pod(required([{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['b'] }] }])), nodes),
      'b',
    );
    assert.match(where(pod(required([{}])), nodes), /0\/2/);
    const preferred = [{ weight: 10, preference: expression('disk', 'In', ['hdd']) }];
    const liked = pod({ affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferred } } });
    assert.equal(where(liked, nodes), 'b');
  });

  test('siblings are spread, then all pods; room is counted', () => {
    const nodes = [node('a', { status: { allocatable: { cpu: '1', memory: '1Gi', pods: '3' } } }), node('b')];
    const load = new NodeLoad();
    const runs = (name: string, on: string, owner?: string, spec: object = {}) =>
      load.see(name, pod({ ...spec, nodeName: on }, name, owner));
    runs('one', 'a', 'web');
    assert.equal(where(pod({}, 'p', 'web'), nodes, load), 'b');
    runs('two', 'b');
    runs('three', 'b');
    assert.equal(where(pod({}, 'p', 'db'), nodes, load), 'a');
    const hungry = { containers: [{ name: 'c', resources: { requests: { cpu: '600m' } } }] };
    runs('four', 'a', undefined, hungry);
    assert.equal(where(pod(hungry), nodes, load), 'b');
    assert.equal(where(pod(hungry), [nodes[0]!], load), '0/1 nodes are available: 1 Insufficient cpu.');
    runs('five', 'a');
    assert.equal(where(pod(), [nodes[0]!], load), '0/1 nodes are available: 1 Too many pods.');
    load.see('five', undefined);
    assert.equal(where(pod(), [nodes[0]!], load), 'a');
  });

  test('what it does not know it refuses, and names', () => {
    const anti = { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{}] } };
    assert.match(where(pod({ affinity: anti }), [node('a')]), /^spec\.affinity\.podAntiAffinity.* is not supported/);
    assert.equal(where(pod(), []), 'no nodes available to schedule pods');
  });

  test('quantities', () => {
    const rows = { '1': 1, '250m': 0.25, '1.5Gi': 1.5 * 2 ** 30, '1e3': 1000, '2k': 2000 } as const;
    for (const [text, value] of Object.entries(rows)) assert.equal(parseQuantity(text), value);
    assert.equal(parseQuantity('1 GB'), undefined);
  });
});
