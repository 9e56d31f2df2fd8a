import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDocuments } from '../../common/kube/manifests/documents.ts';
import { formatProblem } from '../../common/kube/manifests/problem.ts';
import { planManifests } from './plan.ts';
import type { AppliedObject } from './state.ts';

const configMap = (name: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\n`;

const applied = (name: string, file: string, kind = 'ConfigMap'): [string, AppliedObject] => [
  `/${kind}//${name}`,
  { apiVersion: 'v1', kind, metadata: { name }, file },
];

test('what no file has any more goes, unless its file cannot be read', () => {
  const files = new Map([
    ['a.yaml', parseDocuments('a.yaml', configMap('stays'))],
    ['b.yaml', parseDocuments('b.yaml', '{ no: [yaml')],
  ]);
  const before = new Map([
    applied('stays', 'a.yaml'),
    applied('dropped', 'a.yaml'),
    applied('unknown', 'b.yaml'),
    applied('shop', 'gone.yaml', 'Namespace'),
    applied('deleted', 'gone.yaml'),
  ]);
  const plan = planManifests(files, before);
  assert.deepEqual([...plan.apply.keys()], ['/ConfigMap//stays']);
  // What is in a namespace before the namespace.
  assert.deepEqual(plan.remove, ['/ConfigMap//dropped', '/ConfigMap//deleted', '/Namespace//shop']);
});

test('an object in two files is taken from the first, and made after its namespace', () => {
  const namespace = configMap('ns').replace('ConfigMap', 'Namespace');
  const files = new Map([
    ['b.yaml', parseDocuments('b.yaml', `${configMap('x')}---\n${namespace}`)],
    ['a.yaml', parseDocuments('a.yaml', configMap('x'))],
  ]);
  const plan = planManifests(files, new Map());
  assert.deepEqual(
    [...plan.apply].map(([id, m]) => [id, m.file]),
    [
      ['/Namespace//ns', 'b.yaml'],
      ['/ConfigMap//x', 'a.yaml'],
    ],
  );
  assert.deepEqual(plan.problems.map(formatProblem), ['b.yaml:1:1: ConfigMap x: is in a.yaml too, which is taken']);
});
