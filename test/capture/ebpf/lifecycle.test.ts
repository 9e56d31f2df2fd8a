/** Agents come and go, pods come and go: capture stands, and nothing is left behind (ebpf-datapath 6 and 11). */
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { EbpfCapture } from '../../../cni/capture/ebpf/ebpf-capture.ts';
import { probeEbpf } from '../../../cni/capture/ebpf/probe.ts';
import type { CaptureBackend, CapturedPod } from '../../../cni/capture/types.ts';
import type { Ip } from '../../../common/core/net.ts';
import { closeFd, linkInfo, netnsCookie, openNetns, openPinnedMap } from '../../../native/index.ts';
import { skipUnless } from '../../harness/require.ts';
import { Bed, ip4, objectPath, pinnedNode, usual } from '../bed.ts';

describe('lifecycle of capture by eBPF', {
  timeout: 120_000,
  skip: skipUnless('ebpf', 'program:ip', 'program:nsenter'),
}, () => {
  let bed: Bed;
  before(async () => {
    bed = await Bed.make('ebpf');
  });
  after(() => bed.remove());
  afterEach(() => bed.reset());

  const keys = (name: string) => {
    const map = openPinnedMap(join(bed.pinDir, name));
    try {
      return map.keys().length;
    } finally {
      map.close();
    }
  };

  it('stands when the agent is killed', async () => {
    const keeper = bed.capture();
    const proxy = bed.proxy('p1');
    const script = `
      const { EbpfCapture } = await import(process.argv[1]);
      new EbpfCapture(JSON.parse(process.argv[2])).start();
      process.kill(process.pid, 'SIGKILL');`;
    const module = join(import.meta.dirname, '../../../cni/capture/ebpf/ebpf-capture.ts');
    const options = {
      objectPath,
      pinDir: bed.pinDir,
      cgroup: bed.cgroup,
      failOpen: false,
    };
    keeper.enrol(bed.pod('p1'), proxy.targets);
    keeper.close();
    const run = bed.run({ netns: 'node' }, [
      pinnedNode,
      '--input-type=module',
      '-e',
      script,
      module,
      JSON.stringify(options),
    ]);
    await assert.rejects(run, /SIGKILL/);
    assert.equal((await bed.dial({ netns: 'p1' }, ip4.ext, 80)).told.to, `${ip4.ext}:80`);
    // The killed agent had no prober cgroup set: the program of the one before is gone.
    assert.ok(!bed.pins().includes('link_sockops_probe'));
  });

  it('attaches anew where a pin belongs to a cgroup that is gone', () => {
    const first = bed.capture({ proberCgroup: join(bed.cgroup, 'other') });
    const before = linkInfo(join(bed.pinDir, 'link_sockops_probe')).cgroupId;
    first.close();
    bed.capture();
    const now = linkInfo(join(bed.pinDir, 'link_sockops_probe')).cgroupId;
    assert.notEqual(now, before);
    assert.equal(now, statSync(join(bed.cgroup, 'kubelet'), { bigint: true }).ino);
  });

  it('leaves no link, pin or map entry of 100 pods that come, go and come again', () => {
    const capture = bed.capture();
    const proxy = bed.proxy('p1');
    const pins = bed.pins();
    const clean = { pods: 0, addresses: 0, listeners: 0 };
    const left = () => ({ pods: keys('pods'), addresses: keys('addresses'), listeners: keys('listeners') });
    for (let round = 0; round < 2; round++) {
      const pods: CapturedPod[] = [];
      for (let i = 0; i < 100; i++) {
        const path = bed.addNetns(`extra${i}`, `10.97.0.${i + 1}`);
        const netns = openNetns(path);
        pods.push({
          uid: `extra-${i}`,
          netns,
          cookie: netnsCookie(netns),
          ips: [`10.97.0.${i + 1}` as Ip],
          wishes: usual,
        });
      }
      for (const pod of pods) capture.enrol(pod, proxy.targets);
      assert.equal(capture.enrolled().length, 100);
      assert.equal(bed.pins().length, pins.length + 100);

      // One half is withdrawn, the other half just dies.
      for (const pod of pods.slice(0, 50)) capture.withdraw(pod);
      for (const [i, pod] of pods.entries()) {
        closeFd(pod.netns);
        bed.removeNetns(`extra${i}`);
      }
      const swept = sweepUntil(capture, 50);
      assert.deepEqual(
        [...swept].sort(),
        pods
          .slice(50)
          .map((p) => p.uid)
          .sort(),
      );
      assert.deepEqual(left(), clean);
      assert.deepEqual(bed.pins(), pins);
    }
  });

  /** The kernel takes a namespace down some time after its last user is gone. */
  function sweepUntil(capture: CaptureBackend, count: number): string[] {
    const swept: string[] = [];
    const deadline = Date.now() + 20_000;
    while (swept.length < count && Date.now() < deadline) {
      swept.push(...capture.sweep(() => true));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
    return swept;
  }

  it('forgets the old addresses of a pod that is enrolled with others', () => {
    const capture = bed.capture();
    const proxy = bed.proxy('p1');
    const pod = bed.pod('p1');
    capture.enrol(pod, proxy.targets);
    assert.deepEqual([keys('addresses'), keys('listeners')], [2, 4]);
    capture.enrol({ ...pod, ips: ['10.99.1.77' as Ip] }, proxy.targets);
    assert.deepEqual([keys('addresses'), keys('listeners')], [1, 2]);
    capture.withdraw(pod);
    assert.deepEqual([keys('addresses'), keys('listeners')], [0, 0]);
  });

  it('does not take an address from the pod that has it now', async () => {
    const capture = bed.capture();
    capture.enrol({ ...bed.pod('p2'), ips: [ip4.p1 as Ip] }, bed.proxy('p2').targets);
    bed.enrol('p1', capture);
    capture.withdraw(bed.pod('p2'));
    assert.equal((await bed.dial({ netns: 'ext' }, ip4.p1, 80)).told.by, 'plaintext');
  });

  it('does not take an address from the pod that has it now when its own change', async () => {
    const capture = bed.capture();
    const p2 = bed.proxy('p2');
    capture.enrol({ ...bed.pod('p2'), ips: [ip4.p1 as Ip] }, p2.targets);
    bed.enrol('p1', capture);
    capture.enrol(bed.pod('p2'), p2.targets);
    assert.equal((await bed.dial({ netns: 'ext' }, ip4.p1, 80)).told.by, 'plaintext');
  });

  it('removes half an enrolment at the start of an agent', () => {
    const first = bed.capture();
    first.enrol(bed.pod('p1'), bed.proxy('p1').targets);
    const map = openPinnedMap(join(bed.pinDir, 'pods'));
    map.delete(map.keys()[0]!);
    map.close();
    first.close();
    const second = bed.capture();
    assert.deepEqual(second.enrolled(), []);
    assert.ok(!bed.pins().some((p) => p.startsWith('link_inbound_')));
  });

  it('says that the folder of the pins is in no bpffs, and what to do', () => {
    const capture = new EbpfCapture({
      objectPath,
      pinDir: '/tmp',
      cgroup: bed.cgroup,
      failOpen: false,
    });
    assert.throws(() => capture.start(), /\/tmp, is not in a bpffs; run: mount -t bpf bpf \/tmp/);
  });

  it('finds this kernel usable, and says what is missing where it is not', async () => {
    assert.deepEqual(probeEbpf(objectPath, bed.cgroup), { kind: 'usable' });
    const noObject = probeEbpf('/dev/null', bed.cgroup);
    assert.ok(noObject.kind === 'unusable' && noObject.reason.includes('cannot be loaded'));
    const module = join(import.meta.dirname, '../../../cni/capture/ebpf/probe.ts');
    const script = `const { probeEbpf } = await import('${module}'); console.log(JSON.stringify(probeEbpf('${objectPath}', '${bed.cgroup}')));`;
    const without = async (capability: string) =>
      JSON.parse(
        await bed.run({ netns: 'node' }, [
          'setpriv',
          `--bounding-set=-${capability}`,
          pinnedNode,
          '--input-type=module',
          '-e',
          script,
        ]),
      ) as { kind: string; reason: string };
    const noNet = await without('net_admin');
    assert.equal(noNet.kind, 'unusable');
    assert.match(noNet.reason, /routes cannot be set \(needs CAP_NET_ADMIN/);
    const noSys = await without('sys_admin');
    assert.match(noSys.reason, /network namespace cannot be made \(needs CAP_SYS_ADMIN/);
  });
});
