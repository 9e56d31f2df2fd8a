import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { LinkSize } from '../../native/index.ts';
import { bigSize, enlarged, usualAgain, usualSize } from './big-tcp.ts';

const link = (index: number, name: string, size: number | undefined, kind = '', peer = 0): LinkSize => ({
  index,
  name,
  kind,
  peer,
  most: 524_280,
  ...(size !== undefined && { least: size, greatest: size }),
});
const lo = (size: number | undefined = usualSize) => link(1, 'lo', size);
const eth0 = (size = usualSize) => link(2, 'eth0', size, 'veth', 7);
const nodeEnd = (size = usualSize) => link(7, 'cali1', size, 'veth', 2);
const nic = (size = usualSize) => link(3, 'ens5', size);

describe('sizes of packets inside the node', () => {
  test('loopback of a pod always; its own interface only as far as the way out of the node takes it', () => {
    assert.deepEqual(enlarged('auto', [lo(), eth0()], [nic(), nodeEnd()], 'ens5'), {
      pod: [{ index: 1, size: bigSize }],
      node: [],
    });
    assert.deepEqual(enlarged('auto', [lo(), eth0()], [nic(196_608), nodeEnd()], 'ens5'), {
      pod: [
        { index: 1, size: bigSize },
        { index: 2, size: 196_608 },
      ],
      node: [{ index: 7, size: 196_608 }],
    });
    assert.deepEqual(enlarged('auto', [eth0()], [nic(400_000), nodeEnd()], 'ens5').pod, [{ index: 2, size: bigSize }]);
    assert.deepEqual(enlarged('auto', [eth0()], [nic(400_000), nodeEnd()], undefined).pod, []);
  });

  test('all: whatever the way out takes', () => {
    assert.deepEqual(enlarged('all', [lo(), eth0()], [nic(), nodeEnd()], 'ens5'), {
      pod: [
        { index: 1, size: bigSize },
        { index: 2, size: bigSize },
      ],
      node: [{ index: 7, size: bigSize }],
    });
  });

  test('what somebody else has set stays, and what only seems to be the other end', () => {
    const none = { pod: [], node: [] };
    assert.deepEqual(enlarged('all', [lo(100_000), eth0(100_000)], [nodeEnd()], undefined), none);
    assert.deepEqual(enlarged('all', [eth0()], [nodeEnd(100_000)], undefined), none);
    assert.deepEqual(enlarged('all', [eth0()], [link(7, 'other', usualSize, 'veth', 9)], undefined), none);
    assert.deepEqual(enlarged('all', [link(2, 'eth0', usualSize, 'ipvlan', 7)], [nodeEnd()], undefined), none);
    assert.deepEqual(enlarged('all', [link(1, 'lo', undefined)], [], undefined), none);
    assert.deepEqual(usualAgain([lo(100_000), eth0(100_000)], [nodeEnd(100_000)], undefined), none);
  });

  test('no more than the driver can do', () => {
    assert.deepEqual(enlarged('auto', [{ ...lo(), most: 131_072 }], [], undefined).pod, [{ index: 1, size: 131_072 }]);
  });

  test('leaving undoes what either mode gave', () => {
    const back = { pod: [1, 2].map((index) => ({ index, size: usualSize })), node: [{ index: 7, size: usualSize }] };
    assert.deepEqual(usualAgain([lo(bigSize), eth0(bigSize)], [nic(), nodeEnd(bigSize)], 'ens5'), back);
    assert.deepEqual(usualAgain([lo(bigSize), eth0(196_608)], [nic(196_608), nodeEnd(196_608)], 'ens5'), back);
    assert.deepEqual(usualAgain([lo(), eth0()], [nic(), nodeEnd()], 'ens5'), { pod: [], node: [] });
  });
});
