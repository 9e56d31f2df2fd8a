import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { findPodCgroup, podUidOfFolder } from './pod-cgroup.ts';

const uid = '3b9c1f0e-7a52-4d8e-9d6f-0c1a2b3c4d5e';
const underscored = uid.replaceAll('-', '_');

describe('the cgroup of a pod', () => {
  const names: readonly [string, string | undefined][] = [
    [`pod${uid}`, uid],
    [`kubepods-pod${underscored}.slice`, uid],
    [`kubepods-burstable-pod${underscored}.slice`, uid],
    [`kubelet-kubepods-besteffort-pod${underscored}.slice`, uid],
    ['pod2f3a5c0d9e8b7a6f5e4d3c2b1a09f8e7', '2f3a5c0d9e8b7a6f5e4d3c2b1a09f8e7'],
    ['kubepods', undefined],
    ['kubepods-burstable.slice', undefined],
    ['pod', undefined],
    ['podman.slice', 'man'],
    [`crio-${uid}.scope`, undefined],
    [`tripod${uid}`, undefined],
    [`pod${uid}.scope`, undefined],
    ['', undefined],
  ];
  for (const [name, expected] of names) {
    test(`"${name}" is ${expected === undefined ? 'no pod' : 'a pod'}`, () => {
      assert.equal(podUidOfFolder(name), expected);
    });
  }

  test('no folder name makes the parser slow or throw', () => {
    fc.assert(fc.property(fc.string({ maxLength: 255 }), (name) => void podUidOfFolder(name)));
    podUidOfFolder(`${'a-'.repeat(120)}!`);
  });

  const layouts: readonly [string, string][] = [
    ['cgroupfs driver', `kubepods/burstable/pod${uid}`],
    ['cgroupfs driver, guaranteed', `kubepods/pod${uid}`],
    ['systemd driver', `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${underscored}.slice`],
    ['kind', `kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${underscored}.slice`],
    ['lab', `node-1/kubepods/pod${uid}`],
  ];
  for (const [name, path] of layouts) {
    test(`is found in the layout: ${name}`, (t) => {
      const root = mkdtempSync(join(tmpdir(), 'aq-cgroup-'));
      t.after(() => rmSync(root, { recursive: true }));
      mkdirSync(join(root, path, 'container'), { recursive: true });
      mkdirSync(join(root, 'system.slice/ssh.service'), { recursive: true });
      assert.equal(findPodCgroup(['/nonexistent', root], uid), join(root, path));
      assert.equal(findPodCgroup([root], uid.replace('3', '4')), undefined);
    });
  }

  test('a folder of that name inside another pod does not count', (t) => {
    const root = mkdtempSync(join(tmpdir(), 'aq-cgroup-'));
    t.after(() => rmSync(root, { recursive: true }));
    mkdirSync(join(root, `pod11111111-7a52-4d8e-9d6f-0c1a2b3c4d5e/pod${uid}`), { recursive: true });
    assert.equal(findPodCgroup([root], uid), undefined);
  });
});
