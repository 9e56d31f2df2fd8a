import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { processCgroup } from './process-cgroup.ts';

const uid = '0f6d3a60-8b0e-4a6f-9d0a-3a3f5e1b2c4d';

/** `folder` exists below the mount point of cgroup2; process 7 says that it is in `path`. */
function ask(t: TestContext, { folder, path, below = '' }: { folder: string; path: string; below?: string }): string {
  const dir = mkdtempSync(join(tmpdir(), 'aq-cgroup-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const mount = join(dir, 'cgroup');
  mkdirSync(join(mount, folder), { recursive: true });
  mkdirSync(join(dir, 'proc/7'), { recursive: true });
  writeFileSync(join(dir, 'proc/7/cgroup'), `4:memory:/x\n0::${path}\n`);
  const found = processCgroup(7, { mount, root: join(mount, below), proc: join(dir, 'proc') });
  return found.slice(mount.length);
}

describe('the cgroup of a ztunnel that connects', () => {
  test('is its pod’s, by both drivers, also seen from another cgroup namespace', (t) => {
    const slice = `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${uid.replaceAll('-', '_')}.slice`;
    assert.equal(ask(t, { folder: slice, path: `${slice}/cri-containerd-1.scope` }), slice);
    const plain = `/kubepods/burstable/pod${uid}`;
    assert.equal(ask(t, { folder: plain, path: `${plain}/c1` }), plain);
    assert.equal(ask(t, { folder: plain, path: `/../pod${uid}/c1` }), plain);
  });

  test('is its own where it is no pod', (t) => {
    const service = '/system.slice/ztunnel.service';
    assert.equal(ask(t, { folder: service, path: service }), service);
  });

  test('is refused where it is everybody’s, outside of the node, or not seen', (t) => {
    assert.throws(() => ask(t, { folder: 'node', path: '/' }), /no folder of its own .*AQUIFER_ZTUNNEL_CGROUP/);
    assert.throws(() => ask(t, { folder: 'node', path: '/elsewhere', below: 'node' }), /no folder of its own/);
    assert.throws(() => ask(t, { folder: 'node', path: `/kubepods/pod${uid}/c1` }), /no folder of its own/);
    assert.throws(() => processCgroup(8, { mount: '/m', root: '/m', proc: '/nowhere' }), /hostPID/);
  });
});
