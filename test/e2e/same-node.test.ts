/** The same-node path end to end: who goes from pod to pod, what cuts it, and that metrics and logs tell of it as of any connection. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { sameNodeLabel } from '../../cni/same-node.ts';
import { namespaceKind, podKind } from '../../common/kube/kinds/core.ts';
import { until } from '../../common/testing/until.ts';
import { skipUnless } from '../harness/require.ts';
import { scrape } from '../harness/scrape.ts';
import type { HoldEvent } from './tools/traffic.ts';
import { meshNamespace, policy, type Stream, strictMtls, World } from './world.ts';

const node = 'node-2';

describe('two pods of one node whose owners let them', { skip: skipUnless('ebpf', 'program:ip') }, () => {
  let world: World;
  before(async () => {
    world = await World.up('near', 'ebpf', { 'cni-agent': { AQUIFER_SAME_NODE: 'direct' } });
  });
  after(() => world?.down());
  afterEach(async () => {
    for (const name of ['deny-near', 'only-near']) await world.lab.delete(policy(name, 'DENY', 'client'));
    await world.lab.delete(strictMtls());
    await label(null);
  });

  const label = (value: string | null) =>
    world.lab.kube.patch(namespaceKind, { name: meshNamespace }, { metadata: { labels: { [sameNodeLabel]: value } } });
  const direct = async () =>
    Number(/^aquifer_capture_same_node_direct_total (\d+)/m.exec(await scrape(world.lab, node, 15_014))?.[1] ?? 0);
  const call = async (from = 'near') => {
    const { v4 } = await world.ips('server');
    return world.burst(await world.ref(from), v4, 1);
  };
  /** Calls until one went past the proxy. */
  const goesDirect = async () => {
    const before = await direct();
    await until('a call goes past the proxy', async () => {
      assert.equal((await call()).ok, 1);
      return (await direct()) > before;
    });
  };
  /** Calls, none of which goes past the proxy. */
  const staysProxied = async () => {
    const before = await direct();
    for (let i = 0; i < 3; i++) assert.equal((await call()).ok, 1);
    assert.equal(await direct(), before);
  };
  const open = async (): Promise<Stream<HoldEvent>> => {
    const before = await direct();
    const { v4 } = await world.ips('server');
    const stream = await world.hold(await world.ref('near'), v4);
    await until('it is open', () => stream.lines.some((l) => l.event === 'open'));
    assert.ok((await direct()) > before);
    return stream;
  };
  const wasCut = (stream: Stream<HoldEvent>) =>
    until(
      'it is cut',
      () => stream.lines.find((l) => l.event === 'end')?.error.match(/ECONNRESET|ECONNABORTED/) != null,
    );
  const logged = async () =>
    (await world.lab.logs('ztunnel', { node })).split('\n').filter((line) => / direct=true/.test(line));

  test('go by the proxy without the label, from pod to pod with it, and by the proxy again once it is gone', async () => {
    await staysProxied();
    await label('direct');
    await goesDirect();
    const held = await open();
    // The service is balanced for each connection, by the proxy.
    const before = await direct();
    assert.equal((await world.burst(await world.ref('near'), (await world.vips()).v4, 3)).ok, 3);
    assert.equal(await direct(), before);
    await label(null);
    await wasCut(held);
    await staysProxied();
  });

  test('are cut when a policy denies, and its reason is in the log; they are not let in by a policy that allows others', async () => {
    await label('direct');
    await goesDirect();
    const held = await open();
    await world.lab.apply(policy('deny-near', 'DENY', 'client'));
    await wasCut(held);
    await until('the log tells', async () => (await logged()).some((line) => /deny-near/.test(line)));
    await until('it is refused', async () => (await call()).ok === 0);
    await world.lab.delete(policy('deny-near', 'DENY', 'client'));
    await world.lab.apply(policy('only-near', 'ALLOW', 'client'));
    await goesDirect();
  });

  test('go by the proxy under STRICT, which cuts what is open', async () => {
    await label('direct');
    await goesDirect();
    const held = await open();
    await world.lab.apply(strictMtls());
    await wasCut(held);
    await staysProxied();
  });

  test('are counted and logged to the byte, by both ends', async () => {
    await label('direct');
    await goesDirect();
    const sum = async (name: string, reporter: string) => {
      const text = await scrape(world.lab, node, 15_020);
      return text
        .split('\n')
        .filter((l) => l.startsWith(`istio_tcp_${name}_total{`) && l.includes(`reporter="${reporter}"`))
        .filter((l) => l.includes('source_workload="near"') && l.includes('connection_security_policy="unknown"'))
        .reduce((n, l) => n + Number(l.slice(l.lastIndexOf(' ') + 1)), 0);
    };
    const names = ['connections_opened', 'connections_closed', 'received_bytes', 'sent_bytes'] as const;
    const all = async (reporter: string) => Promise.all(names.map((n) => sum(n, reporter)));
    await until('what was open is closed', async () => {
      const [opened, closed] = await all('source');
      return opened === closed;
    });
    const before = { source: await all('source'), destination: await all('destination') };
    const lines = (await logged()).length;
    const { v4 } = await world.ips('server');
    const calls = await world.loop(await world.ref('near'), v4, 20, 'marker-of-31-bytes-exactly-1234');
    await until('five calls', () => calls.lines.length >= 5);
    const done = await calls.finish();
    assert.ok(done.every((c) => c.error === '' && c.seen === done[0]!.seen));
    const greeting = `hello from ${done[0]!.seen}\n`;
    const n = done.length;
    const bytes = { sent: 31, received: greeting.length + 31 };
    for (const reporter of ['source', 'destination'] as const) {
      await until(`${reporter} has told of all`, async () => {
        const now = await all(reporter);
        const more = now.map((x, i) => x - before[reporter][i]!);
        assert.deepEqual(more, [n, n, n * bytes.sent, n * bytes.received]);
        return true;
      });
    }
    await until('the log has all', async () => (await logged()).length === lines + 2 * n);
    const line = (await logged()).find((l) => /direction="?outbound/.test(l) && l.includes('bytes_sent=31 '))!;
    assert.match(line, /src\.workload="?near.*dst\.workload="?server.*bytes_recv=\d+/);
  });

  test('and one that leaves the mesh, or dies, takes its connections along', async () => {
    await label('direct');
    await goesDirect();
    const held = await open();
    const { name } = (await world.pod('server')).metadata;
    await world.lab.kube.delete(podKind, { namespace: meshNamespace, name });
    await until('it ends', () => held.lines.some((l) => l.event === 'end'));
    await world.lab.waitReady();
    await world.lab.waitEnrolled();
    await goesDirect();
  });
});
