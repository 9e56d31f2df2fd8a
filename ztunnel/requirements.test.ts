import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRequirements } from './requirements.ts';

test('each capability that is missing is named, with what it is for', () => {
  checkRequirements('CapEff:\t0000000000201100\n', 'shared');
  assert.throws(
    () => checkRequirements('CapEff:\t0000000000200100\n', 'shared'),
    /^(?!.*SYS_ADMIN).*CAP_NET_ADMIN is missing.*marked/s,
  );
  assert.throws(
    () => checkRequirements('CapEff:\t0000000000001100\n', 'shared'),
    /CAP_SYS_ADMIN is missing.*namespaces/,
  );
  assert.throws(
    () => checkRequirements('CapEff:\t0000000000000000\n', 'shared'),
    /SYS_ADMIN.*\n.*NET_ADMIN.*\n.*SETPCAP/,
  );
  // It enters no other namespace.
  checkRequirements('CapEff:\t00000000000011c0\n', 'dedicated');
  assert.throws(() => checkRequirements('CapEff:\t0000000000001180\n', 'dedicated'), /CAP_SETGID is missing/);
});
