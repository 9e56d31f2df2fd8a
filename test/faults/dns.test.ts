/** The cluster's DNS is dead, or slow and lying: names of the mesh are answered all the same, and nobody is led astray. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { World } from '../e2e/world.ts';
import { longOr, skipUnless } from '../harness/require.ts';
import { nft } from './packet-loss.ts';
import { watched } from './watch.ts';

const calls = longOr(60, 600);
const meshName = 'server.e2e.svc.cluster.local';
const liarPort = 5_300;
const checkout = join(import.meta.dirname, '../..');
const node = join(checkout, 'scripts/pinned-node');
const upstream = (what: string) => `table inet aq_dns {
chain pre {
type ${what}
}
}`;
const asBefore = 'table inet aq_dns {}\ndelete table inet aq_dns';

/** Asks once, and prints addresses or error, and how long it took. */
const lookup = `
const resolver = new (require('node:dns').promises.Resolver)({ timeout: 20000, tries: 1 });
const began = performance.now();
resolver.resolve4(process.argv[1]).then((a) => a.join(), (e) => e.code).then((answer) =>
  console.log(JSON.stringify({ answer, ms: Math.round(performance.now() - began) })));`;

describe('faults of the name server', {
  skip: skipUnless('ebpf', 'program:ip', 'program:nft', 'program:tcpdump'),
  timeout: longOr(120_000, 300_000),
}, () => {
  let world: World;
  before(async () => {
    world = await World.up('fltdns');
    // Both ends have their certificates then, for which the proxies look up istiod's name.
    const [client, { v4 }] = [await world.ref('client'), await world.vips()];
    await until('a call', async () => (await world.burst(client, v4, 1)).ok === 1, 60_000);
  });
  after(() => world?.down());

  test('dead: names of the mesh are answered, of others an error comes', (t) =>
    watched(world, async (marker) => {
      const { lab } = world;
      await nft(lab, 'cp', upstream('filter hook input priority 0\nudp dport 53 drop\ntcp dport 53 drop'));
      try {
        const waits = ask('www.example.test');
        await callByName(marker);
        const { answer, ms } = await waits;
        assert.equal(answer, 'ESERVFAIL');
        t.diagnostic(`an error for another name after ${ms} ms`);
      } finally {
        await nft(lab, 'cp', asBefore);
      }
    }));

  test('slow and lying: lies are dropped, the truth is waited for, names of the mesh are not asked there', (t) =>
    watched(world, async (marker) => {
      const { lab } = world;
      const liar = await lab.spawnOn('cp', [node, join(checkout, 'test/faults/tools/liar.ts'), `${liarPort}`]);
      liar.stderr.resume();
      try {
        await once(liar.stdout, 'data');
        const redirect = `nat hook prerouting priority dstnat\nudp dport 53 redirect to :${liarPort}`;
        await nft(lab, 'cp', upstream(redirect));
        const waits = ask('www.example.test');
        await callByName(marker);
        const { answer, ms } = await waits;
        assert.equal(answer, '192.0.2.7');
        const own = (await ask(meshName)).answer;
        assert.equal(own, (await world.vips()).v4);
        t.diagnostic(`the truth after ${ms} ms`);
      } finally {
        liar.kill('SIGKILL');
        await nft(lab, 'cp', asBefore);
      }
    }));

  async function callByName(marker: string): Promise<void> {
    const stream = await world.loop(await world.ref('client'), meshName, 25, marker);
    await until(`${calls} calls`, () => stream.lines.length >= calls, 60_000);
    const failed = (await stream.finish()).filter((c) => c.error !== '');
    assert.deepEqual(failed, []);
  }

  async function ask(name: string): Promise<{ readonly answer: string; readonly ms: number }> {
    const { stdout } = await world.lab.exec(await world.ref('client'), [process.execPath, '-e', lookup, name]);
    return JSON.parse(stdout);
  }
});
