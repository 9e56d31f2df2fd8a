import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownerOf, type RevisionMarks, revisionsOf, serviceOf } from './revisions.ts';
import type { KubeObject } from './types.ts';

const marked = (labels: Record<string, string>) =>
  ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'x', uid: '', resourceVersion: '', labels } }) as KubeObject;
const tag = (name: string, to: string) => marked({ 'istio.io/tag': name, 'istio.io/rev': to });
const of = (marks: Partial<RevisionMarks>) =>
  revisionsOf({ services: [], webhooks: [], validator: undefined, ...marks });

test('an object is of the revision that it names, else of that of its namespace', () => {
  const none = of({});
  for (const [own, ofNamespace, owner] of [
    [undefined, undefined, 'default'],
    ['canary', undefined, 'canary'],
    ['canary', 'stable', 'canary'],
    [undefined, 'stable', 'stable'],
    ['', 'stable', 'default'],
  ] as const)
    assert.equal(ownerOf(none, own, ofNamespace), owner);
});

test('a tag stands for a revision; its Service tells more than its webhook', () => {
  const marks = of({ services: [tag('prod', 'b')], webhooks: [tag('prod', 'a'), tag('old', 'a'), marked({})] });
  assert.deepEqual(
    [...marks.tags],
    [
      ['prod', 'b'],
      ['old', 'a'],
    ],
  );
  assert.deepEqual([ownerOf(marks, 'prod', 'old'), ownerOf(marks, undefined, 'old')], ['b', 'a']);
});

test('who names none belongs to the tag default, else to the revision that checks such objects', () => {
  const validator = marked({ 'istio.io/rev': 'b' });
  assert.equal(of({ validator }).unnamed, 'b');
  assert.equal(of({ validator: marked({}) }).unnamed, 'default');
  const tagged = of({ validator, services: [tag('default', 'c')] });
  assert.deepEqual([ownerOf(tagged, undefined, undefined), ownerOf(tagged, 'default', 'b')], ['c', 'c']);
});

test('the Service of the default revision has no suffix', () => {
  assert.deepEqual(['default', '1-30'].map(serviceOf), ['istiod', 'istiod-1-30']);
});
