/** Inbound capture by sk_lookup, the client's address at the app, and the node's probes (ebpf-datapath 4). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { CaptureBackend } from '../../cni/capture/types.ts';
import type { Ip, Port } from '../../common/core/net.ts';
import { bindSocket, openPinnedMap, type SocketSpec, socketsInNetns } from '../../native/index.ts';
import { needs, skipUnless } from '../harness/require.ts';
import { backends, rowsOf } from './backends.ts';
import { Bed, ip4, ip6, type Place, tool } from './bed.ts';
import type { PodProxy } from './proxy.ts';

const client: Place = { netns: 'p2' };

for (const { kind, requires } of backends)
  describe(`inbound capture by ${kind}`, { timeout: 120_000, skip: skipUnless(...requires) }, () => {
    const row = rowsOf(kind);
    let bed: Bed;
    let capture: CaptureBackend;
    let proxy: PodProxy;
    before(async () => {
      bed = await Bed.make(kind);
    });
    after(() => bed.remove());
    beforeEach(async () => {
      capture = bed.capture();
      proxy = bed.enrol('p1', capture, { inbound: 'relay' });
      await bed.serve('p1', 8080, 9000);
    });
    afterEach(() => bed.reset());

    it('steers any port to the plaintext listener and 15008 to the HBONE listener, for both families', async () => {
      proxy.inbound = 'tell';
      for (const [to, from] of [
        [ip4.p1, ip4.p2],
        [ip6.p1, ip6.p2],
      ] as const) {
        const address = to.includes(':') ? `[${to}]` : to;
        const plain = await bed.dial(client, to, 4242);
        assert.deepEqual([plain.told.by, plain.told.to], ['plaintext', `${address}:4242`]);
        assert.equal(plain.told.from, plain.self);
        assert.ok(plain.self.includes(from));
        assert.equal((await bed.dial(client, to, 15008)).told.by, 'hbone');
      }
    });

    it('shows the app the address of the client, on a dual-stack socket', async () => {
      const four = await bed.dial(client, ip4.p1, 8080, '--send', 'a');
      assert.match(four.told.app ?? four.data, /^\[::ffff:10\.99\.2\.2\]:/);
      assert.equal(four.told.getpeername, four.told.app);
      const six = await bed.dial(client, ip6.p1, 8080, '--send', 'a');
      assert.match(six.told.app ?? six.data, /^\[fd99:2::2\]:/);
      if (kind === 'ebpf') assert.equal(capture.counters()['inbound_known_flow'], 2);
    });

    it('does so with strict reverse path filtering', async () => {
      const interfaces = ['all', 'eth0', 'lo'];
      for (const name of interfaces) bed.sysctl('p1', `net.ipv4.conf.${name}.rp_filter=1`);
      try {
        assert.match((await bed.dial(client, ip4.p1, 8080, '--send', 'a')).told.app!, /10\.99\.2\.2/);
        // There is no such filter for IPv6; both families go through the same steps.
        assert.match((await bed.dial(client, ip6.p1, 8080, '--send', 'a')).told.app!, /fd99:2::2/);
        for (const to of [ip4.p1, ip6.p1]) {
          const closed = await bed.dial(client, to, 8099, '--send', 'a');
          assert.equal(closed.readError, 'ECONNRESET');
          assert.ok(closed.totalMs < 100, `it took ${closed.totalMs} ms`);
        }
      } finally {
        for (const name of interfaces) bed.sysctl('p1', `net.ipv4.conf.${name}.rp_filter=0`);
      }
    });

    for (const [family, from, to] of [
      ['IPv4', ip4.p2, ip4.p1],
      ['IPv6', ip6.p2, ip6.p1],
    ] as const) {
      row(
        'sysctls of the marks',
        `cannot dial the app from the address of the client without tcp_fwmark_accept, ${family}`,
        async () => {
          assert.equal(await dialFrom(from, to, 8080), 'connected');
          bed.sysctl('p1', 'net.ipv4.tcp_fwmark_accept=0');
          assert.equal(await dialFrom(from, to, 8080), 'silence');
        },
      );

      row('sysctls of the marks', `hears nothing of a closed port without fwmark_reflect, ${family}`, async () => {
        assert.equal(await dialFrom(from, to, 8099), 'ECONNREFUSED');
        bed.sysctl('p1', `net.${family.toLowerCase()}.fwmark_reflect=0`);
        assert.equal(await dialFrom(from, to, 8099), 'silence');
      });

      it(`shows the app the address of its own pod when the proxy dials it plainly, ${family}`, async () => {
        const d = await bed.dial({ netns: 'p1', cgroup: 'ztunnel' }, to, 8080, '--send', 'a');
        assert.ok(d.told.app?.includes(`${to}]:`), d.data);
      });
    }

    row('a listener of another namespace', 'never gets a connection to a listener of another netns', async () => {
      const elsewhere = bed.proxy('p2', { inbound: 'tell' });
      capture.enrol(bed.pod('p1'), elsewhere.targets);
      for (const to of [ip4.p1, ip6.p1]) {
        const d = await bed.dial({ netns: 'ext' }, to, 8080, '--nonblock', '--timeout', '1');
        // The listener's netns may know a way to the client for its SYN-ACK; the ACK then finds nothing here, and is answered by RST.
        assert.match(d.error || d.readError, /^(ETIMEDOUT|ECONNRESET)$/);
        assert.equal(d.data, '');
      }
    });

    it('does so with SYN cookies forced on', async () => {
      bed.sysctl('p1', 'net.ipv4.tcp_syncookies=2');
      try {
        for (let i = 0; i < 5; i++) {
          assert.match((await bed.dial(client, ip4.p1, 8080, '--send', 'a')).told.app!, /10\.99\.2\.2/);
        }
      } finally {
        bed.sysctl('p1', 'net.ipv4.tcp_syncookies=1');
      }
    });

    it('dials again when the port of the client collides with the captured connection itself', async () => {
      await proxy.close();
      proxy = bed.enrol('p1', capture, { inbound: 'relay', sameport: true });
      const d = await bed.dial(client, ip4.p1, 8080, '--send', 'a');
      assert.match(d.told.app ?? JSON.stringify(d), /10\.99\.2\.2/);
      // After a redirect the captured connection has another port of the pod than the dial to the app.
      assert.equal(proxy.retries, kind === 'ebpf' ? 1 : 0);
    });

    it('lets the dial to a closed port fail at once', async () => {
      for (const to of [ip4.p1, ip6.p1]) {
        const d = await bed.dial(client, to, 8099, '--send', 'a');
        // The proxy accepts first; what counts is how soon it can pass the refusal on.
        assert.equal(d.readError, 'ECONNRESET');
        assert.ok(d.totalMs < 100, `it took ${d.totalMs} ms`);
      }
      assert.equal(proxy.retries, 0);
    });

    it('leaves calls of the pod to itself, UDP and ICMP alone', async () => {
      const self = await bed.dial({ netns: 'p1' }, ip4.p1, 8080, '--send', 'me');
      assert.equal(self.told.got, 'me');
      const udp = JSON.parse(await bed.run(client, [tool('ask'), ip4.p1, '9000'])) as { from: string }[];
      assert.equal(udp[0]?.from, `${ip4.p1}:9000`);
      assert.deepEqual(JSON.parse(await bed.run(client, [tool('ping'), ip4.p1])), { reply: true });
      assert.equal(proxy.plaintext, 0);
    });

    it('steers a dial of the proxy to its own pod, port 15008, to the HBONE listener', async () => {
      proxy.inbound = 'tell';
      const d = await bed.dial({ netns: 'p1', cgroup: 'ztunnel' }, ip4.p1, 15008);
      assert.equal(d.told.by, 'hbone');
    });

    it('captures what a proxy dials from the netns of another pod', async () => {
      bed.enrol('p2', capture);
      proxy.inbound = 'tell';
      const d = await bed.dial({ netns: 'p2', cgroup: 'ztunnel' }, ip4.p1, 8080);
      assert.equal(d.told.by, 'plaintext');
    });

    it('gives a connection between two captured pods to the proxy of the first', async () => {
      const second = bed.enrol('p2', capture);
      await bed.dial({ netns: 'p2' }, ip4.p1, 8080);
      assert.deepEqual(second.outbound, [`${ip4.p1}:8080`]);
    });

    it('keeps connections that are older than the capture, until ss -K resets them', async (t) => {
      if (!needs(t, 'program:ss')) return;
      capture.withdraw(bed.pod('p1'));
      const [stays, ends] = await Promise.all([openToApp(), openToApp()]);
      capture.enrol(bed.pod('p1'), proxy.targets);
      const reset = once(ends, 'error');
      const kill = `ss -Kt state established dst ${ip4.p2} dport = ${ends.localPort} sport = 8080`;
      execFileSync('nsenter', [`--net=${bed.netnsPath('p1')}`, ...kill.split(' ')]);
      assert.equal(((await reset) as NodeJS.ErrnoException[])[0]?.code, 'ECONNRESET');
      stays.write('old');
      const [data] = (await once(stays, 'data')) as [Buffer];
      assert.equal(JSON.parse(data.toString()).got, 'old');
      stays.destroy();
      assert.equal(proxy.plaintext, 0);
      await bed.dial(client, ip4.p1, 8080, '--send', 'new');
      assert.equal(proxy.plaintext, 1);
    });

    it('keeps connections that were captured, after withdrawal', async () => {
      const c = await openToApp();
      while (proxy.relayed !== 1) await new Promise(setImmediate);
      capture.withdraw(bed.pod('p1'));
      c.write('kept');
      const [data] = (await once(c, 'data')) as [Buffer];
      const told = JSON.parse(data.toString());
      assert.equal(told.got, 'kept');
      assert.match(told.app, /10\.99\.2\.2/);
      c.destroy();
      // And new ones go direct: the app sees the very port of the client.
      const d = await bed.dial(client, ip4.p1, 8080, '--send', 'a');
      assert.equal(d.told.app, `[::ffff:${ip4.p2}]:${d.self.split(':')[1]}`);
    });

    it('refuses at once when the proxy is gone', async () => {
      await proxy.close();
      const closed = await bed.dial(client, ip4.p1, 8080, '--send', 'a');
      assert.equal(closed.error, 'ECONNREFUSED');
      assert.ok(closed.ms < 100);
    });

    row('fail open', 'lets pass when the proxy is gone and the pod fails open', async () => {
      capture.close();
      const open = bed.capture({ failOpen: true });
      const next = bed.proxy('p1');
      open.enrol(bed.pod('p1'), next.targets);
      await next.close();
      const d = await bed.dial(client, ip4.p1, 8080, '--send', 'a');
      assert.equal(d.told.got, 'a');
      assert.equal(open.counters()['inbound_failed_open'], 1);
    });

    row('two proxies at once', 'steers new connections to a new proxy, while the old one keeps its own', async () => {
      const old = await openToApp();
      while (proxy.relayed !== 1) await new Promise(setImmediate);
      bed.enrol('p1', capture, { inbound: 'tell' });
      assert.equal((await bed.dial(client, ip4.p1, 8080)).told.by, 'plaintext');
      old.write('old');
      const [data] = (await once(old, 'data')) as [Buffer];
      assert.equal(JSON.parse(data.toString()).got, 'old');
      old.destroy();
    });

    row('unknown addresses', 'refuses addresses of the pod that nobody enrolled', async () => {
      capture.enrol({ ...bed.pod('p1'), ips: [bed.pod('p1').ips[0]!] }, proxy.targets);
      const d = await bed.dial(client, ip6.p1, 8080);
      assert.equal(d.error, 'ECONNREFUSED');
      assert.equal(capture.counters()['inbound_unknown_address'], 1);
    });

    it('lets probes from the cgroup of the kubelet reach the app, and no other process of the node', async () => {
      for (const to of [ip4.p1, ip6.p1]) {
        const probe = await bed.dial({ netns: 'node', cgroup: 'kubelet' }, to, 8080, '--send', 'probe');
        assert.equal(probe.told.got, 'probe');
        assert.ok(probe.told.app!.includes(probe.self.replace(/[[\]]/g, '').split(':').at(-1)!));
      }
      assert.equal((await bed.dial({ netns: 'node', cgroup: 'kubelet' }, ip4.p1, 8099)).error, 'ECONNREFUSED');
      assert.equal(proxy.plaintext, 0);
      proxy.inbound = 'tell';
      assert.equal((await bed.dial({ netns: 'node', cgroup: 'other' }, ip4.p1, 8080)).told.by, 'plaintext');
    });

    row('flows', 'forgets flows when they are closed', async () => {
      await bed.dial(client, ip4.p1, 8080, '--send', 'a');
      await bed.dial({ netns: 'node', cgroup: 'kubelet' }, ip4.p1, 8080, '--send', 'a');
      const map = openPinnedMap(join(bed.pinDir, 'pass_flows'));
      try {
        const deadline = Date.now() + 2000;
        while (map.keys().length > 0 && Date.now() < deadline) await new Promise(setImmediate);
        assert.equal(map.keys().length, 0);
      } finally {
        map.close();
      }
    });

    it('lets plain text through to the app when it is told to, and HBONE not', async () => {
      capture.setPlaintext(bed.pod('p1'), 'direct');
      for (const to of [ip4.p1, ip6.p1]) {
        const d = await bed.dial(client, to, 8080, '--send', 'a');
        assert.ok(d.told.app!.endsWith(`:${d.self.split(':').at(-1)}`), 'the client itself has called the app');
        assert.equal((await bed.dial(client, to, 15008)).told.by, 'hbone');
      }
      assert.equal(proxy.plaintext, 0);
      assert.equal((await bed.dial({ netns: 'p1' }, ip4.ext, 80)).told.to, `${ip4.ext}:80`);
      capture.setPlaintext(bed.pod('p1'), 'captured');
      await bed.dial(client, ip4.p1, 8080, '--send', 'a');
      assert.equal(proxy.plaintext, 1);
    });

    it('does so from the beginning for a pod that wishes it', async () => {
      capture.enrol(bed.pod('p1', { plaintext: 'direct' }), proxy.targets);
      await bed.dial(client, ip4.p1, 8080, '--send', 'a');
      assert.equal((await bed.dial(client, ip4.p1, 15008)).told.by, 'hbone');
      assert.equal(proxy.plaintext, 0);
    });

    it('keeps connections that were captured when plain text goes direct', async () => {
      const c = await openToApp();
      while (proxy.relayed !== 1) await new Promise(setImmediate);
      capture.setPlaintext(bed.pod('p1'), 'direct');
      c.write('kept');
      const [data] = (await once(c, 'data')) as [Buffer];
      assert.equal(JSON.parse(data.toString()).got, 'kept');
      c.destroy();
    });

    row('virtual interfaces', 'takes what comes in by a virtual interface for outbound', async () => {
      const guest = bed.addGuest('p1', 'guest0', '10.96.0');
      capture.enrol(bed.pod('p1', { virtualInterfaces: ['guest0'] }), proxy.targets);
      const d = await bed.dial({ netns: guest, cgroup: 'other' }, ip4.ext, 8443);
      assert.equal(d.told.to, `${ip4.ext}:8443`);
      assert.ok(d.told.from!.startsWith('10.96.0.2:'));
    });

    /** An open connection of the client to the app's port. */
    async function openToApp(): Promise<net.Socket> {
      const [fd] = socketsInNetns(bed.netns.p2, { family: 4, type: 'stream' }, 1);
      const c = net.connect({ fd: fd!, host: ip4.p1, port: 8080 } as net.NetConnectOpts);
      await once(c, 'connect');
      return c;
    }

    /** What comes of the proxy's dial to the app from a client's address: an error's name, or silence for 700 ms. */
    async function dialFrom(from: string, to: string, port: number): Promise<string> {
      const family = to.includes(':') ? 6 : 4;
      const spec: SocketSpec = { family, type: 'stream', transparent: true, mark: proxy.dialMark };
      const [fd] = socketsInNetns(bed.netns.p1, spec, 1);
      bindSocket(fd!, { ip: from as Ip, port: 0 as Port });
      const c = net.connect({ fd: fd!, host: to, port } as net.NetConnectOpts);
      const silence = AbortSignal.timeout(700);
      try {
        await once(c, 'connect', { signal: silence });
        return 'connected';
      } catch (e) {
        return silence.aborted ? 'silence' : ((e as NodeJS.ErrnoException).code ?? String(e));
      } finally {
        c.destroy();
      }
    }
  });
