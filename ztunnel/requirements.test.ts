import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRequirements } from './requirements.ts';

test('each capability that is missing is named, with what it is for', () => {
  checkRequirements('CapEff:\t0000000000201000\n');
  assert.throws(
    () => checkRequirements('CapEff:\t0000000000200000\n'),
    /^(?!.*SYS_ADMIN).*CAP_NET_ADMIN is missing.*marked/s,
  );
  assert.throws(() => checkRequirements('CapEff:\t0000000000001000\n'), /CAP_SYS_ADMIN is missing.*namespaces/);
  assert.throws(() => checkRequirements('CapEff:\t0000000000000000\n'), /SYS_ADMIN.*\n.*NET_ADMIN/);
});
