/** Agents come and go, pods come and go: capture stands, and nothing is left behind (ebpf-datapath 6 and 11). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { probeNft } from '../../cni/capture/nft/probe.ts';
import type { CapturedPod } from '../../cni/capture/types.ts';
import type { Ip } from '../../common/core/net.ts';
import { until } from '../../common/testing/until.ts';
import { closeFd, netnsCookie, openNetns } from '../../native/index.ts';
import { skipUnless } from '../harness/require.ts';
import { backends } from './backends.ts';
import { Bed, cgroup2, type Host, ip4, pinnedNode, tool, usual } from './bed.ts';

for (const { kind, requires } of backends)
  describe(`lifecycle of capture by ${kind}`, {
    timeout: 120_000,
    skip: skipUnless(...requires, 'program:nft'),
  }, () => {
    let bed: Bed;
    before(async () => {
      bed = await Bed.make(kind);
    });
    after(() => bed.remove());
    afterEach(() => bed.reset());

    it('stands while no agent runs, and the next agent knows the pods', async () => {
      const first = bed.capture();
      const proxy = bed.enrol('p1', first);
      first.close();
      assert.equal((await bed.dial({ netns: 'p1' }, ip4.ext, 80)).told.to, `${ip4.ext}:80`);
      assert.equal((await bed.dial({ netns: 'p2' }, ip4.p1, 80)).told.by, 'plaintext');

      const second = bed.capture();
      assert.deepEqual(second.enrolled(), ['uid-p1']);
      assert.equal(second.stands(bed.pod('p1')), true);
      assert.equal((await bed.dial({ netns: 'p1' }, ip4.ext, 80)).told.to, `${ip4.ext}:80`);
      second.remove(bed.pod('p1'));
      assert.equal(proxy.outbound.length, 2);
      assert.deepEqual(second.enrolled(), []);
    });

    it('stands in the namespace of this pod alone', () => {
      const capture = bed.capture();
      bed.enrol('p1', capture);
      assert.equal(capture.stands(bed.pod('p1')), true);
      assert.equal(capture.stands(bed.pod('p2')), false);
      assert.equal(capture.stands({ ...bed.pod('p1'), uid: 'another' }), false);
    });

    it('refuses both directions of a pod whose proxy is not there yet', async () => {
      await bed.serve('p1', 8080, 9000);
      await bed.serve('ext', 80, 9000);
      bed.capture().enrol(bed.pod('p1'), undefined);
      for (const d of [await bed.dial({ netns: 'p1' }, ip4.ext, 80), await bed.dial({ netns: 'p2' }, ip4.p1, 8080)]) {
        assert.match(d.error, /^(ECONNREFUSED|EPERM)$/);
      }
    });

    it('leaves the namespaces of pod and node as they were', () => {
      const before = { pod: stateOf('p1'), node: stateOf('node') };
      const capture = bed.capture();
      bed.enrol('p1', capture);
      assert.notEqual(stateOf('p1'), before.pod);
      capture.setPlaintext(bed.pod('p1'), 'direct');
      capture.withdraw(bed.pod('p1'));
      capture.remove(bed.pod('p1'));
      assert.equal(stateOf('p1'), before.pod);
      capture.destroy();
      assert.equal(stateOf('node'), before.node);
    });

    it('captures anew what was withdrawn', async () => {
      const capture = bed.capture();
      const proxy = bed.enrol('p1', capture);
      capture.withdraw(bed.pod('p1'));
      await bed.dial({ netns: 'p1' }, ip4.ext, 80);
      assert.deepEqual(proxy.outbound, []);
      capture.enrol(bed.pod('p1'), proxy.targets);
      await bed.dial({ netns: 'p1' }, ip4.ext, 80);
      assert.deepEqual(proxy.outbound, [`${ip4.ext}:80`]);
    });

    it('leaves a pod alone that was never enrolled', () => {
      const before = stateOf('p1');
      const capture = bed.capture();
      capture.setPlaintext(bed.pod('p1'), 'direct');
      capture.withdraw(bed.pod('p1'));
      capture.remove(bed.pod('p1'));
      assert.equal(stateOf('p1'), before);
    });

    it('forgets pods that come, go and come again, and not those that stay', () => {
      const capture = bed.capture();
      bed.enrol('p1', capture);
      const { targets } = bed.proxy('p2');
      for (let round = 0; round < 2; round++) {
        const pods = Array.from({ length: 20 }, (_, i): CapturedPod => {
          const ip = `10.97.0.${i + 1}`;
          const netns = openNetns(bed.addNetns(`extra${i}`, ip));
          return { uid: `extra-${i}`, netns, cookie: netnsCookie(netns), ips: [ip as Ip], wishes: usual };
        });
        for (const pod of pods) capture.enrol(pod, targets);
        assert.equal(capture.enrolled().length, 21);
        for (const [i, pod] of pods.entries()) {
          closeFd(pod.netns);
          bed.removeNetns(`extra${i}`);
        }
        const deadline = Date.now() + 20_000;
        // The kernel takes a namespace down some time after its last user is gone.
        while (capture.enrolled().length > 1 && Date.now() < deadline) capture.sweep((uid) => uid === 'uid-p1');
        assert.deepEqual(capture.enrolled(), ['uid-p1']);
      }
    });

    it('leaves an address to the pod that has it now', () => {
      const capture = bed.capture();
      bed.enrol('p1', capture);
      capture.enrol({ ...bed.pod('p2'), ips: [ip4.p1 as Ip] }, bed.proxy('p2').targets);
      capture.remove(bed.pod('p1'));
      assert.deepEqual(capture.enrolled(), ['uid-p2']);
    });

    it('ends on destroy for those that come later', async () => {
      const capture = bed.capture();
      bed.enrol('p1', capture);
      await bed.serve('ext', 80, 9000);
      capture.remove(bed.pod('p1'));
      capture.destroy();
      assert.equal((await bed.dial({ netns: 'p1' }, ip4.ext, 80, '--send', 'x')).told.got, 'x');
    });

    it('is not deceived by a process that runs the tools of the test as the proxy', async () => {
      // The control of all tests above: in the cgroup of the proxy the same program is not captured.
      const proxy = bed.enrol('p1', bed.capture());
      await bed.run({ netns: 'p1', cgroup: 'ztunnel' }, [tool('dial'), ip4.ext, '1']);
      assert.deepEqual(proxy.outbound, []);
    });

    it('lets out each proxy that it is told of, also with pods that are enrolled, until its cgroup is gone', async () => {
      const capture = bed.capture();
      const proxy = bed.enrol('p1', capture);
      const other = { netns: 'p1', cgroup: 'other' } as const;
      const captured = async () => {
        const before = proxy.outbound.length;
        await bed.run(other, [tool('dial'), ip4.ext, '1']);
        return proxy.outbound.length > before;
      };
      assert.equal(await captured(), true);
      capture.addProxy(join(bed.cgroup, 'other'));
      if (capture.proxyPorts === 'fixed') capture.enrol(bed.pod('p1'), undefined);
      assert.equal(await captured(), false);
      const gone = join(bed.cgroup, 'gone');
      mkdirSync(gone);
      capture.addProxy(gone);
      rmdirSync(gone);
      // The kernel lets go of a cgroup some time after its folder.
      await until('the dead one is forgotten', () => {
        capture.sweep(() => true);
        return kind === 'nft' || bed.pins().filter((p) => p.startsWith('link_sockops_ztunnel_')).length === 2;
      });
      capture.enrol(bed.pod('p1'), proxy.targets);
      assert.equal(await captured(), false);
    });

    if (kind === 'nft') {
      it('finds this kernel usable, and says what is missing where it is not', async () => {
        const cgroups = { cgroupMount: cgroup2(), cgroup: bed.cgroup };
        assert.deepEqual(probeNft(cgroups), { kind: 'usable' });
        const nowhere = probeNft({ ...cgroups, proberCgroup: join(bed.cgroup, 'nobody') });
        assert.ok(nowhere.kind === 'unusable' && nowhere.reason.includes('cgroupv2'), JSON.stringify(nowhere));
        const elsewhere = probeNft({ ...cgroups, proberCgroup: '/host/cgroup' });
        assert.ok(elsewhere.kind === 'unusable' && elsewhere.reason.includes('/host/cgroup'));
        const noScratch = probeNft({ ...cgroups, cgroup: '/proc' });
        assert.ok(noScratch.kind === 'unusable' && noScratch.reason.includes('cannot be made in /proc'));
        const module = join(import.meta.dirname, '../../cni/capture/nft/probe.ts');
        const script = `const { probeNft } = await import('${module}'); console.log(JSON.stringify(probeNft(${JSON.stringify(cgroups)})));`;
        const argv = ['setpriv', '--bounding-set=-net_admin', pinnedNode, '--input-type=module', '-e', script];
        const noNet = JSON.parse(await bed.run({ netns: 'node' }, argv)) as { kind: string; reason: string };
        assert.equal(noNet.kind, 'unusable');
        assert.match(noNet.reason, /needs CAP_NET_ADMIN/);
      });
    }

    /** Rules, routes and the sysctls that capture touches. */
    function stateOf(host: Host): string {
      const script =
        'nft list ruleset; for f in -4 -6; do ip $f rule; ip $f route show table 100 2>/dev/null; done; ' +
        'sysctl net.ipv4.tcp_fwmark_accept net.ipv4.fwmark_reflect net.ipv6.fwmark_reflect';
      return execFileSync('nsenter', [`--net=${bed.netnsPath(host)}`, 'sh', '-c', script], { encoding: 'utf8' });
    }
  });
