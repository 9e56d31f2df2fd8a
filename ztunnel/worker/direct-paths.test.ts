import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../common/core/log.ts';
import type { RelayCounters } from '../../common/hbone/relay.ts';
import { identityOf } from '../../common/mesh/address.ts';
import { type MeshBatch, MeshStore } from '../../common/mesh/store.ts';
import type { Workload } from '../../common/mesh/types.ts';
import { groups, ip, match, policy, port, waypoint, workload } from '../../common/testing/builders.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { type DirectFlow, pairLifetime } from '../../common/zds/same-node.ts';
import { Account, type ConnectionRecord, type Outcome } from '../proxy/account.ts';
import { ownPorts } from '../proxy/pod.ts';
import { DirectPaths } from './direct-paths.ts';

const client = workload({ name: 'client', addresses: [ip('10.0.0.1')], serviceAccount: 'client' });
const server = workload({ name: 'server', addresses: [ip('10.0.0.2')], serviceAccount: 'server' });
const target = { ip: ip('10.0.0.2'), port: port(8080) };
const denied = { policies: [policy({ action: 'DENY', groups: groups(match({ destinationPorts: [8080] })) })] };

function world() {
  const clock = new FakeClock(1_000_000);
  const store = new MeshStore();
  store.apply({ addresses: [client, server] });
  const orders: string[] = [];
  const settled: { record: ConnectionRecord; outcome: Outcome; opened: boolean }[] = [];
  const open = new Set<ConnectionRecord>();
  const held = new Set<{ resetAndDestroy(): void }>();
  const notAfter = { value: clock.wall() + 3_600_000 };
  let forgotten = 0;
  const sink = {
    resolving: () => undefined,
    opened(record: ConnectionRecord) {
      open.add(record);
      return {
        closed(outcome: Outcome) {
          open.delete(record);
          settled.push({ record, outcome, opened: true });
        },
        left: () => undefined,
      };
    },
    resumed: () => assert.fail('nothing is handed over'),
    failed: (record: ConnectionRecord, outcome: Outcome) => void settled.push({ record, outcome, opened: false }),
  };
  const pod = (uid: string, w: Workload) => ({
    uid,
    workload: () => store.workload(w.uid),
    ownPorts: ownPorts([]),
    hold(connection: { resetAndDestroy(): void }) {
      held.add(connection);
      return () => void held.delete(connection);
    },
  });
  const pods = [pod('u-client', client), pod('u-server', server)];
  const certificate = (w: Workload) => ({
    identity: identityOf(w),
    state: {
      kind: 'available' as const,
      certificate: {
        identity: identityOf(w),
        privateKey: '',
        chain: [],
        roots: [],
        notBefore: 0,
        get notAfter() {
          return notAfter.value;
        },
      },
    },
  });
  const paths = new DirectPaths({
    store,
    clock,
    log: silentLogger,
    network: '',
    compat: new Set(),
    revocation: false,
    certificates: { entries: () => [certificate(client), certificate(server)] },
    pods: () => pods,
    order: ({ kind, source, destination, ip, port }) =>
      void orders.push(`${kind} ${source} ${destination} ${ip}:${port}`),
    openAccount: (record: ConnectionRecord, counters: RelayCounters, elapsed: number) =>
      new Account(record, counters, sink, clock, undefined, elapsed),
    forget: () => void forgotten++,
  });
  const flow = (event: DirectFlow['event'], more: Partial<DirectFlow> = {}) =>
    paths.flow({
      kind: 'flow',
      event,
      source: 'u-client',
      clientIp: ip('10.0.0.1'),
      clientPort: port(40_000),
      ...target,
      ms: 5,
      sent: 0,
      received: 0,
      ...more,
    });
  return {
    paths,
    clock,
    store,
    orders,
    settled,
    open,
    held,
    notAfter,
    flow,
    forgotten: () => forgotten,
    apply(batch: MeshBatch) {
      store.apply(batch);
      return paths.meshChanged();
    },
    granted() {
      paths.eligible('u-client', true);
      paths.eligible('u-server', true);
      paths.established(pods[0]!, target);
    },
    established: () => paths.established(pods[0]!, target),
  };
}

const grant = 'grant u-client u-server 10.0.0.2:8080';
const revoke = 'revoke u-client u-server 10.0.0.2:8080';

test('a pair is granted once both pods take part and a connection of it has gone by the proxy, and once', () => {
  const w = world();
  w.established();
  w.paths.eligible('u-client', true);
  w.established();
  assert.deepEqual(w.orders, []);
  w.paths.eligible('u-server', true);
  // What the engine remembers of equal connections would keep them from being judged.
  assert.equal(w.forgotten(), 2);
  w.established();
  w.established();
  assert.deepEqual(w.orders, [grant]);
  assert.equal(w.paths.size, 1);
});

