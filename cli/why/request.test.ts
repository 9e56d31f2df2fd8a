import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linesWith, reasonIn } from './request.ts';

test('an id is found as a whole word', () => {
  const log = '"GET / HTTP/1.1" 200 "abc-1" x\n"abc-12"\nx-abc-1\ntrace=abc-1\n';
  assert.deepEqual(linesWith(log, 'abc-1'), ['"GET / HTTP/1.1" 200 "abc-1" x', 'trace=abc-1']);
});

test('a line says why, where it does', () => {
  assert.equal(
    reasonIn('403 - rbac_access_denied_matched_policy[ns[shop]-policy[p]-rule[0]] - "-"'),
    'refused by policy ns[shop]-policy[p]-rule[0]',
  );
  assert.equal(reasonIn('"GET /" 503 UH no_healthy_upstream'), 'no healthy host');
  assert.equal(reasonIn('connection complete error="policy rejected"'), 'the connection ended with: policy rejected');
  assert.equal(reasonIn('"GET /" 200 - via_upstream'), undefined);
});
