/** Our CustomResourceDefinitions before the code of Kubernetes' own API server, which bounds what rules may cost beforehand. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { meshDefinitions } from '../../istiod/crds/definitions.ts';
import { goProgramPath, skipWithoutGoPrograms } from '../harness/go-programs.ts';

const skip = skipWithoutGoPrograms('definition-check');
const check = (items: readonly unknown[]) => {
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  return spawnSync(goProgramPath('definition-check'), { input, encoding: 'utf8', maxBuffer: 1 << 24 });
};

test('every definition is taken by a real API server', { skip }, () => {
  const { stdout, stderr, status } = check(meshDefinitions());
  assert.deepEqual([stdout, stderr, status], [`${meshDefinitions().length} definitions, 0 mistakes\n`, '', 0]);
});

test('a rule over a list without a limit is one that it refuses', { skip }, () => {
  const entry = meshDefinitions().find((d) => d.metadata.name.startsWith('serviceentries.'));
  const { stdout, status } = check([
    JSON.parse(JSON.stringify(entry).replaceAll('"maxItems":256', '"maxItems":100000')),
  ]);
  assert.equal(status, 1);
  assert.match(stdout, /cost/);
});
