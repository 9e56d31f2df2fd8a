/** With a made-up /proc and cgroup tree, where any race can be staged. The real ones: test/agent/discovery.test.ts. */
import assert from 'node:assert/strict';
import { closeSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { discoverPodNetns, isInhabited } from './pod-netns.ts';

const uid = '3b9c1f0e-7a52-4d8e-9d6f-0c1a2b3c4d5e';

class Machine {
  readonly root: string;
  readonly proc: string;
  readonly pod: string;

  constructor(t: TestContext) {
    const dir = mkdtempSync(join(tmpdir(), 'aq-netns-'));
    t.after(() => rmSync(dir, { recursive: true }));
    this.root = join(dir, 'cgroup');
    this.proc = join(dir, 'proc');
    this.pod = join(this.root, `kubepods/pod${uid}`);
    mkdirSync(join(this.pod, 'app'), { recursive: true });
    writeFileSync(join(this.pod, 'cgroup.procs'), '');
    this.process('self');
  }

  process(pid: string): void {
    mkdirSync(join(this.proc, pid, 'ns'), { recursive: true });
    writeFileSync(join(this.proc, pid, 'ns/net'), '');
  }

  end(pid: string): void {
    rmSync(join(this.proc, pid), { recursive: true });
  }

  inCgroup(folder: string, ...pids: string[]): void {
    writeFileSync(join(this.pod, folder, 'cgroup.procs'), pids.map((p) => `${p}\n`).join(''));
  }

  discover() {
    return discoverPodNetns(uid, { roots: [this.root], proc: this.proc });
  }
}

function reason(found: ReturnType<typeof discoverPodNetns>): string {
  if (found.kind === 'absent') return found.reason;
  closeSync(found.netns.fd);
  return assert.fail('it was found');
}

describe('the network namespace of a pod', () => {
  test('comes from a process in a container of its cgroup', (t) => {
    const m = new Machine(t);
    m.process('42');
    m.inCgroup('app', '0', '41', '42');
    const found = m.discover();
    assert.ok(found.kind === 'found');
    assert.deepEqual(found.netns.life, { kind: 'processes', cgroup: m.pod });
    assert.equal(isInhabited(found.netns, m.proc), true);
    m.end('42');
    assert.equal(isInhabited(found.netns, m.proc), false);
    rmSync(m.pod, { recursive: true });
    assert.equal(isInhabited(found.netns, m.proc), false);
    closeSync(found.netns.fd);
  });

  test('is not there without a cgroup, without a process, or when the process has just ended', (t) => {
    const m = new Machine(t);
    assert.match(reason(m.discover()), /no process/);
    m.inCgroup('app', '42');
    assert.match(reason(m.discover()), /no process/);
    rmSync(m.pod, { recursive: true });
    assert.match(reason(m.discover()), /no cgroup/);
  });

  test("is not the node's own", (t) => {
    const m = new Machine(t);
    m.inCgroup('app', 'self');
    assert.match(reason(m.discover()), /node's own/);
  });
});
