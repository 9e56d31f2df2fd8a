import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { findKubeletCgroup } from './prober-cgroup.ts';

test("the kubelet's cgroup is found by its process, in the unified hierarchy only", (t) => {
  const proc = mkdtempSync(join(tmpdir(), 'aq-proc-'));
  t.after(() => rmSync(proc, { recursive: true }));
  const process = (pid: string, comm: string, cgroup: string) => {
    mkdirSync(join(proc, pid));
    writeFileSync(join(proc, pid, 'comm'), `${comm}\n`);
    writeFileSync(join(proc, pid, 'cgroup'), cgroup);
  };
  mkdirSync(join(proc, '1')); // It ends while we look.
  process('7', 'kubelet-helper', '0::/no\n');
  assert.equal(findKubeletCgroup('/cg', proc), undefined);
  process('8', 'kubelet', '4:pids:/legacy\n0::/\n');
  assert.equal(findKubeletCgroup('/cg', proc), undefined);
  process('9', 'kubelet', '4:pids:/legacy\n0::/system.slice/kubelet.service\n');
  assert.equal(findKubeletCgroup('/cg', proc), '/cg/system.slice/kubelet.service');
});
