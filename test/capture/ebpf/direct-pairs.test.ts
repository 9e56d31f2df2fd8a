/** The same-node fast path in the kernel: who goes past the proxy, what is heard of it, and what cuts it. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, afterEach, before, describe, it } from 'node:test';
import type { CaptureBackend, DirectEvent, DirectPair } from '../../../cni/capture/types.ts';
import { millis } from '../../../common/core/brand.ts';
import type { Ip, Port } from '../../../common/core/net.ts';
import { until } from '../../../common/testing/until.ts';
import { netnsCookie, openPinnedMap } from '../../../native/index.ts';
import { skipUnless } from '../../harness/require.ts';
import { Bed, ip4, ip6, pinnedNode } from '../bed.ts';

const hour = millis(3_600_000);
const port = 8080 as Port;

/** Answers `size` bytes to each request byte that is a line's end; ends when the client does, or at once with `first`. */
const server = `
  const size = Number(process.argv[1]), first = process.argv[2] === 'first';
  require('net').createServer({ allowHalfOpen: true }, (c) => {
    c.on('error', () => console.log('error'));
    c.on('data', (d) => { if (d.includes(10)) { c.write(Buffer.alloc(size)); if (first) c.end(); } });
    c.on('end', () => c.end());
  }).listen(8080, '::', () => console.log('ready'));`;

/** Sends \`size\` bytes with a line's end, reads \`expected\`, and then ends as it is told to. */
const client = `
  const [to, size, expected, how] = process.argv.slice(1);
  const c = require('net').connect({ host: to, port: 8080, allowHalfOpen: true });
  let got = 0;
  c.on('error', (e) => { console.log(e.code); process.exit(); });
  c.write(Buffer.concat([Buffer.alloc(Number(size) - 1), Buffer.from([10])]));
  if (how === 'half') c.end();
  c.on('data', (d) => {
    got += d.length;
    if (got < Number(expected)) return;
    console.log('got ' + got);
    if (how === 'close') c.destroy();
    if (how === 'reset') c.resetAndDestroy();
  });
  c.on('end', () => c.end());
  c.on('close', () => console.log('closed'));`;

