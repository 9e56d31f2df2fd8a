/** Connections that the native engine begins by itself, with the real stages, store and policies on both sides. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../../common/core/clock.ts';
import { silentLogger } from '../../../common/core/log.ts';
import type { Ip, SocketAddr } from '../../../common/core/net.ts';
import type { HbonePool, InboundTunnel } from '../../../common/hbone/types.ts';
import { identityOf } from '../../../common/mesh/address.ts';
import { MeshStore } from '../../../common/mesh/store.ts';
import type { Workload } from '../../../common/mesh/types.ts';
import { groups, match, policy, workload } from '../../../common/testing/builders.ts';
import { createFakeCa } from '../../../common/testing/fake-ca.ts';
import { dialTcp, listenTcp, loopback, loopbackPort } from '../../../common/testing/hbone-rig.ts';
import { until } from '../../../common/testing/until.ts';
import { closeFd, socketName, socketsHere } from '../../../native/index.ts';
import { RecordingSink } from '../../../test/inproc/mesh.ts';
import { OpenRelays } from '../../handover/open-relays.ts';
import { handleTunnel } from '../../proxy/inbound.ts';
import { handleOutbound } from '../../proxy/outbound.ts';
import { ConnectionRegistry } from '../../proxy/permit.ts';
import type { ProxiedPod } from '../../proxy/pod.ts';
import type { ProxyRuntime } from '../../proxy/runtime.ts';
import { createNativeEngine } from './engine.ts';

const built = existsSync(join(import.meta.dirname, '../../../native/build/aquifer.node'));
const skip = built ? false : 'the addon is not built: make -C native';

const client = workload({ name: 'client', serviceAccount: 'client', addresses: ['10.0.0.1' as Ip] });
const server = workload({ name: 'server', serviceAccount: 'server', addresses: ['10.0.0.2' as Ip] });
const wanted: SocketAddr = { ip: '10.0.0.2' as Ip, port: loopbackPort(80).port };
const hboneAt: SocketAddr = { ip: '10.0.0.2' as Ip, port: loopbackPort(15_008).port };

/**
 * Both pods behind one engine on the loopback; addresses of the mesh stand for listeners there. `told`: before anybody hears that the
 * server's app is connected.
 */
