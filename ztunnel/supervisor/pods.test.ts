import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Fd, fd } from '../../common/core/brand.ts';
import { silentLogger } from '../../common/core/log.ts';
import type { Port } from '../../common/core/net.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { until } from '../../common/testing/until.ts';
import type { SteerPod, WorkloadInfo } from '../../common/zds/types.ts';
import type { SocketSpec } from '../../native/index.ts';
import type { PodMessage } from '../control/messages.ts';
import type { Kernel } from './kernel.ts';
import { PodTable, type PodWorkers } from './pods.ts';

const info: WorkloadInfo = { name: 'web', namespace: 'shop', serviceAccount: 'web' };

class FakeKernel implements Kernel {
  readonly open = new Set<Fd>();
  readonly made: { readonly netns: Fd; readonly spec: SocketSpec; readonly count: number }[] = [];
  fail: Error | undefined;
  #next = 100;

  socketsInNetns(netns: Fd, spec: SocketSpec, count: number): readonly Fd[] {
    if (this.fail && this.made.length % 3 === 2) throw this.fail;
    this.made.push({ netns, spec, count });
    return Array.from({ length: count }, () => this.give());
  }
  localPort(f: Fd): number {
    return 30_000 + f;
  }
  /** Descriptors 1 to 9 are namespaces; 11 is another descriptor of namespace 1. */
  netnsKey(netns: Fd): string {
    return `${netns % 10}`;
  }
  close(f: Fd): void {
    assert.ok(this.open.delete(f), `descriptor ${f} closed twice`);
  }
  netns(n: number): Fd {
    this.open.add(fd(n));
    return fd(n);
  }
  give(): Fd {
    const made = fd(this.#next++);
    this.open.add(made);
    return made;
  }
}

class FakeWorkers implements PodWorkers {
  readonly served: PodMessage[] = [];
  readonly dropped: number[] = [];
  serveError: Error | undefined;
  dropping = Promise.withResolvers<void>();
  async serve(message: PodMessage): Promise<void> {
    if (this.serveError) throw this.serveError;
    this.served.push(message);
  }
  drop(pod: number): Promise<void> {
    this.dropped.push(pod);
    return this.dropping.promise;
  }
}

function table(mode: 'steered' | 'fixed' = 'steered') {
  const agent: { refusal: Error | undefined } = { refusal: undefined };
  const kernel = new FakeKernel();
  const workers = new FakeWorkers();
  const clock = new FakeClock();
  const steered: { readonly pod: Omit<SteerPod, 'kind' | 'id'>; readonly fds: readonly Fd[] }[] = [];
  const pods = new PodTable({
    kernel,
    workers,
    mode: () => mode,
    steer: async (pod, fds) => {
      if (agent.refusal) throw agent.refusal;
      steered.push({ pod, fds });
    },
    listeners: {
      mark: 1337,
      ipv6: true,
      proxy: true,
      dnsProxy: true,
      dnsAddress: { kind: 'localhost', port: 15053 as Port },
      socks5: false,
      portReuse: true,
      keepAlive: undefined,
      userTimeout: undefined,
    },
    drainDeadlineMs: 5_000,
    clock,
    log: silentLogger,
  });
  return { kernel, workers, clock, steered, agent, pods };
}

test('a pod is listened for, served, then steered', async () => {
  const { kernel, workers, steered, pods } = table();
  assert.equal(pods.ready, false);
  assert.equal(await pods.add('u1', info, kernel.netns(1)), '');
  assert.equal(workers.served.length, 1);
  assert.equal(workers.served[0]!.listeners.length, 10);
  assert.equal(steered.length, 1);
  assert.equal(steered[0]!.fds.length, 4);
  assert.notEqual(steered[0]!.pod.outbound.v4, steered[0]!.pod.outbound.v6);
  pods.snapshot(new Set(['u1']));
  assert.equal(pods.ready, true);
  assert.deepEqual(pods.counts, { active: 1, pending: 0, started: 1, stopped: 0 });
});

test('without the steering socket nobody is steered', async () => {
  const { kernel, workers, steered, pods } = table('fixed');
  assert.equal(await pods.add('u1', info, kernel.netns(1)), '');
  assert.equal(workers.served[0]!.listeners.length, 7);
  assert.equal(steered.length, 0);
});

test('the same pod again changes nothing but tells the agent again where to steer', async () => {
  const { kernel, workers, steered, pods } = table();
  await pods.add('u1', info, kernel.netns(1));
  const before = kernel.made.length;
  assert.equal(await pods.add('u1', info, kernel.netns(11)), '');
  assert.equal(kernel.made.length, before);
  assert.equal(workers.served.length, 1);
  assert.equal(steered.length, 2);
  assert.equal(kernel.open.has(fd(11)), false);
  assert.equal(pods.counts.started, 1);
});

test('an agent that does not bring the traffic of a served pod here is told why, and the pod is served as before', async () => {
  const { kernel, clock, agent, pods } = table();
  await pods.add('u1', info, kernel.netns(1));
  pods.snapshot(new Set(['u1']));
  agent.refusal = new Error('a newer ztunnel has taken over');
  assert.equal(await pods.add('u1', info, kernel.netns(11)), 'a newer ztunnel has taken over');
  assert.deepEqual([pods.ready, pods.counts.active, clock.timers], [true, 1, 0]);
});

test('a uid in another namespace is another pod: the old one drains, the new one starts', async () => {
  const { kernel, workers, pods } = table();
  await pods.add('u1', info, kernel.netns(1));
  assert.equal(await pods.add('u1', info, kernel.netns(2)), '');
  assert.deepEqual(workers.dropped, [1]);
  assert.equal(workers.served.length, 2);
  assert.notEqual(workers.served[0]!.pod, workers.served[1]!.pod);
  workers.dropping.resolve();
  await until('the old namespace to be let go', () => !kernel.open.has(fd(1)));
  assert.ok(kernel.open.has(fd(2)));
});

test('a uid with another service account is another pod too', async () => {
  const { kernel, workers, pods } = table();
  await pods.add('u1', info, kernel.netns(1));
  await pods.add('u1', { ...info, serviceAccount: 'root' }, kernel.netns(11));
  assert.deepEqual(workers.dropped, [1]);
});

test('a pod that leaves keeps its namespace until its workers have let go; its listeners are theirs alone', async () => {
  const { kernel, workers, pods } = table();
  await pods.add('u1', info, kernel.netns(1));
  assert.equal(pods.del('u1'), '');
  assert.equal(pods.counts.stopped, 1);
  assert.deepEqual([...kernel.open], [1]);
  const [id] = workers.dropped;
  assert.equal(pods.sockets(id!, 'inbound4', 3).length, 3);
  workers.dropping.resolve();
  await until('the namespace to be let go', () => !kernel.open.has(fd(1)));
  assert.deepEqual(pods.sockets(id!, 'inbound4', 3), []);
  assert.equal(pods.del('unknown'), '');
});

test('pods that a snapshot does not mention are drained', async () => {
  const { kernel, workers, pods } = table();
  await pods.add('u1', info, kernel.netns(1));
  await pods.add('u2', info, kernel.netns(2));
  pods.snapshot(new Set(['u2']));
  assert.deepEqual(workers.dropped, [1]);
  assert.equal(pods.ready, true);
});

test('a pod that cannot be served is nacked, makes the node not ready, and is tried again every 5 s', async () => {
  const { kernel, workers, clock, pods } = table();
  pods.snapshot(new Set());
  workers.serveError = new Error('no worker');
  assert.equal(await pods.add('u1', info, kernel.netns(1)), 'no worker');
  assert.equal(pods.ready, false);
  clock.advance(4_999);
  assert.equal(clock.timers, 1);
  clock.advance(1);
  await until('the second failure', () => clock.timers === 1);
  workers.serveError = undefined;
  clock.advance(5_000);
  await until('readiness', () => pods.ready);
  assert.equal(clock.timers, 0);
});

test('listeners that cannot all be made are all closed again', async () => {
  const { kernel, pods } = table();
  kernel.fail = new Error('EADDRINUSE');
  assert.equal(await pods.add('u1', info, kernel.netns(1)), 'EADDRINUSE');
  assert.deepEqual([...kernel.open], [1]);
});

test('a worker that starts late is told of every pod with its listeners', async () => {
  const { kernel, pods } = table();
  await pods.add('u1', info, kernel.netns(1));
  await pods.add('u2', info, kernel.netns(2));
  const messages = pods.messages();
  assert.deepEqual(
    messages.map((m) => m.message.uid),
    ['u1', 'u2'],
  );
  assert.ok(messages.every((m) => m.fds.length === m.message.listeners.length));
});

test("this proxy's own pod takes HBONE alone, outlives snapshots and is not counted", async () => {
  const { kernel, workers, steered, pods } = table();
  assert.equal(await pods.addSelf(info, kernel.netns(1)), '');
  pods.snapshot(new Set());
  assert.equal(workers.dropped.length, 0);
  assert.deepEqual(
    workers.served.map(({ listeners, hidesClients }) => [listeners.map((l) => l.role), hidesClients]),
    [[['hbone'], true]],
  );
  assert.equal(steered.length, 0);
  assert.deepEqual(pods.counts, { active: 0, pending: 0, started: 0, stopped: 0 });
});

test('a proxy that stops leaves listeners to its workers at once, and makes sockets for them until they have ended', async () => {
  const { kernel, workers, clock, pods } = table();
  await pods.add('u1', info, kernel.netns(1));
  workers.serveError = new Error('no worker');
  await pods.add('u2', info, kernel.netns(2));
  pods.letGo();
  assert.deepEqual([...kernel.open], [1, 2]);
  assert.equal(clock.timers, 0);
  assert.equal(pods.sockets(workers.served[0]!.pod, 'outbound4', 2).length, 2);
  assert.deepEqual(pods.messages(), []);
  pods.close();
  assert.equal(kernel.open.has(fd(1)) || kernel.open.has(fd(2)), false);
});
