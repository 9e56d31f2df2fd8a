/** The supervisor under an agent that speaks and captures as Istio's does, with packets as they should be and as they should not. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { type Fd, fd } from '../../common/core/brand.ts';
import { until } from '../../common/testing/until.ts';
import { encodeRequest } from '../../common/zds/codec.ts';
import { seqpacketListen } from '../../native/index.ts';
import { skipUnless } from '../harness/require.ts';
import type { AgentConnection } from '../harness/scripted-agent.ts';
import { Bed, burst, vip } from './bed.ts';

/** A connection each 10 ms, until its stdin ends; then prints how many there were, and how many were not answered. */
const calls = `
const net = require('node:net');
let made = 0, answered = 0, open = 0, ended = false;
const done = () => { if (ended && open === 0) { console.log(made + ' calls, ' + (made - answered) + ' failed'); process.exit(); } };
const timer = setInterval(() => {
  made++; open++;
  let got = '';
  const s = net.connect({ host: process.argv[1], port: 80 });
  s.on('data', (d) => { got += d; if (got.endsWith('hello')) { answered++; s.destroy(); } });
  s.on('error', () => {});
  s.on('close', () => { open--; done(); });
  s.write('hello');
}, 10);
process.stdin.on('end', () => { clearInterval(timer); ended = true; done(); }).resume();
console.log('started');`;

const info = { name: 'x', namespace: 'default', serviceAccount: 'x' };
const uidOf = { a: 'uid-a', b: 'uid-b' } as const;

