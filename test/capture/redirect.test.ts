/** `cni-agent redirect`: a namespace whose proxy lives in it, by nftables and by iptables. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { skipUnless } from '../harness/require.ts';
import { Bed, type Dialled, ip4, ip6, type Told, tool } from './bed.ts';

const program = join(import.meta.dirname, '../../bin/cni-agent');

describe('redirect of a machine', {
  timeout: 120_000,
  skip: skipUnless('root', 'addon', 'program:nft', 'program:iptables', 'program:ip6tables', 'program:setpriv'),
}, () => {
  let bed: Bed;
  before(async () => {
    bed = await Bed.make('nft');
  });
  after(() => bed.remove());
  afterEach(() => bed.reset());

  const redirect = (...args: string[]) =>
    execFileSync('nsenter', [`--net=${bed.netnsPath('p1')}`, program, 'redirect', ...args], { encoding: 'utf8' });

  /** As a user who is not the proxy's. */
  async function dial(to: string, port: number): Promise<Told> {
    const argv = ['setpriv', '--reuid=65534', '--clear-groups', tool('dial'), to, String(port), '--send', 'x'];
    const { data } = JSON.parse(await bed.run({ netns: 'p1' }, argv)) as Dialled;
    return data ? (JSON.parse(data) as Told) : {};
  }

  for (const by of ['nft', 'iptables'] as const) {
    const flags = by === 'nft' ? [] : ['--iptables'];
    it(`captures both directions by ${by}, but not what the proxy sends, until it is removed`, async () => {
      const proxy = bed.proxy('p1');
      await bed.serve('ext', 80, 9000);
      await bed.serve('p1', 8080, 9000);
      // The sockets of the test's proxy are root's.
      const add = ['add', ...flags, '--proxy-uid', '0', '--exclude-inbound-ports', '8080', '--redirect-dns'];
      for (let twice = 0; twice < 2; twice++) {
        redirect(...add);
        for (const [ip, to] of [
          [ip4.ext, `${ip4.ext}:80`],
          [ip6.ext, `[${ip6.ext}]:80`],
        ] as const) {
          assert.equal((await dial(ip, 80)).to, to);
        }
        assert.equal((await dial(ip4.ext, 53)).by, 'dns');
        const root = await bed.dial({ netns: 'p1' }, ip4.ext, 80, '--send', 'x');
        assert.equal(root.told.got, 'x', 'what belongs to the proxy goes out');
        for (const ip of [ip4.p1, ip6.p1]) {
          assert.equal((await bed.dial({ netns: 'p2' }, ip, 4242)).told.by, 'plaintext');
          assert.equal((await bed.dial({ netns: 'p2' }, ip, 15008)).told.by, 'hbone');
          assert.equal((await bed.dial({ netns: 'p2' }, ip, 8080, '--send', 'a')).told.got, 'a', 'an excluded port');
        }
      }
      const seen = proxy.outbound.length;
      redirect('remove', ...flags);
      redirect('remove', ...flags);
      assert.equal((await dial(ip4.ext, 80)).got, 'x');
      assert.equal(proxy.outbound.length, seen);
      assert.equal((await bed.dial({ netns: 'p2' }, ip4.p1, 4242)).error, 'ECONNREFUSED');
    });

    it(`prints what it would do by ${by}, and does nothing`, async () => {
      await bed.serve('ext', 80, 9000);
      const text = redirect('add', ...flags, '--dry-run');
      assert.match(text, by === 'nft' ? /redirect to :15001/ : /^iptables .*REDIRECT --to-ports 15001/m);
      assert.equal((await dial(ip4.ext, 80)).got, 'x');
      // What it prints can be run by hand.
      const shell = by === 'nft' ? ['nft', '-f', '-'] : ['sh', '-e'];
      const inside = [`--net=${bed.netnsPath('p1')}`, ...shell];
      execFileSync('nsenter', inside, { input: text });
      assert.notEqual((await dial(ip4.ext, 80)).got, 'x', 'no proxy listens');
      execFileSync('nsenter', inside, { input: redirect('remove', ...flags, '--dry-run') });
      assert.equal((await dial(ip4.ext, 80)).got, 'x');
    });
  }

  it('says what is wrong with its arguments', () => {
    assert.throws(
      () => redirect('add', '--proxy-uid', 'root'),
      (e: { status: number; stderr: string }) => e.status === 2 && /is no number of a user/.test(String(e.stderr)),
    );
  });
});