async function mesh(told: () => Promise<void> = async () => undefined) {
  const engine = createNativeEngine();
  const store = new MeshStore();
  const registry = new ConnectionRegistry();
  const sink = new RecordingSink();
  const asked = { outbound: 0, inbound: 0 };
  const signals: InboundTunnel['signal'][] = [];
  const ca = await createFakeCa();
  const certificates = { client: await ca.issue(identityOf(client)), server: await ca.issue(identityOf(server)) };
  const resets: string[] = [];
  const echo = await listenTcp((socket) => {
    // An address that is not there: the connection was reset before the app took it.
    if (socket.remoteAddress === undefined) resets.push('before it was accepted');
    socket.on('error', (error) => resets.push(error.message)).pipe(socket);
  });
  const real = (to: SocketAddr) => (to.port === wanted.port ? echo.address : hbone.address);
  const dial = engine.dialer(systemClock);
  store.onChange(() => {
    engine.memory!.forget();
    registry.recheck();
  });
  store.apply({ addresses: [client, server] });
  const runtime: ProxyRuntime = {
    store,
    demand: undefined,
    engine,
    clock: systemClock,
    random: Math.random,
    registry,
    sink,
    bypassed: () => undefined,
    policyLog: () => undefined,
    log: silentLogger,
    trace: () => undefined,
    originalDestination: () => wanted,
    tools: {
      dial: async (fd, to, signal, timeoutMs, ahead) => {
        const connected = await dial(fd, real(to), signal, timeoutMs, ahead);
        if (to.port === wanted.port) await told();
        return connected;
      },
      bindSocket: () => undefined,
      closeFd,
      originalSource: 'never',
      sourceLost: () => undefined,
    },
    resolveName: () => assert.fail('no name is asked for'),
    network: '',
    compat: new Set(),
    open: new OpenRelays(),
    responseBaggage: true,
    tunnelOverLoopback: true,
  };
  const socket = () => socketsHere({ family: 4, type: 'stream' }, 1)[0]!;
  const sockets = { spare: socket };
  const held = new Set<object>();
  const podOf = (w: Workload, pool: HbonePool): ProxiedPod => ({
    uid: w.uid,
    netns: 'none',
    info: { name: w.name, namespace: w.namespace, serviceAccount: w.serviceAccount },
    ownPorts: new Set(),
    hidesClients: false,
    highestFd: 1_000_000,
    pool,
    workload: () => store.workloadsByName(w.namespace, w.name)[0],
    waitForWorkload: () => Promise.reject(new Error('it is not known')),
    socket,
    spares: () => sockets,
    hold(connection) {
      held.add(connection);
      return () => void held.delete(connection);
    },
  });
  const listen = (onAccepted: Parameters<typeof engine.accept>[1]) => {
    const bind = { ip: loopback, port: loopbackPort(0).port };
    const [fd] = socketsHere({ family: 4, type: 'stream', bind, backlog: 4096, noDelay: true }, 1);
    const address = socketName(fd!);
    return { address, ...engine.accept(fd!, onAccepted, (error) => assert.fail(error)) };
  };
  const pool = engine.createPool({
    clock: systemClock,
    certificate: async () => certificates.client,
    dial: (address, signal) => runtime.tools.dial(socket(), address, signal, 10_000),
  });
  // What is kept names the loopback, where the loop itself dials and looks at where connections came to.
  const clientPod = podOf(client, {
    ...pool,
    get connections() {
      return pool.connections;
    },
    connect: async (...args) => {
      const tunnel = await pool.connect(...args);
      return { ...tunnel, again: (a, heirs) => tunnel.again!({ ...a, target: outbound.address }, heirs) };
    },
  });
  const serverPod = podOf(server, pool);
  const hboneServer = engine.createServer({
    clock: systemClock,
    certificate: async () => certificates.server,
    onTunnel(tunnel) {
      asked.inbound++;
      signals.push(tunnel.signal);
      const again: InboundTunnel['again'] = (a, heirsOf) => tunnel.again!({ ...a, target: echo.address }, heirsOf);
      const offered: InboundTunnel = {
        ...tunnel,
        again,
        accept: (headers) => tunnel.accept(headers),
      };
      void handleTunnel(offered, serverPod, runtime);
    },
    onError: () => undefined,
  });
  const hbone = listen(({ socket: stream, remote }) =>
    hboneServer.serve(stream, { ip: client.addresses[0]!, port: remote.port }, hboneAt),
  );
  const outbound = listen((accepted) => {
    asked.outbound++;
    void handleOutbound(accepted, clientPod, runtime);
  });
  const close = () => {
    outbound.close();
    hbone.close();
    pool.close();
    hboneServer.close();
    engine.memory!.forget();
    engine.memory!.giveBack(sockets);
    echo.server.close();
  };
  after(close);
  const forget = () => engine.memory!.forget();
  return { store, sink, asked, signals, held, registry, pool, outbound, resets, forget, close };
}

type Mesh = Awaited<ReturnType<typeof mesh>>;

/** Sends a line through the mesh; what came back, or undefined where it was cut. */
async function call(m: Mesh, text: string): Promise<string | undefined> {
  const app = await dialTcp(m.outbound.address).catch(() => undefined);
  if (!app) return undefined;
  return new Promise((resolve) => {
    let got = '';
    app.on('data', (chunk) => {
      got += chunk;
    });
    app.on('end', () => resolve(got));
    app.on('close', () => resolve(got === text ? got : undefined));
    app.end(text);
  });
}

const deny = policy({
  name: 'deny',
  namespace: server.namespace,
  scope: 'NAMESPACE',
  action: 'DENY',
  groups: groups(match({ destinationPorts: [wanted.port] })),
});

