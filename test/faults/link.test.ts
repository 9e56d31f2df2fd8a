/**
 * The link between two nodes loses packets, or is cut; what is open on it is moved away from. No byte arrives wrong, nothing hangs, and
 * nothing is ever sent in plain text.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import type { HostName } from '../../lab/index.ts';
import { deployment, type Stream, serverPort, World } from '../e2e/world.ts';
import { longOr, skipUnless } from '../harness/require.ts';
import { lose, lost, restore } from './packet-loss.ts';
import { socketsOf } from './sockets.ts';
import type { Copied, TalkEvent } from './tools/load.ts';
import { watched } from './watch.ts';

/** ztunnel's own copy test writes 0, 1, 2 ... 2,559 bytes. With a fifth of all packets lost that is much, so there the steps are larger. */
const losses = [
  { percent: 1, connections: 4, writes: 2_560, step: 1, rounds: longOr(1, 80) },
  { percent: 5, connections: 4, writes: 2_560, step: 1, rounds: longOr(1, 20) },
  { percent: 20, connections: longOr(2, 4), writes: longOr(256, 2_560), step: longOr(10, 1), rounds: 1 },
] as const;
/** In one round of the long form; more would fill the machine's memory with the capture. */
const timesLonger = longOr(1, 4);
const halfOpen = longOr(300, 5_000);
const streams = 200;
const churns = longOr(3, 50);