describe("ztunnel under an agent as Istio's", {
  skip: skipUnless('root', 'addon', 'program:nft', 'program:setpriv'),
}, () => {
  let bed: Bed;
  before(async () => {
    bed = await Bed.make();
    // What an agent of ours left behind when it was killed, and another came in its place.
    seqpacketListen(`${bed.zdsPath}.steer`).close();
    await bed.startZtunnel();
    assert.equal(await bed.add('a'), '');
    assert.equal(await bed.add('b'), '');
    assert.equal(await snapshotSent(), '');
    await bed.ready();
    await bed.echo('b', 8080);
  });
  after(() => bed.remove());

  const snapshotSent = (to: AgentConnection = bed.agent.newest) => to.ask({ kind: 'snapshotSent' });

  /** As an agent does that holds no namespace of its pods any more. */
  async function keepAll(to: AgentConnection): Promise<void> {
    for (const uid of Object.values(uidOf)) assert.equal(await to.ask({ kind: 'keep', uid }), '');
    assert.equal(await snapshotSent(to), '');
    await bed.ready();
  }

  /** Calls from pod a to pod b for as long as `during` lasts: all must be answered. */
  async function withoutLoss(during: () => Promise<void>): Promise<void> {
    const caller = bed.node('a', calls, vip);
    const lines = createInterface(caller.stdout!)[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'started');
    await during();
    caller.stdin!.end();
    const { value } = (await lines.next()) as { value: string };
    assert.match(value, /^[1-9]\d* calls, 0 failed$/);
  }

  const metric = async (name: string) =>
    Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(await bed.get('metrics', '/metrics'))?.[1]);

  /** Whether HBONE is listened for in this namespace: 15008 is 3AA0 in /proc. */
  const listens = (netns: string) =>
    /:3AA0 \S+ 0A/.test(
      execFileSync('nsenter', [`--net=${netns}`, 'cat', '/proc/net/tcp6', '/proc/net/tcp']).toString(),
    );

  test('what breaks ZDS is refused by name and counted; the process stays, and so does what runs', async () => {
    const add = encodeRequest({ kind: 'add', uid: 'u', info });
    const rows: readonly (readonly [name: string, packet: Uint8Array, fds: number, refused: RegExp])[] = [
      ['add without a descriptor', add, 0, /carries 0 descriptors, expected exactly one/],
      ['add with two', add, 2, /carries 2 descriptors/],
      ['add with very many', add, 200, /carries 200 descriptors/],
      ['add without workload_info', Buffer.from([0x0a, 3, 0x0a, 1, 0x61]), 1, /workload_info/],
      ['del with a descriptor', encodeRequest({ kind: 'del', uid: 'u' }), 1, /expected none/],
      ['keep with a descriptor', encodeRequest({ kind: 'keep', uid: 'u' }), 1, /expected none/],
      ['keep after the snapshot', encodeRequest({ kind: 'keep', uid: 'u' }), 0, /after the snapshot/],
      ['a second end of the snapshot', encodeRequest({ kind: 'snapshotSent' }), 0, /second snapshot_sent/],
      ['noise', Buffer.from([0xff, 0xff, 0xff]), 0, /expected message/],
      ['half of an add', add.subarray(0, add.length - 2), 1, /expected message/],
      ['an unknown request', Buffer.from([0x7a, 0]), 0, /holds none of/],
      ['one byte more than a packet', new Uint8Array(1_025), 0, /at most 1024/],
      ['a huge packet', new Uint8Array(100_000), 3, /at most 1024/],
    ];
    const open = () => readdirSync('/proc/self/fd').length;
    const before = open();
    await withoutLoss(async () => {
      for (const [name, packet, count, refused] of rows) {
        const connection = bed.agent.newest;
        const fds = Array.from({ length: count }, nothing);
        assert.match(await connection.raw(packet, fds), refused, name);
        for (const f of fds) closeSync(f);
        await until(`${name} ends the connection`, () => connection.closed);
        await keepAll(await bed.agent.connected(bed.agent.hellos + 1));
      }
    });
    assert.equal(await metric('aquifer_zds_refused_total'), rows.length);
    assert.equal(await metric('workload_manager_active_proxy_count'), 2);
    await until('no descriptor is left', () => open() <= before);
  });

  test('an agent that goes away in the middle of anything is come back to; what runs keeps running', async () => {
    await withoutLoss(async () => {
      const ends: readonly ((connection: AgentConnection) => void)[] = [
        (c) => c.push(encodeRequest({ kind: 'keep', uid: uidOf.a })),
        (c) => c.push(encodeRequest({ kind: 'add', uid: 'u', info }), [nothing()]),
        () => undefined,
      ];
      for (const begin of ends) {
        const connection = bed.agent.newest;
        begin(connection);
        connection.hangUp();
        await bed.agent.connected(bed.agent.hellos + 1);
      }
      await keepAll(bed.agent.newest);
      bed.agent.close();
      // Who rolls proxies ends one that is not ready, and no other can take its place now.
      assert.equal(await bed.get('readiness', '/healthz/ready'), 'ready\n');
      const { hellos } = bed.agent;
      bed.agent.resume();
      await keepAll(await bed.agent.connected(hellos + 1));
    });
    assert.equal(await metric('workload_manager_active_proxy_count'), 2);
  });

  test('a pod whose port is taken is nacked and makes the node not ready, until the port is free; others are served', async () => {
    const netns = bed.emptyNetns('taken');
    const squatter = bed.inside(
      netns,
      "require('node:net').createServer().listen(15008, '::', () => console.log('up'))",
    );
    await createInterface(squatter.stdout!)[Symbol.asyncIterator]().next();
    await withoutLoss(async () => {
      assert.match(await bed.agent.newest.add('taken', info, netns), /EADDRINUSE/);
      assert.equal(bed.agent.newest.closed, false);
      assert.match(await bed.get('readiness', '/healthz/ready'), /workload proxy manager/);
      squatter.kill('SIGKILL');
      await bed.ready();
    });
    assert.equal(listens(netns), true);
    assert.equal(await bed.agent.newest.ask({ kind: 'del', uid: 'taken' }), '');
    await until('the listener is gone', () => !listens(netns));
  });

  test('something that is no namespace is nacked, and forgotten with the pod', async () => {
    const file = nothing();
    assert.match(await bed.agent.newest.ask({ kind: 'add', uid: 'odd', info }, [file]), /EINVAL/);
    closeSync(file);
    assert.match(await bed.get('readiness', '/healthz/ready'), /workload proxy manager/);
    assert.equal(await bed.agent.newest.ask({ kind: 'del', uid: 'odd' }), '');
    await bed.ready();
  });

  test('the same pod again changes nothing; in another namespace it is another; add, del, add is one', async () => {
    const [first, second] = [bed.emptyNetns('first'), bed.emptyNetns('second')];
    const agent = bed.agent.newest;
    const started = await metric('workload_manager_proxies_started_total');
    assert.equal(await agent.add('moves', info, first), '');
    assert.equal(await agent.add('moves', info, first), '');
    assert.equal(await metric('workload_manager_proxies_started_total'), started + 1);
    assert.equal(await agent.add('moves', info, second), '');
    assert.equal(listens(second), true);
    await until('the first is given up', () => !listens(first));
    assert.equal(await metric('workload_manager_proxies_started_total'), started + 2);
    assert.equal(await agent.ask({ kind: 'del', uid: 'moves' }), '');
    assert.equal(await agent.add('moves', info, second), '');
    assert.equal(await agent.ask({ kind: 'del', uid: 'moves' }), '');
    assert.equal(await agent.add('moves', info, second), '');
    assert.equal(await metric('workload_manager_active_proxy_count'), 3);
    assert.equal(listens(second), true);
    assert.equal(await agent.ask({ kind: 'del', uid: 'moves' }), '');
    await until('it is gone', () => !listens(second));
  });

  test('another ztunnel takes over without losing a call, five times', async () => {
    await withoutLoss(async () => {
      for (let i = 0; i < 5; i++) {
        const older = await bed.succeedZtunnel();
        for (const pod of ['a', 'b'] as const) assert.equal(await bed.add(pod), '');
        assert.equal(await snapshotSent(), '');
        await bed.ready();
        // Many at once, so that some wait in a listener whenever one is closed.
        let drained = false;
        const drain = older.drain().then(() => {
          drained = true;
        });
        while (!drained) assert.equal(await bed.run('a', burst, vip, '80', '300'), 'bad 0\n');
        await drain;
      }
    });
  });
});

function nothing(): Fd {
  return fd(openSync('/dev/null', 'r'));
}
