import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionRegistry, Permit } from './permit.ts';

test('a withdrawn permit says why, once, and aborts', () => {
  const permit = new Permit();
  assert.equal(permit.withdrawn, undefined);
  permit.withdraw('first');
  permit.withdraw('second');
  assert.equal(permit.withdrawn, 'first');
  assert.equal(permit.signal.aborted, true);
  assert.match(String(permit.signal.reason), /first/);
});

test('one that was decided before the last push is asked when it comes, and counted like those that were open', () => {
  const withdrawn: string[] = [];
  const registry = new ConnectionRegistry(() => withdrawn.push('one'));
  const connection = { permit: new Permit(), denied: () => 'rule 7' };
  registry.release(registry.registerStale(connection));
  assert.match(connection.permit.withdrawn!, /policy change: rule 7/);
  assert.deepEqual(withdrawn, ['one']);
  registry.registerStale({ permit: new Permit(), denied: () => undefined });
  assert.equal(registry.recheck(), 0);
  registry.register({ permit: new Permit(), denied: () => 'rule 8' });
  assert.equal(registry.recheck(), 1);
  assert.deepEqual(withdrawn, ['one', 'one']);
});

test('a recheck withdraws what is denied now and nothing else, and counts it once', () => {
  const registry = new ConnectionRegistry();
  const good = { permit: new Permit(), denied: () => undefined };
  const bad = { permit: new Permit(), denied: () => 'rule 7' };
  const gone = { permit: new Permit(), denied: () => 'rule 7' };
  for (const c of [good, bad]) registry.register(c);
  registry.release(registry.register(gone));
  assert.equal(registry.recheck(), 1);
  assert.equal(registry.recheck(), 0);
  assert.equal(good.permit.withdrawn, undefined);
  assert.match(bad.permit.withdrawn!, /policy change: rule 7/);
  assert.equal(gone.permit.withdrawn, undefined);
});
