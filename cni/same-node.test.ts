import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Namespace, Pod } from '../common/kube/kinds/core.ts';
import { sameNodeLabel, takesSameNodePath } from './same-node.ts';

test("a pod takes part by its own label, or by its namespace's where it has none", () => {
  const object = (value?: string) => ({ metadata: { labels: value === undefined ? {} : { [sameNodeLabel]: value } } });
  const takes = (pod?: string, namespace?: string) =>
    takesSameNodePath(object(pod) as Pod, object(namespace) as Namespace);
  assert.equal(takes(), false);
  assert.equal(takes('direct'), true);
  assert.equal(takes(undefined, 'direct'), true);
  assert.equal(takes('none', 'direct'), false);
  assert.equal(takes('direct', 'none'), true);
  assert.equal(takes('true'), false);
  assert.equal(takesSameNodePath({ metadata: {} } as Pod, undefined), false);
});