describe('faults of the link', {
  skip: skipUnless('ebpf', 'program:ip', 'program:nft', 'program:tcpdump'),
  timeout: longOr(240_000, 3_000_000),
}, () => {
  let world: World;
  before(async () => {
    world = await World.up('fltlink', 'ebpf', { ztunnel: { CONNECTION_TERMINATION_DEADLINE: '12s' } });
  });
  afterEach(() => restore(world.lab, 'node-1'));
  after(() => world?.down());

  for (const { percent, connections, writes, step, rounds } of losses) {
    test(`no wrong byte with ${percent} % of all packets lost`, async (t) => {
      const { lab } = world;
      const client = await world.ref('client');
      const { v4 } = await world.vips();
      let [bytes, packets, cut] = [0, 0, 0];
      const began = performance.now();
      for (let round = 0; round < rounds; round++) {
        await watched(world, async (marker) => {
          await lose(lab, 'node-1', percent);
          const all = writes * (percent <= 1 ? timesLonger : 1);
          const copy = await world.load<Copied>(client, 'copy', v4, serverPort, connections, all, step, marker);
          const [done] = await copy.exit();
          const resets = done?.wrong.filter((w) => w.startsWith('ECONNRESET after')) ?? [];
          // TCP's back-off may be silent for as long as a peer that is dead; with that many packets lost it sometimes is.
          if (percent < 20) assert.deepEqual(resets, []);
          else if (resets.length > 0) assert.match(await proxyLogs(), /answers no PING/, 'why streams were cut');
          assert.deepEqual(
            done?.wrong.filter((w) => !resets.includes(w)),
            [],
          );
          cut += resets.length;
          bytes += done.bytes;
          packets += await lost(lab, 'node-1');
        });
      }
      assert.ok(packets > 0, 'packets were lost');
      await restore(lab, 'node-1');
      await nothingLeft();
      assert.deepEqual(await world.burst(client, v4, 20), { ok: 20, failed: {} });
      t.diagnostic(
        `${bytes} bytes there and back in ${Math.round(performance.now() - began)} ms, ${packets} packets lost, ${cut} streams cut`,
      );
    });
  }

  test(`${halfOpen} connections to a node that is gone end on both sides`, async (t) => {
    const { lab } = world;
    const client = await world.ref('client');
    const { v4 } = await world.ips('server');
    await watched(world, async (marker) => {
      const talk = await world.load<TalkEvent>(client, 'talk', v4, serverPort, halfOpen, longOr(1_000, 5_000), marker);
      assert.equal((await opened(talk)).open, halfOpen);
      await lose(lab, 'node-1', 100);
      const cut = performance.now();
      const end = await until('the client is told', () => talk.lines[1], 90_000);
      const client_ms = Math.round(performance.now() - cut);
      await talk.exit();
      assert.equal(end.whole, 0);
      assert.deepEqual(Object.keys(end.broken), ['ECONNRESET'], 'no connection looks complete');
      await nothingLeft();
      t.diagnostic(`ended after ${client_ms} ms at the client, ${Math.round(performance.now() - cut)} ms at both`);
      await restore(lab, 'node-1');
      await until('calls are answered again', async () => (await world.burst(client, v4, 5)).ok === 5, 30_000);
    });
  });

  for (const [node, role] of [
    ['node-2', 'server'],
    ['node-1', 'client'],
  ] as const) {
    test(`${streams} streams through GOAWAY of the ${role} all finish, while it rolls`, async () => {
      const { lab } = world;
      await watched(world, async (marker) => {
        const { v6 } = await world.vips();
        const from = await world.ref('client');
        const talk = await world.load<TalkEvent>(from, 'talk', v6, serverPort, streams, 200, marker);
        assert.equal((await opened(talk)).open, streams);
        const before = await drains(node);
        const rolled = lab.rollProxy(node);
        await until('the old proxy drains', async () => (await drains(node)) > before, 60_000);
        const end = (await talk.finish()).at(-1);
        assert.deepEqual(end, { event: 'end', open: streams, whole: streams, broken: {} });
        await rolled;
      });
    });
  }

  test(`${churns} times two pods come and go, and calls of others go on`, async () => {
    const { lab } = world;
    await watched(world, async (marker) => {
      const { v4 } = await world.vips();
      const { v6 } = await world.ips('server');
      const calls = [
        await world.loop(await world.ref('client'), v4, 25, marker),
        await world.loop(await world.ref('near'), v6, 25, marker),
      ];
      for (let i = 0; i < churns; i++) {
        const both = [`churn-${i}-a`, `churn-${i}-b`].map((name, n) => deployment({ name, node: `node-${n + 1}` }));
        for (const text of both) await lab.apply(text);
        await lab.waitReady(60_000);
        await lab.waitEnrolled(60_000);
        const comers = [`churn-${i}-a`, `churn-${i}-b`];
        for (const name of comers) assert.equal((await world.burst(await world.ref(name), v4, 3)).ok, 3, name);
        for (const text of both) await lab.delete(text);
        const gone = async () => (await lab.pods()).every((pod) => !pod.metadata.name.startsWith(`churn-${i}-`));
        await until('both are gone', gone, 60_000);
      }
      const made = (await Promise.all(calls.map((c) => c.finish()))).flat();
      assert.ok(made.length > churns * 10, `${made.length} calls`);
      const failed = made.filter((c) => c.error !== '');
      assert.deepEqual(failed, []);
      // Left waiting, they would answer the next connection from the same port of the app.
      const near = await world.ref('near');
      const waiting = async () => (await socketsOf(lab, near)).lastAck;
      await until('every FIN of the proxy is acknowledged', async () => (await waiting()) === 0);
    });
  });

  /** No connection of apps or proxies is open or half closed any more; probes come and go. */
  async function nothingLeft(): Promise<void> {
    for (const name of ['client', 'server']) {
      const ref = await world.ref(name);
      const none = async (what: 'established' | 'closeWait', port?: number) =>
        (await socketsOf(world.lab, ref, port))[what] === 0;
      await until(`${name} has no connection`, () => none('established', serverPort), 90_000);
      await until(`${name} has no socket that waits to be closed`, () => none('closeWait'), 90_000);
    }
  }

  async function proxyLogs(): Promise<string> {
    return (await Promise.all(world.lab.nodes.map((node) => world.lab.logs('ztunnel', { node })))).join('');
  }

  async function drains(node: HostName): Promise<number> {
    return (await world.lab.logs('ztunnel', { node })).split('\tdraining ').length - 1;
  }
});

function opened(talk: Stream<TalkEvent>): Promise<TalkEvent> {
  return until('all are open', () => talk.lines[0], 90_000);
}