test('none is granted that a policy, a waypoint or a certificate that has expired speaks against', () => {
  for (const batch of [
    denied,
    { addresses: [{ ...server, waypoint: waypoint('default/wp.default.svc.cluster.local') }] },
  ]) {
    const w = world();
    w.apply(batch);
    w.granted();
    assert.deepEqual(w.orders, []);
  }
  const w = world();
  w.notAfter.value = 0;
  w.granted();
  assert.deepEqual(w.orders, []);
});

test('it is renewed before it lapses, and given up when nobody uses it any more', () => {
  const w = world();
  w.granted();
  w.clock.advance(pairLifetime - 1);
  assert.deepEqual(w.orders, [grant, grant, grant]);
  w.flow('opened');
  w.clock.advance(300_000);
  assert.ok(w.orders.every((o) => o === grant));
  w.flow('closed');
  w.clock.advance(100_000);
  assert.equal(w.orders.at(-1), revoke);
  // Else the engine would go on by itself with what it remembers, and nobody would judge the pair again.
  assert.equal(w.forgotten(), 3);
  const { length } = w.orders;
  w.clock.advance(100_000);
  assert.equal(w.orders.length, length);
});

test('a change of the mesh takes it back in its turn, with what is open, and says why', () => {
  const w = world();
  w.granted();
  w.flow('opened');
  assert.equal(w.apply({ addresses: [workload({ name: 'other', addresses: [ip('10.0.0.9')] })] }), 0);
  assert.equal(w.apply(denied), 1);
  assert.deepEqual(w.orders, [grant, revoke]);
  assert.equal(w.open.size, 2);
  w.flow('reset', { sent: 7, received: 9 });
  assert.equal(w.open.size, 0);
  for (const { outcome } of w.settled) {
    assert.equal(outcome.flag, 'DENY');
    assert.match(outcome.error ?? '', /closed due to policy change.*denied by policy default\/policy/);
    assert.deepEqual([outcome.received, outcome.sent], [7, 9]);
  }
  assert.equal(w.held.size, 0);
  w.established();
  assert.deepEqual(w.orders, [grant, revoke]);
});

test('a certificate that expires takes it back too, a pod that takes no part any more, and one that goes', () => {
  const ends: readonly ((w: ReturnType<typeof world>) => void)[] = [
    (w) => {
      w.notAfter.value = 0;
      w.clock.advance(pairLifetime);
    },
    (w) => w.paths.eligible('u-server', false),
    (w) => w.paths.podGone('u-client'),
    (w) => w.paths.podGone('u-server'),
    (w) => void w.apply({ removedAddresses: [server.uid] }),
    (w) => {
      for (const connection of w.held) connection.resetAndDestroy();
    },
  ];
  for (const [i, end] of ends.entries()) {
    const w = world();
    w.granted();
    w.flow('opened');
    end(w);
    assert.equal(w.orders.at(-1), revoke, String(i));
    assert.equal(w.paths.size, 0);
  }
});

test('a connection is told by both ends, when it opens and with its bytes when it ends', () => {
  const w = world();
  w.granted();
  w.flow('opened');
  assert.deepEqual(
    [...w.open].map((r) => [r.direction, r.source?.name, r.destination?.name, r.mtls, r.direct]),
    [
      ['outbound', 'client', 'server', false, true],
      ['inbound', 'client', 'server', false, true],
    ],
  );
  assert.equal(w.held.size, 1);
  w.flow('closed', { sent: 100, received: 2_000 });
  assert.deepEqual(
    w.settled.map(({ outcome }) => [outcome.flag, outcome.received, outcome.sent, outcome.error]),
    [
      ['-', 100, 2_000, undefined],
      ['-', 100, 2_000, undefined],
    ],
  );
  assert.equal(w.held.size, 0);
  w.flow('failed', { clientPort: port(40_001) });
  assert.deepEqual(
    w.settled.slice(2).map(({ outcome, opened }) => [outcome.flag, opened]),
    [
      ['CONNECT', false],
      ['CONNECT', false],
    ],
  );
  // Of what this worker never granted it says nothing.
  w.flow('opened', { port: port(81) });
  w.flow('closed', { port: port(81) });
  assert.equal(w.settled.length, 4);
});

test('without the agent nothing stands, and what was open is told with what is known', () => {
  const w = world();
  w.granted();
  w.flow('opened');
  w.paths.agentGone();
  assert.equal(w.open.size, 0);
  assert.match(w.settled[0]!.outcome.error ?? '', /agent.*is gone/);
  assert.equal(w.paths.size, 0);
  w.established();
  assert.deepEqual(w.orders, [grant]);
});

test('the end waits for what the kernel has to tell of the connections that it cuts', async () => {
  const w = world();
  w.granted();
  w.flow('opened');
  let over = false;
  const closed = w.paths.close().then(() => {
    over = true;
  });
  await Promise.resolve();
  assert.deepEqual(w.orders, [grant, revoke]);
  assert.equal(over, false);
  w.flow('reset', { sent: 1 });
  await closed;
  assert.equal(w.settled.length, 2);
});
