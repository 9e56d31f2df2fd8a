import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fd } from '../../common/core/brand.ts';
import { OwnNetns, ownUid } from './own-netns.ts';

test('the workload is the only pod, and nothing else is waited for', () => {
  const told: unknown[] = [];
  const source = new OwnNetns({
    workload: { namespace: 'n', name: 'vm-1', serviceAccount: 's' },
    openNetns: () => fd(9),
    handler: {
      add: async (...args) => {
        told.push(args);
        return '';
      },
      del: () => assert.fail('nothing tells it to go'),
      snapshot: (uids) => void told.push([...uids]),
    },
  });
  source.start();
  assert.deepEqual(told, [[ownUid, { namespace: 'n', name: 'vm-1', serviceAccount: 's' }, 9], [ownUid]]);
});
