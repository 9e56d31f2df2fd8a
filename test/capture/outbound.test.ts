/** Outbound TCP capture, row by row of ebpf-datapath 2. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { CaptureBackend } from '../../cni/capture/types.ts';
import { openPinnedMap } from '../../native/index.ts';
import { longOr, skipUnless } from '../harness/require.ts';
import { backends, rowsOf } from './backends.ts';
import { Bed, type Dialled, ip4, ip6, pinnedNode, tool } from './bed.ts';
import type { PodProxy } from './proxy.ts';

const app = { netns: 'p1' } as const;

for (const { kind, requires } of backends)
  describe(`outbound capture by ${kind}`, {
    timeout: 120_000,
    skip: skipUnless(...requires, 'program:setpriv'),
  }, () => {
    const row = rowsOf(kind);
    let bed: Bed;
    let capture: CaptureBackend;
    let proxy: PodProxy;
    before(async () => {
      bed = await Bed.make(kind);
    });
    after(() => bed.remove());
    beforeEach(() => {
      capture = bed.capture();
      proxy = bed.enrol('p1', capture);
    });
    afterEach(() => bed.reset());

    /** The connection reached the proxy with its destination, and the app sees the peer that it asked for. */
    function assertCaptured(d: Dialled, destination: string, peer = destination): void {
      assert.equal(d.error, '');
      assert.equal(JSON.parse(d.data).to, destination);
      assert.equal(d.peer, peer);
    }

    it('captures a blocking connect, and both sides see the address of the pod as source', async () => {
      const d = await bed.dial(app, ip4.ext, 80);
      assertCaptured(d, `${ip4.ext}:80`);
      assert.match(d.self, /^10\.99\.1\.2:/);
      assert.equal(d.told.from, d.self);
    });

    it('captures a non-blocking connect: EINPROGRESS, then success', async () => {
      const d = await bed.dial(app, ip4.ext, 8080, '--nonblock');
      assertCaptured(d, `${ip4.ext}:8080`);
      assert.equal(d.immediate, 'EINPROGRESS');
    });

    for (const [name, address, port, self] of [
      ['the IP of the pod', ip4.p1, 0, /^10\.99\.1\.2:/],
      ['the IP of the pod and a port', ip4.p1, 12345, /^10\.99\.1\.2:12345$/],
      ['any address and a port', '0.0.0.0', 12346, /:12346$/],
    ] as const) {
      it(`captures a socket bound to ${name}, which keeps it`, async () => {
        const d = await bed.dial(app, ip4.ext, 81, '--bind', address, String(port));
        assertCaptured(d, `${ip4.ext}:81`);
        assert.match(d.self, self);
      });
    }

    it('captures IPv6, bound or not', async () => {
      const free = await bed.dial(app, ip6.ext, 84);
      assertCaptured(free, `[${ip6.ext}]:84`);
      assert.match(free.self, /^\[fd99:1::2\]:/);
      assert.equal(free.told.from, free.self);
      assertCaptured(await bed.dial(app, ip6.ext, 86, '--bind', ip6.p1, '0'), `[${ip6.ext}]:86`);
    });

    it('captures v4-mapped destinations of IPv6 sockets, bound or not', async () => {
      const peer = (port: number) => `[::ffff:${ip4.ext}]:${port}`;
      const free = await bed.dial(app, `::ffff:${ip4.ext}`, 85);
      assertCaptured(free, `${ip4.ext}:85`, peer(85));
      assert.equal(free.self, `[::ffff:${free.told.from!.split(':')[0]}]:${free.told.from!.split(':')[1]}`);
      assertCaptured(
        await bed.dial(app, `::ffff:${ip4.ext}`, 87, '--bind', `::ffff:${ip4.p1}`, '0'),
        `${ip4.ext}:87`,
        peer(87),
      );
    });

    it('captures MPTCP sockets', async () => {
      const d = await bed.dial(app, ip4.ext, 92, '--mptcp');
      assert.equal(d.error, '');
      assert.equal(d.told.to, `${ip4.ext}:92`);
    });

    it('captures TCP fast open', async () => {
      const d = await bed.dial(app, ip4.ext, 93, '--tfo');
      assertCaptured(d, `${ip4.ext}:93`);
    });

    it('captures a socket a second time after connect(AF_UNSPEC)', async () => {
      const [first, second] = await bed.dialAll(app, ip4.ext, 94, '--again', '10.99.3.9', '95');
      assertCaptured(first!, `${ip4.ext}:94`);
      assertCaptured(second!, '10.99.3.9:95');
    });

    it('does not answer an old destination for a reused socket that now goes to loopback', async () => {
      const [first, second] = await bed.dialAll(
        app,
        ip4.ext,
        94,
        '--again',
        '127.0.0.1',
        String(proxy.targets.outbound.v4),
      );
      assertCaptured(first!, `${ip4.ext}:94`);
      assert.equal(second!.data, '');
      assert.equal(second!.peer, `127.0.0.1:${proxy.targets.outbound.v4}`);
      assert.equal(proxy.strays, 1);
    });

    row('device-bound sockets', 'captures a socket bound to a device', async () => {
      assertCaptured(await bed.dial(app, ip4.ext, 90, '--device', 'eth0'), `${ip4.ext}:90`);
      assertCaptured(await bed.dial(app, ip6.ext, 90, '--device', 'eth0'), `[${ip6.ext}]:90`);
      assert.equal(capture.counters()['outbound_device_unbound'], 2);
    });

    it('never lets a socket bound to a device out', async () => {
      await bed.serve('ext', 90, 9000);
      const d = await bed.dial(app, ip4.ext, 90, '--device', 'eth0', '--timeout', '1', '--send', 'x');
      assert.equal(d.told.app, undefined, 'the app outside has answered');
    });

    it('leaves loopback and the own addresses of the pod alone', async () => {
      await bed.serve('p1', 8080, 9000);
      for (const [to, seen] of [
        ['127.0.0.1', '127.0.0.1'],
        ['::1', '::1'],
        [ip4.p1, ip4.p1],
        [ip6.p1, ip6.p1],
      ] as const) {
        const d = await bed.dial(app, to, 8080, '--send', 'hello');
        assert.equal(d.told.got, 'hello', to);
        assert.ok(d.told.app!.includes(seen), `${to} was seen from ${d.told.app}`);
      }
      assert.deepEqual(proxy.outbound, []);
    });

    it('a self-addressed destination does not loop', async () => {
      const d = await bed.dial(app, ip4.p1, 9);
      assert.equal(d.error, 'ECONNREFUSED');
      assert.ok(d.ms < 1000);
      assert.deepEqual(proxy.outbound, []);
    });

    it('refuses a direct connect to the capture ports', async () => {
      for (const [ip, port] of [
        ['127.0.0.1', proxy.targets.outbound.v4],
        ['::1', proxy.targets.outbound.v6],
      ] as const) {
        const d = await bed.dial(app, ip, port);
        assert.equal(d.data, '');
      }
      assert.equal(proxy.strays, 2);
      assert.deepEqual(proxy.outbound, []);
    });

    it('sends TCP to port 53 to the DNS port, only where DNS is captured', async () => {
      const d = await bed.dial(app, ip4.ext, 53);
      assert.deepEqual(d.told, { by: 'dns', to: `${ip4.ext}:53` });
      capture.enrol(bed.pod('p1', { dns: false }), proxy.targets);
      assertCaptured(await bed.dial(app, ip4.ext, 53), `${ip4.ext}:53`);
    });

    it('captures a pod with CAP_NET_RAW whatever mark it sets', async () => {
      const setpriv = ['setpriv', '--bounding-set=-all,+net_raw', '--inh-caps=-all,+net_raw'];
      for (const mark of ['0x539', '1']) {
        const out = await bed.run(app, [...setpriv, tool('dial'), ip4.ext, '80', '--mark', mark]);
        assertCaptured(JSON.parse(out) as Dialled, `${ip4.ext}:80`);
      }
    });

    it('never lets a pod with CAP_NET_RAW out by the mark of the routing', async () => {
      await bed.serve('ext', 80, 9000);
      const dial = [tool('dial'), ip4.ext, '80', '--mark', '0x111', '--timeout', '1', '--send', 'x'];
      const d = JSON.parse(await bed.run(app, ['setpriv', '--bounding-set=-all,+net_raw', ...dial])) as Dialled;
      assert.ok(!d.data.includes('"app"'), d.data);
    });

    row('the mark of the routing', 'captures a socket with the mark of the routing', async () => {
      assertCaptured(await bed.dial(app, ip4.ext, 80, '--mark', '0x111'), `${ip4.ext}:80`);
    });

    it('captures a process that entered the netns from another cgroup', async () => {
      assertCaptured(await bed.dial({ netns: 'p1', cgroup: 'other' }, ip4.ext, 80), `${ip4.ext}:80`);
      assertCaptured(await bed.dial({ netns: 'p1', cgroup: 'p1/app' }, ip4.ext, 80), `${ip4.ext}:80`);
    });

    it('leaves alone the node netns, pods that are not enrolled, and the node proxy itself', async () => {
      await bed.serve('ext', 80, 9000);
      for (const [place, source] of [
        [{ netns: 'node', cgroup: 'p2' }, '10.99.3.1'],
        [{ netns: 'p2' }, ip4.p2],
        [{ netns: 'p1', cgroup: 'ztunnel' }, ip4.p1],
        [{ netns: 'p1', cgroup: 'ztunnel/worker' }, ip4.p1],
      ] as const) {
        const d = await bed.dial(place, ip4.ext, 80, '--send', 'x');
        assert.ok(d.told.app?.includes(source), `${place.netns} was seen from ${d.told.app}`);
      }
      assert.deepEqual(proxy.outbound, []);
    });

    it('carries the right destination of 3,000 connections that are open at once, and leaves no handshake behind', async () => {
      const count = 3_000;
      for (let round = 0; round < longOr(1, 5); round++) {
        proxy.outbound.length = 0;
        const result = JSON.parse(await bed.run(app, [tool('burst'), '4', String(count)]));
        assert.deepEqual(result, { openAtOnce: count, failed: 0, wrong: 0 });
        assert.equal(new Set(proxy.outbound).size, count);
        assertNoHandshake();
      }
    });

    row('handshakes', 'has forgotten the handshake of a connection that is still open', async () => {
      const left: number[] = [];
      proxy.onCapture = () => left.push(handshakes());
      await bed.dial(app, ip4.ext, 80);
      assert.deepEqual(left, [0]);
    });

    it('refuses at once when the proxy is gone, and leaves no handshake behind', async () => {
      await proxy.close();
      const d = await bed.dial(app, ip4.ext, 80);
      assert.equal(d.error, 'ECONNREFUSED');
      assert.ok(d.ms < 100, `it took ${d.ms} ms`);
      assertNoHandshake();
    });

    row('fail open', 'lets go direct when the proxy is gone and the pod fails open', async () => {
      capture.close();
      const open = bed.capture({ failOpen: true });
      open.enrol(bed.pod('p1'), proxy.targets);
      assertCaptured(await bed.dial(app, ip4.ext, 80), `${ip4.ext}:80`);
      await bed.serve('ext', 80, 9000);
      await proxy.close();
      for (const to of [ip4.ext, ip6.ext, `::ffff:${ip4.ext}`]) {
        const d = await bed.dial(app, to, 80, '--send', 'x');
        assert.equal(d.told.got, 'x', to);
      }
    });

    it('goes direct after withdrawal', async () => {
      await bed.serve('ext', 80, 9000);
      capture.withdraw(bed.pod('p1'));
      const d = await bed.dial(app, ip4.ext, 80, '--send', 'x');
      assert.equal(d.told.got, 'x');
      capture.remove(bed.pod('p1'));
      assert.deepEqual(capture.enrolled(), []);
    });

    it('is captured for a Node app, too', async () => {
      const script = `const c=require('node:net').connect(80,'${ip4.ext}');c.on('data',(d)=>process.stdout.write(d))`;
      const out = await bed.run(app, [pinnedNode, '-e', script]);
      assert.equal(JSON.parse(out).to, `${ip4.ext}:80`);
    });

    function assertNoHandshake(): void {
      if (kind === 'ebpf') assert.equal(handshakes(), 0);
    }

    function handshakes(): number {
      const map = openPinnedMap(join(bed.pinDir, 'handshakes'));
      try {
        return map.keys().length;
      } finally {
        map.close();
      }
    }
  });