/**
 * Calls until one is not asked for. JavaScript may hear that a connection stands when the loop has served it to its end, and what it says to keep
 * reaches the loop at the end of its turn. How many calls that took.
 */
async function warm(m: Mesh): Promise<number> {
  let calls = 0;
  await until('a call that nobody is asked about', async () => {
    const before = m.asked.outbound;
    assert.equal(await call(m, 'first'), 'first');
    calls++;
    return m.asked.outbound === before;
  });
  await settledBoth(m, calls);
  return calls;
}

const settledBoth = (m: Mesh, count: number) =>
  until(`${count} accounts on both sides`, () => {
    return m.sink.of('outbound').length === count && m.sink.of('inbound').length === count;
  });

test('equal connections ask once on each side, and each has an account of its own', { skip }, async () => {
  const m = await mesh();
  const count = 60;
  const before = await warm(m);
  const asked = { ...m.asked };
  const texts = Array.from({ length: count }, (_, i) => `call ${i} `.repeat(i + 1));
  const replies = await Promise.all(texts.map((text) => call(m, text)));
  assert.deepEqual(replies, texts);
  await settledBoth(m, before + count);
  assert.deepEqual(m.asked, asked);
  const firsts = Array.from({ length: before }, () => 'first');
  const sizes = [...firsts, ...texts].map((text) => text.length);
  for (const side of ['outbound', 'inbound'] as const) {
    const all = m.sink.of(side);
    const sorted = (numbers: number[]) => numbers.sort((a, b) => a - b);
    for (const { outcome, opened } of all) assert.ok(opened && outcome.error === undefined, `${outcome.error}`);
    assert.deepEqual(sorted(all.map((s) => s.outcome.received)), sorted([...sizes]));
    assert.deepEqual(sorted(all.map((s) => s.outcome.sent)), sorted([...sizes]));
    for (const { record } of all) {
      assert.equal(record.source?.name, 'client');
      assert.equal(record.destination?.name, 'server');
      assert.equal(record.mtls, true);
    }
  }
  const traces = (side: 'outbound' | 'inbound') =>
    m.sink
      .of(side)
      .map((s) => `${s.record.traceId}`)
      .sort();
  assert.deepEqual(traces('outbound'), traces('inbound'));
  assert.equal(new Set(traces('outbound')).size, before + count);
  assert.equal(new Set(m.sink.of('outbound').map((s) => s.record.sourceAddress.port)).size, before + count);
  assert.deepEqual([m.registry.size, m.held.size], [0, 0]);
});

test('the next tunnel is there before one is full, and nobody is asked about what it carries', { skip }, async () => {
  const m = await mesh();
  await warm(m);
  const asked = { ...m.asked };
  const apps: Socket[] = [];
  for (let i = 1; i <= 230; i++) {
    const app = await dialTcp(m.outbound.address);
    apps.push(app);
    app.write(`${i}`);
    const reply = await new Promise((resolve) => void app.once('data', (chunk) => resolve(`${chunk}`)));
    assert.equal(reply, `${i}`);
    await until(`an account of connection ${i}`, () => m.held.size === i && m.sink.open.size === 2 * i);
    // A tunnel has room for 100; from 75 on the next one is dialled, from 90 on it is used, or from soon after.
    await until('the next tunnel', () => m.pool.connections >= (i < 75 ? 1 : i < 175 ? 2 : 3));
    assert.ok(m.pool.connections <= (i < 75 ? 1 : i < 165 ? 2 : 3), `${i}: ${m.pool.connections}`);
  }
  assert.deepEqual(m.asked, asked);
  const tunnelsOf = [...m.sink.open].filter((r) => r.direction === 'inbound').map((r) => r.sourceAddress.port);
  assert.equal(new Set(tunnelsOf).size, 3);
  for (const app of apps) app.destroy();
  await until('all to have ended', () => m.sink.open.size === 0);
  assert.deepEqual([m.registry.size, m.held.size], [0, 0]);
});