describe('pairs of pods that connect past the proxy', {
  timeout: 120_000,
  skip: skipUnless('ebpf', 'program:ip', 'program:nsenter'),
}, () => {
  let bed: Bed;
  let events: DirectEvent[] = [];
  before(async () => {
    bed = await Bed.make('ebpf');
  });
  after(() => bed.remove());
  afterEach(() => bed.reset());

  const cookie = (pod: 'p1' | 'p2') => netnsCookie(bed.netns[pod]);
  const pair = (ip: string = ip4.p2): DirectPair => ({
    source: cookie('p1'),
    destination: cookie('p2'),
    target: { ip: ip as Ip, port },
  });
  const watch = (capture: CaptureBackend) => {
    events = [];
    capture.sameNode!.watch({
      netnsOf: (c) => (['p1', 'p2'] as const).map((p) => bed.netns[p]).find((fd) => netnsCookie(fd) === c),
      onEvent: (event) => events.push(event),
    });
  };
  const enrolled = () => {
    const capture = bed.capture();
    const proxies = { p1: bed.enrol('p1', capture), p2: bed.enrol('p2', capture) };
    watch(capture);
    return { capture, sameNode: capture.sameNode!, proxies };
  };
  const flows = () => {
    const map = openPinnedMap(join(bed.pinDir, 'direct_flows'));
    try {
      return map.keys().length;
    } finally {
      map.close();
    }
  };
  const lines = (child: ChildProcess) => createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const serving = async (size: number, first = '') => {
    const child = bed.start({ netns: 'p2' }, [pinnedNode, '-e', server, String(size), first]);
    const said = lines(child);
    assert.equal((await said.next()).value, 'ready');
    return said;
  };
  const calling = (to: string, sent: number, expected: number, how: string) =>
    lines(bed.start({ netns: 'p1' }, [pinnedNode, '-e', client, to, String(sent), String(expected), how]));
  const connected = async (said: AsyncIterator<string>, bytes: number) =>
    assert.equal((await said.next()).value, `got ${bytes}`);

  it('reach the app themselves by IPv4, IPv6 and IPv4 out of an IPv6 socket, and only where it was granted', async () => {
    const { sameNode, proxies } = enrolled();
    await bed.serve('p2', port, 9);
    const asked = (to: string, at: number = port) => bed.dial({ netns: 'p1' }, to, at, '--send', 'x', '--timeout', '5');
    assert.equal((await asked(ip4.p2)).told.by, 'outbound');
    sameNode.grant(pair(), hour);
    sameNode.grant(pair(ip6.p2), hour);
    for (const to of [ip4.p2, ip6.p2, `::ffff:${ip4.p2}`]) {
      const { told, peer } = await asked(to);
      assert.match(told.app ?? '', to.includes('fd99') ? /fd99:1::2/ : /10\.99\.1\.2/, to);
      assert.match(peer, /:8080$/, to);
    }
    assert.deepEqual(proxies.p1.outbound, [`${ip4.p2}:${port}`]);
    assert.equal(proxies.p2.plaintext, 0);
    // Another port of it, and the other way round.
    assert.equal((await asked(ip4.p2, 81)).told.by, 'outbound');
    assert.equal((await bed.dial({ netns: 'p2' }, ip4.p1, port)).told.by, 'outbound');
    // Who is no pod of the mesh meets the proxy of the destination.
    assert.equal((await bed.dial({ netns: 'ext' }, ip4.p2, port)).told.by, 'plaintext');
    // A socket that is bound to a device goes where nobody has looked.
    assert.equal((await asked(ip4.p2)).told.by, undefined);
    const bound = await bed.dial({ netns: 'p1' }, ip4.p2, port, '--device', 'eth0', '--send', 'x', '--timeout', '5');
    assert.equal(bound.told.by, 'outbound');
    await until('the kernel has told of it', () => events.filter((e) => e.kind === 'closed').length === 4);
    assert.equal(flows(), 0);
  });

  it('also by MPTCP, fast open and a socket that was used before; one that goes on to elsewhere is captured there', async () => {
    const { sameNode, proxies } = enrolled();
    await bed.serve('p2', port, 9);
    sameNode.grant(pair(), hour);
    for (const option of ['--mptcp', '--tfo', '--nonblock']) {
      const { told } = await bed.dial({ netns: 'p1' }, ip4.p2, port, option, '--send', 'x', '--timeout', '5');
      assert.match(told.app ?? '', /10\.99\.1\.2/, option);
    }
    const both = await bed.dialAll({ netns: 'p1' }, ip4.p2, port, '--send', 'x', '--again', ip4.ext, '80');
    assert.match(both[0]!.data, /10\.99\.1\.2/);
    assert.match(both[1]!.data, /outbound/);
    const reverse = await bed.dialAll({ netns: 'p1' }, ip4.ext, 80, '--send', 'x', '--again', ip4.p2, String(port));
    assert.match(reverse[0]!.data, /outbound/);
    assert.match(reverse[1]!.data, /10\.99\.1\.2/);
    assert.equal(proxies.p1.outbound.length, 2);
    await until('the kernel has told of it', () => flows() === 0);
  });

  for (const how of ['close', 'half', 'server'] as const) {
    it(`are accounted to the byte when ${how === 'server' ? 'the server ends first' : `the client ends by ${how}`}`, async () => {
      const { sameNode } = enrolled();
      sameNode.grant(pair(), hour);
      await serving(70_001, how === 'server' ? 'first' : '');
      const said = calling(ip4.p2, 50_003, 70_001, how);
      await connected(said, 70_001);
      assert.equal((await said.next()).value, 'closed');
      await until('the kernel has told of it', () => events.length === 2);
      const [opened, closed] = events;
      assert.equal(opened!.kind, 'opened');
      assert.equal(closed!.kind, 'closed');
      assert.deepEqual([closed!.sent, closed!.received], [50_003, 70_001]);
      assert.equal(closed!.netns, cookie('p1'));
      assert.deepEqual(closed!.server, { ip: ip4.p2, port });
      assert.equal(closed!.client.ip, ip4.p1);
      assert.ok(closed!.ms > 0 && closed!.ms < 60_000);
      assert.equal(flows(), 0);
    });
  }

  it('are told from those that were reset, and from those that never stood', async () => {
    const { sameNode } = enrolled();
    sameNode.grant(pair(), hour);
    assert.equal((await bed.dial({ netns: 'p1' }, ip4.p2, port)).error, 'ECONNREFUSED');
    await until('the kernel has told of it', () => events.length === 1);
    assert.equal(events[0]!.kind, 'failed');
    await serving(100);
    const said = calling(ip4.p2, 10, 100, 'reset');
    await connected(said, 100);
    await until('the kernel has told of it', () => events.length === 3);
    assert.deepEqual([events[2]!.kind, events[2]!.sent, events[2]!.received], ['reset', 10, 100]);
  });

  it('are reset when the verdict is taken back, and go by the proxy from then on', async () => {
    const { sameNode } = enrolled();
    sameNode.grant(pair(), hour);
    sameNode.grant(pair(ip6.p2), hour);
    const served = await serving(5);
    const [cut, mapped, stays] = [ip4.p2, `::ffff:${ip4.p2}`, ip6.p2].map((to) => calling(to, 5, 5, 'keep'));
    for (const said of [cut!, mapped!, stays!]) await connected(said, 5);
    sameNode.revoke(pair());
    for (const said of [cut!, mapped!]) assert.match((await said.next()).value ?? '', /ECONNRESET|ECONNABORTED/);
    for (let i = 0; i < 2; i++) assert.equal((await served.next()).value, 'error');
    await until('the kernel has told of it', () => events.filter((e) => e.kind === 'reset').length === 2);
    assert.equal(flows(), 1);
    assert.equal((await bed.dial({ netns: 'p1' }, ip4.p2, port)).told.by, 'outbound');
    sameNode.revokeAll();
    assert.match((await stays!.next()).value ?? '', /ECONNRESET|ECONNABORTED/);
  });

  it('lapse when nobody grants them again: first new ones, and with the next sweep what is open', async () => {
    const { capture, sameNode } = enrolled();
    sameNode.grant(pair(), hour);
    await serving(5);
    const said = calling(ip4.p2, 5, 5, 'keep');
    await connected(said, 5);
    sameNode.grant(pair(), millis(0));
    assert.equal((await bed.dial({ netns: 'p1' }, ip4.p2, port)).told.by, 'outbound');
    capture.sweep(() => true);
    assert.match((await said.next()).value ?? '', /ECONNRESET|ECONNABORTED/);
  });

  for (const leaves of ['p1', 'p2'] as const) {
    it(`end when the ${leaves === 'p1' ? 'client' : 'server'} leaves the mesh`, async () => {
      const { capture, sameNode } = enrolled();
      sameNode.grant(pair(), hour);
      await serving(5);
      const said = calling(ip4.p2, 5, 5, 'keep');
      await connected(said, 5);
      capture.withdraw(bed.pod(leaves));
      assert.match((await said.next()).value ?? '', /ECONNRESET|ECONNABORTED/);
      assert.equal(flows(), 0);
    });
  }

  it('are not those of another pod that has the address now', async () => {
    const { capture, sameNode, proxies } = enrolled();
    sameNode.grant({ ...pair(), destination: cookie('p1') }, hour);
    assert.equal((await bed.dial({ netns: 'p1' }, ip4.p2, port)).told.by, 'outbound');
    sameNode.grant(pair(), hour);
    assert.equal((await bed.dial({ netns: 'p1' }, ip4.p2, port)).error, 'ECONNREFUSED');
    capture.enrol({ ...bed.pod('p2'), uid: 'uid-p3', cookie: cookie('p1') }, proxies.p2.targets);
    assert.equal((await bed.dial({ netns: 'p2' }, ip4.p1, port)).told.by, 'outbound');
  });

  it('do not outlive their agent: the next one begins without verdicts and cuts what is open', async () => {
    const { capture, sameNode } = enrolled();
    sameNode.grant(pair(), hour);
    await serving(5);
    const said = calling(ip4.p2, 5, 5, 'keep');
    await connected(said, 5);
    capture.close();
    const next = bed.capture();
    assert.equal((await bed.dial({ netns: 'p1' }, ip4.p2, port)).told.by, 'outbound');
    assert.equal(flows(), 1);
    watch(next);
    assert.match((await said.next()).value ?? '', /ECONNRESET|ECONNABORTED/);
    assert.equal(flows(), 0);
  });
});
