/** Capture of DNS over UDP (ebpf-datapath 2): by every kind of socket and resolver, with replies from the server asked. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { CaptureBackend } from '../../cni/capture/types.ts';
import { skipUnless } from '../harness/require.ts';
import { backends, rowsOf } from './backends.ts';
import { Bed, ip4, ip6, pinnedNode, tool } from './bed.ts';
import { answerAddress, type PodProxy } from './proxy.ts';

const app = { netns: 'p1' } as const;
const server4 = '10.99.3.53';
const server6 = 'fd99:3::53';

interface Answer {
  readonly from?: string;
  readonly peer?: string;
  readonly error?: string;
}

for (const { kind, requires } of backends)
  describe(`DNS capture by ${kind}`, { timeout: 120_000, skip: skipUnless(...requires, 'program:unshare') }, () => {
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

    const ask = async (...args: string[]) => JSON.parse(await bed.run(app, [tool('ask'), ...args])) as Answer[];

    for (const [name, options, ip, from] of [
      ['connected', ['--connect'], server4, `${server4}:53`],
      ['unconnected', [], server4, `${server4}:53`],
      ['unconnected and bound', ['--bind', ip4.p1, '0'], server4, `${server4}:53`],
      ['connected IPv6', ['--connect'], server6, `[${server6}]:53`],
      ['unconnected IPv6', [], server6, `[${server6}]:53`],
      ['unconnected, bound IPv6', ['--bind', ip6.p1, '0'], server6, `[${server6}]:53`],
      ['unconnected v4-mapped', [], `::ffff:${server4}`, `[::ffff:${server4}]:53`],
      ['connected v4-mapped', ['--connect'], `::ffff:${server4}`, `[::ffff:${server4}]:53`],
    ] as const) {
      it(`answers a socket that is ${name} from the server that it asked`, async () => {
        const [answer] = await ask(...options, ip, '53');
        assert.equal(answer?.from, from);
        if (name.startsWith('connected')) assert.equal(answer?.peer, from);
        assert.equal(proxy.questions, 1);
      });
    }

    it('answers an unconnected socket that asks two servers, as musl does', async () => {
      const answers = await ask(server4, '53', '10.99.3.54', '53');
      assert.equal(answers.length, 2);
      for (const a of answers) assert.ok([`${server4}:53`, '10.99.3.54:53'].includes(a.from ?? ''), JSON.stringify(a));
    });

    row(
      'device-bound sockets',
      'answers sockets bound to a device; an unconnected one from its second question on',
      async () => {
        assert.equal((await ask('--device', 'eth0', '--connect', server4, '53'))[0]?.from, `${server4}:53`);
        assert.equal((await ask('--device', 'eth0', '--repeat', server4, '53'))[0]?.from, `${server4}:53`);
      },
    );

    it('leaves other ports, other datagrams and pods without DNS capture alone', async () => {
      await bed.serve('ext', 8080, 9000);
      assert.equal((await ask('--connect', ip4.ext, '9000'))[0]?.from, `${ip4.ext}:9000`);
      assert.equal((await ask(ip6.ext, '9000'))[0]?.from, `[${ip6.ext}]:9000`);
      assert.equal(proxy.questions, 0);
      await bed.serve('ext', 8081, 53);
      capture.enrol(bed.pod('p1', { dns: false }), proxy.targets);
      assert.equal((await ask(ip4.ext, '53'))[0]?.from, `${ip4.ext}:53`);
      assert.equal(proxy.questions, 0);
    });

    it('does not rename a datagram of another local process', async () => {
      // The app asks a DNS server, then talks to a UDP service of its own pod with the same socket.
      await bed.serve('p1', 8080, 9000);
      const answers = await ask(server4, '53', '127.0.0.1', '9000');
      assert.deepEqual(new Set(answers.map((a) => a.from)), new Set([`${server4}:53`, '127.0.0.1:9000']));
    });

    it('does not rename a datagram of another host that happens to come from the same port', async () => {
      const port = proxy.targets.dnsUdp!.v4;
      await bed.serve('ext', 8080, port);
      const answers = await ask(server4, '53', ip4.ext, String(port));
      assert.deepEqual(new Set(answers.map((a) => a.from)), new Set([`${server4}:53`, `${ip4.ext}:${port}`]));
    });

    row(
      'fail open',
      'lets go direct when the proxy is gone and the pod fails open, and no answer comes when it fails closed',
      async () => {
        await bed.serve('ext', 8081, 53);
        const { targets } = proxy;
        await proxy.close();
        assert.equal((await ask(ip4.ext, '53'))[0]?.from, undefined);
        capture.close();
        proxy = bed.proxy('p1');
        const open = bed.capture({ failOpen: true });
        // The listeners must live for the call; the ports are those of the dead proxy.
        open.enrol(bed.pod('p1'), { ...targets, listeners: proxy.targets.listeners });
        assert.equal((await ask(ip4.ext, '53'))[0]?.from, `${ip4.ext}:53`);
      },
    );

    it("serves glibc's getaddrinfo", async () => {
      const folder = mkdtempSync(join(tmpdir(), 'aquifer-resolv-'));
      try {
        writeFileSync(join(folder, 'resolv.conf'), `nameserver ${server4}\nnameserver ${server6}\n`);
        const script = 'mount --bind "$0/resolv.conf" /etc/resolv.conf && exec getent ahostsv4 example.test';
        const out = await bed.run(app, ['unshare', '-m', 'sh', '-c', script, folder]);
        assert.match(out, new RegExp(`^${answerAddress.replaceAll('.', '\\.')}\\s`));
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    it('serves c-ares, over IPv4 and IPv6', async () => {
      for (const server of [server4, `[${server6}]`]) {
        const script = `const r=new (require('node:dns').promises.Resolver)();r.setServers(['${server}']);r.resolve4('example.test').then((a)=>console.log(a.join()))`;
        assert.equal((await bed.run(app, [pinnedNode, '-e', script])).trim(), answerAddress);
      }
    });
  });