test('a connection that is over before anybody hears that it began is complete, and no client went away', {
  skip,
}, async () => {
  const over = Promise.withResolvers<void>();
  const m = await mesh(() => over.promise);
  assert.equal(await call(m, 'short'), 'short');
  await until('the end of its tunnel', () => m.signals[0]?.aborted);
  assert.deepEqual(m.sink.of('inbound'), []);
  over.resolve();
  await settledBoth(m, 1);
  const { opened, outcome } = m.sink.of('inbound')[0]!;
  assert.ok(opened);
  assert.deepEqual([outcome.error, outcome.received, outcome.sent], [undefined, 5, 5]);
  assert.deepEqual([m.registry.size, m.held.size], [0, 0]);
});

test('what the loop gives up and asks about instead is no reset for the app, and no lost call', { skip }, async () => {
  const m = await mesh();
  await warm(m);
  const asked = m.asked.outbound;
  for (let round = 0; round < 60; round++) {
    for (let i = 0; i < 2; i++) assert.equal(await call(m, 'kept'), 'kept');
    const burst = Array.from({ length: 60 }, () => call(m, 'burst'));
    for (let turn = 0; turn <= round % 12; turn++) await new Promise(setImmediate);
    m.forget();
    assert.deepEqual(new Set(await Promise.all(burst)), new Set(['burst']), `round ${round}`);
  }
  assert.ok(m.asked.outbound > asked);
  assert.deepEqual(m.resets, []);
});

test('a policy that comes between two equal connections rules over the second, and over the first', {
  skip,
}, async () => {
  const m = await mesh();
  for (let round = 0; round < 15; round++) {
    assert.equal(await call(m, 'allowed'), 'allowed');
    assert.equal(await call(m, 'again'), 'again');
    const open = await dialTcp(m.outbound.address);
    const cut = new Promise((resolve) => open.once('close', resolve));
    open.write('open');
    await new Promise((resolve) => void open.once('data', resolve));
    // The burst is under way in the loop while the policy comes.
    const burst = Array.from({ length: 8 }, () => dialTcp(m.outbound.address));
    const before = m.sink.settled.length;
    m.store.apply({ policies: [deny] });
    assert.equal(await call(m, 'denied'), undefined, `round ${round}`);
    await cut;
    const rest: Socket[] = await Promise.all(burst);
    for (const socket of rest) {
      socket.on('error', () => undefined);
      socket.on('data', () => assert.fail(`round ${round}: bytes came back past the policy`));
      socket.write('late');
      if (!socket.destroyed) await new Promise((resolve) => void socket.once('close', resolve));
    }
    await until('all to have ended', () => m.sink.open.size === 0);
    const inbound = m.sink.settled.slice(before).filter((s) => s.record.direction === 'inbound');
    for (const { outcome } of inbound)
      assert.match(outcome.error ?? 'complete', /deny|policy|went away/, `round ${round}`);
    m.store.apply({ removedPolicies: [`${deny.namespace}/${deny.name}`] });
  }
  assert.equal(m.registry.size, 0);
});

test('an address that another pod gets lends it nothing of what was kept', { skip }, async () => {
  const m = await mesh();
  assert.equal(await call(m, 'one'), 'one');
  assert.equal(await call(m, 'two'), 'two');
  const asked = m.asked.outbound;
  m.store.apply({
    addresses: [{ ...server, uid: 'other', name: 'other', serviceAccount: 'other' }],
    removedAddresses: [server.uid],
  });
  // The peer still proves to be the old one.
  assert.equal(await call(m, 'three'), undefined);
  assert.ok(m.asked.outbound > asked);
  assert.match(`${m.sink.of('outbound').at(-1)!.outcome.error}`, /TLS|identity|refused/);
});

test('a tunnel that goes away takes what was kept with it', { skip }, async () => {
  const m = await mesh();
  const before = await warm(m);
  m.pool.close();
  assert.equal(await call(m, 'late'), undefined);
  // The loop had begun it on the tunnel that went, or asked for it: it is told either way.
  const late = await until('its account', () => m.sink.of('outbound')[before]);
  assert.ok(late.outcome.error, 'it failed');
});
