/** The whole data path of the node proxy in one process: who is let through, who is not, and what is said about it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import type { Ip, SocketAddr } from '../../common/core/net.ts';
import type { AuthorizationPolicy } from '../../common/mesh/types.ts';
import {
  groups,
  ip,
  match,
  networkAddress,
  policy,
  serves,
  service,
  waypoint,
  workload,
} from '../../common/testing/builders.ts';
import { until } from '../../common/testing/until.ts';
import type { ProxyRuntime } from '../../ztunnel/proxy/runtime.ts';
import { addr, call, closed, echo } from './calls.ts';
import { InprocMesh, type InprocPod, type Settled } from './mesh.ts';

const clientIp = ip('10.1.0.1');
const serverIp = ip('10.2.0.2');
const vip = ip('10.96.0.7');
const echoService = service({ name: 'echo', addresses: [networkAddress(`/${vip}`)] });
const clientWorkload = workload({ name: 'client', serviceAccount: 'client', addresses: [clientIp] });
const serverWorkload = workload({
  name: 'server',
  serviceAccount: 'server',
  addresses: [serverIp],
  node: 'node-2',
  services: serves(echoService),
});

/** Client and server pod, the echo service with the server behind it, and an app that echoes on 8080. */
async function twoPods(mesh: InprocMesh): Promise<{ client: InprocPod; server: InprocPod; peers: Ip[] }> {
  const client = mesh.pod(clientWorkload);
  const server = mesh.pod(serverWorkload);
  mesh.store.apply({ addresses: [clientWorkload, serverWorkload, echoService] });
  const peers: Ip[] = [];
  mesh.net.listen(serverIp, 8080, (socket, remote) => {
    peers.push(remote.ip);
    echo(socket);
  });
  return { client, server, peers };
}

function deny(over: Partial<AuthorizationPolicy> = {}): AuthorizationPolicy {
  return policy({
    name: 'no-client',
    action: 'DENY',
    groups: groups(match({ serviceAccounts: [{ namespace: 'default', serviceAccount: 'client' }] })),
    ...over,
  });
}

test('a call to a VIP goes through a tunnel to the endpoint, which sees the client', async () => {
  await using mesh = await InprocMesh.start();
  const { client, peers } = await twoPods(mesh);
  assert.equal(await call(await client.open(addr(vip, 80)), 'hello'), 'hello');
  assert.deepEqual(peers, [clientIp]);
  await until('the accounts', () => mesh.sink.settled.length === 2);
  const [out] = mesh.sink.of('outbound');
  const [inn] = mesh.sink.of('inbound');
  assert.equal(out!.record.hboneAddress, '10.2.0.2:8080');
  assert.equal(out!.record.service?.hostname, echoService.hostname);
  assert.equal(out!.record.destinationIdentity?.serviceAccount, 'server');
  assert.equal(out!.outcome.error, undefined);
  assert.equal(inn!.record.sourceIdentity?.serviceAccount, 'client');
  assert.equal(inn!.record.source?.name, 'client');
  assert.equal(inn!.record.service?.hostname, echoService.hostname);
  assert.equal(inn!.record.traceId, out!.record.traceId);
  assert.deepEqual([inn!.outcome.received, inn!.outcome.sent], [5, 5]);
});

test('a policy refuses with the rule, and the app is never dialled', async () => {
  await using mesh = await InprocMesh.start();
  const { client, peers } = await twoPods(mesh);
  mesh.store.apply({ policies: [deny()] });
  assert.equal(await call(await client.open(addr(serverIp, 8080)), 'hello'), '');
  await until('the accounts', () => mesh.sink.settled.length === 2);
  const [inn] = mesh.sink.of('inbound');
  assert.equal(inn!.outcome.flag, 'DENY');
  assert.match(inn!.outcome.error!, /default\/no-client, group 0, rule 0 match 0/);
  assert.match(mesh.sink.of('outbound')[0]!.outcome.error!, /401/);
  assert.deepEqual(peers, []);
});

test('a policy that arrives closes the connection that it forbids, at once, and leaves others', async () => {
  await using mesh = await InprocMesh.start();
  const { client } = await twoPods(mesh);
  const socket = await client.open(addr(vip, 80));
  socket.on('error', () => undefined);
  socket.write('x');
  await once(socket, 'data');
  mesh.store.apply({ policies: [deny({ name: 'other-port', groups: groups(match({ destinationPorts: [9999] })) })] });
  socket.write('y');
  await once(socket, 'data');
  const cut = closed(socket);
  mesh.store.apply({ policies: [deny()] });
  await cut;
  await until('the accounts', () => mesh.sink.settled.length === 2);
  const [inn] = mesh.sink.of('inbound');
  assert.equal(inn!.opened, true);
  assert.equal(inn!.outcome.flag, 'DENY');
  assert.match(inn!.outcome.error!, /policy change.*no-client/);
  assert.equal(mesh.registry.size, 0);
});

test('a workload that gets another policy closes its connections too', async () => {
  await using mesh = await InprocMesh.start();
  const { client } = await twoPods(mesh);
  mesh.store.apply({ policies: [deny({ scope: 'WORKLOAD_SELECTOR' })] });
  const socket = await client.open(addr(vip, 80));
  socket.on('error', () => undefined);
  socket.write('x');
  await once(socket, 'data');
  const cut = closed(socket);
  mesh.store.apply({ addresses: [{ ...serverWorkload, authorizationPolicies: ['default/no-client'] }] });
  await cut;
});

test('what is refused before it is connected', async (t) => {
  const rows: readonly {
    readonly name: string;
    readonly target: SocketAddr | undefined;
    readonly change?: Parameters<InprocMesh['store']['apply']>[0];
    readonly error: RegExp;
    readonly flag: string;
  }[] = [
    { name: 'not captured', target: undefined, error: /not captured/, flag: 'CONNECT' },
    { name: 'own listener', target: addr(ip('127.0.0.1'), 34_001), error: /port of the proxy/, flag: 'CONNECT' },
    { name: 'own 15001', target: addr(ip('127.0.0.1'), 15_001), error: /port of the proxy/, flag: 'CONNECT' },
    { name: 'no such service port', target: addr(vip, 81), error: /no port 81/, flag: 'CONNECT' },
    {
      name: 'no healthy endpoint',
      target: addr(vip, 80),
      change: { addresses: [{ ...serverWorkload, status: 'UNHEALTHY' }] },
      error: /no healthy endpoint/,
      flag: 'CONNECT',
    },
    {
      name: 'waypoint',
      target: addr(vip, 80),
      change: { addresses: [{ ...echoService, waypoint: waypoint('default/wp') }] },
      error: /waypoint default\/wp, which the mesh does not know/,
      flag: 'CONNECT',
    },
    {
      name: 'another network',
      target: addr(vip, 80),
      change: { addresses: [{ ...serverWorkload, network: 'far' }] },
      error: /network "far"/,
      flag: 'CONNECT',
    },
    { name: 'illegal port', target: addr(serverIp, 15_006), error: /503/, flag: 'CONNECT' },
    { name: 'nobody listens', target: addr(serverIp, 8081), error: /503/, flag: 'CONNECT' },
  ];
  for (const row of rows) {
    await t.test(row.name, async () => {
      await using mesh = await InprocMesh.start();
      const { client } = await twoPods(mesh);
      if (row.change) mesh.store.apply(row.change);
      assert.equal(await call(await client.open(row.target), 'hello'), '');
      await until('the accounts', () => mesh.sink.of('outbound').length === 1);
      const [out] = mesh.sink.of('outbound');
      assert.match(out!.outcome.error!, row.error);
      assert.equal(out!.outcome.flag, row.flag);
      assert.equal(out!.opened, false);
    });
  }
});

test('a pod that the mesh does not know is dropped, and waits for being known until then', async () => {
  await using mesh = await InprocMesh.start({ workloadWait: 50 });
  const { client, server } = await twoPods(mesh);
  const stranger = mesh.pod(workload({ name: 'stranger', addresses: [ip('10.1.0.9')] }));
  assert.equal(await call(await stranger.open(addr(serverIp, 8080)), 'hello'), '');
  await until('the accounts', () => mesh.sink.of('outbound').length === 1);
  assert.match(mesh.sink.of('outbound')[0]!.outcome.error!, /not known/);
  mesh.store.apply({ removedAddresses: [clientWorkload.uid] });
  const late = call(await client.open(addr(serverIp, 8080)), 'late');
  mesh.store.apply({ addresses: [clientWorkload] });
  assert.equal(await late, 'late');
  assert.ok(server.workload());
});

test('an endpoint that is not who the mesh says gets not a byte', async () => {
  await using mesh = await InprocMesh.start();
  const { client, peers } = await twoPods(mesh);
  // The pod at that address has another service account than the mesh tells the client.
  mesh.store.apply({ addresses: [{ ...serverWorkload, serviceAccount: 'someone-else' }] });
  assert.equal(await call(await client.open(addr(serverIp, 8080)), 'secret'), '');
  await until('the accounts', () => mesh.sink.of('outbound').length === 1);
  assert.equal(mesh.sink.of('outbound')[0]!.outcome.flag, 'TLS_FAILURE');
  assert.deepEqual(peers, []);
});

test('what the mesh does not know, and what is not in it, goes plainly from the pod', async () => {
  await using mesh = await InprocMesh.start();
  const { client } = await twoPods(mesh);
  const outside = ip('203.0.113.5');
  mesh.net.listen(outside, 443, echo);
  assert.equal(await call(await client.open(addr(outside, 443)), 'hi'), 'hi');
  mesh.store.apply({ addresses: [{ ...serverWorkload, tunnelProtocol: 'NONE' }] });
  assert.equal(await call(await client.open(addr(vip, 80)), 'hi'), 'hi');
  assert.deepEqual(mesh.net.dialled, [
    { from: clientIp, to: '203.0.113.5:443' },
    { from: clientIp, to: '10.2.0.2:8080' },
  ]);
  await until('the accounts', () => mesh.sink.settled.length === 2);
  assert.ok(mesh.sink.settled.every((s) => !s.record.mtls && s.record.sourceIdentity === undefined));
});

test('a destination that refuses HBONE is never dialled plainly while the mesh says HBONE', async () => {
  await using mesh = await InprocMesh.start();
  const { client } = await twoPods(mesh);
  mesh.net.unlisten(serverIp, 15_008);
  assert.equal(await call(await client.open(addr(vip, 80)), 'hi'), '');
  assert.deepEqual(mesh.net.dialled, [{ from: clientIp, to: '10.2.0.2:15008' }]);
});

test('a destination that left the mesh while it was dialled is reached plainly, once the mesh says so', async () => {
  await using mesh = await InprocMesh.start();
  const { client } = await twoPods(mesh);
  mesh.net.listen(serverIp, 15_008, (socket) => {
    mesh.store.apply({ addresses: [{ ...serverWorkload, tunnelProtocol: 'NONE' }] });
    socket.resetAndDestroy();
  });
  assert.equal(await call(await client.open(addr(vip, 80)), 'hi'), 'hi');
  await until('the accounts', () => mesh.sink.settled.length === 1);
  assert.equal(mesh.sink.settled[0]!.record.mtls, false);
});

test('a destination that the mesh forgot while it was dialled is not reached plainly', async () => {
  await using mesh = await InprocMesh.start();
  const { client, peers } = await twoPods(mesh);
  mesh.net.listen(serverIp, 15_008, (socket) => {
    mesh.store.apply({ removedAddresses: [serverWorkload.uid] });
    socket.resetAndDestroy();
  });
  assert.equal(await call(await client.open(addr(serverIp, 8080)), 'secret'), '');
  assert.deepEqual(mesh.net.dialled, [{ from: clientIp, to: '10.2.0.2:15008' }]);
  assert.deepEqual(peers, []);
});

test('another endpoint of the service is tried when one refuses', async () => {
  await using mesh = await InprocMesh.start();
  const { client } = await twoPods(mesh);
  const deadIp = ip('10.2.0.3');
  const dead = workload({ name: 'dead', serviceAccount: 'server', addresses: [deadIp], services: serves(echoService) });
  mesh.store.apply({ addresses: [dead] });
  for (let i = 0; i < 10; i++) assert.equal(await call(await client.open(addr(vip, 80)), 'hi'), 'hi');
});

test('plain text to a pod', async (t) => {
  const outsider = ip('10.9.9.9');
  await t.test('is let through without a policy, from the client address', async () => {
    await using mesh = await InprocMesh.start();
    const { server, peers } = await twoPods(mesh);
    assert.equal(await call(await server.openPlain(outsider, 8080), 'hi'), 'hi');
    assert.deepEqual(peers, [outsider]);
    await until('the accounts', () => mesh.sink.settled.length === 1);
    assert.equal(mesh.sink.settled[0]!.record.mtls, false);
  });
  await t.test('is refused where an identity is asked for', async () => {
    await using mesh = await InprocMesh.start();
    const { server, peers } = await twoPods(mesh);
    mesh.store.apply({ policies: [deny({ groups: groups(match({ notPrincipals: [{ kind: 'presence' }] })) })] });
    assert.equal(await call(await server.openPlain(outsider, 8080), 'hi'), '');
    assert.deepEqual(peers, []);
    await until('the accounts', () => mesh.sink.settled.length === 1);
    assert.equal(mesh.sink.settled[0]!.outcome.flag, 'DENY');
  });
  for (const [name, port, local] of [
    ['to 15008', 15_008, serverIp],
    ['to 15001', 15_001, serverIp],
    ['to a listener of the proxy', 34_006, serverIp],
    ['from inside the pod to the listener', 34_006, ip('127.0.0.1')],
  ] as const) {
    await t.test(`${name} is a loop`, async () => {
      await using mesh = await InprocMesh.start();
      const { server } = await twoPods(mesh);
      assert.equal(await call(await server.openPlain(outsider, port, local), 'hi'), '');
      await until('the accounts', () => mesh.sink.settled.length === 1);
      assert.match(mesh.sink.settled[0]!.outcome.error!, /port of the proxy|inbound port/);
      assert.deepEqual(mesh.net.dialled, []);
    });
  }
  for (const begun of [false, true]) {
    const then = begun ? 'ends the relay that the engine had begun' : 'leaves the app without a byte';
    await t.test(`a policy that denies while the app is called ${then}`, async () => {
      await using mesh = await InprocMesh.start();
      const { server } = await twoPods(mesh);
      const ends: Duplex[][] = [];
      const runtime: ProxyRuntime = {
        ...mesh.runtime,
        tools: {
          ...mesh.runtime.tools,
          async dial(fd, to) {
            const app = await mesh.net.dial(fd, to);
            mesh.store.apply({ policies: [deny({ groups: groups(match()) })] });
            return app;
          },
        },
        engine: {
          ...mesh.runtime.engine,
          begun: () => begun,
          relay(downstream, upstream, options) {
            ends.push([downstream, upstream]);
            return mesh.runtime.engine.relay(downstream, upstream, options);
          },
        },
      };
      assert.equal(await call(await server.openPlain(outsider, 8080, serverIp, runtime), 'hi'), '');
      await until('the accounts', () => mesh.sink.settled.length === 1);
      const [{ outcome, opened }] = mesh.sink.settled as [Settled];
      // Short ones may be over before the policy came: only the engine knows what it has passed.
      assert.deepEqual([opened, ends.length], begun ? [true, 1] : [false, 0]);
      assert.match(outcome.error!, /policy change/);
      assert.deepEqual([outcome.received, outcome.sent], [0, 0]);
    });
  }
  await t.test('calls itself from its own address', async () => {
    await using mesh = await InprocMesh.start();
    const { server, peers } = await twoPods(mesh);
    assert.equal(await call(await server.openPlain(serverIp, 8080), 'hi'), 'hi');
    assert.deepEqual(peers, [serverIp]);
  });
});

test('CONNECT with a wrong authority', async (t) => {
  const rows = [
    { authority: '10.2.0.99:8080', status: 400 },
    { authority: '127.0.0.1:8080', status: 400 },
    { authority: 'nonsense', status: 400 },
    { authority: '10.2.0.2:0', status: 400 },
    { authority: '10.2.0.2:15008', status: 503 },
    { authority: '10.2.0.2:15001', status: 503 },
    { authority: '10.2.0.2:34001', status: 503 },
    { authority: 'unknown.default.svc.cluster.local:80', status: 503 },
    { authority: 'echo.default.svc.cluster.local:81', status: 503 },
    { authority: '10.2.0.2:8081', status: 503 },
    { authority: '10.2.0.2:8080', status: 200 },
    { authority: 'echo.default.svc.cluster.local:80', status: 200 },
  ] as const;
  await using mesh = await InprocMesh.start();
  const { client } = await twoPods(mesh);
  for (const { authority, status } of rows) {
    await t.test(`${authority}: ${status}`, async () => {
      const target = {
        address: addr(serverIp, 15_008),
        expected: [{ trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'server' }],
        source: { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'client' },
        sourceIp: clientIp,
      };
      const headers = { authority, baggage: '', forwarded: '', traceparent: '' };
      const attempt = client.pool.connect(target, headers, AbortSignal.timeout(5_000));
      if (status === 200) {
        const tunnel = await attempt;
        assert.match(tunnel.responseHeaders['baggage']!, /k8s\.pod\.name=server/);
        tunnel.stream.destroy();
      } else await assert.rejects(attempt, new RegExp(`${status}`));
    });
  }
});

test('each connection is accounted exactly once, and traced stage by stage', async () => {
  await using mesh = await InprocMesh.start();
  const { client } = await twoPods(mesh);
  await Promise.all(Array.from({ length: 50 }, async (_, i) => call(await client.open(addr(vip, 80)), `call ${i}`)));
  await until('the accounts', () => mesh.sink.settled.length === 100);
  assert.equal(mesh.sink.open.size, 0);
  for (const stage of ['accept', 'identify', 'decide', 'connect', 'relay', 'account']) {
    assert.ok(
      mesh.trace.some((line) => line.startsWith(stage)),
      stage,
    );
  }
});

test('a VIP spreads over its backends by their capacity, and each call is counted where it went', async () => {
  await using mesh = await InprocMesh.start();
  const { client } = await twoPods(mesh);
  const more = [3, 4].map((n) =>
    workload({
      name: `server-${n}`,
      serviceAccount: 'server',
      addresses: [ip(`10.2.0.${n}`)],
      services: serves(echoService),
      capacity: n - 2,
    }),
  );
  mesh.store.apply({ addresses: [...more, { ...serverWorkload, capacity: 0 }] });
  for (const w of more) {
    mesh.pod(w);
    mesh.net.listen(w.addresses[0]!, 8080, echo);
  }
  for (let i = 0; i < 60; i++) assert.equal(await call(await client.open(addr(vip, 80)), 'hi'), 'hi');
  await until('the accounts', () => mesh.sink.settled.length === 120);
  const by = Map.groupBy(mesh.sink.of('outbound'), (s) => s.record.destination?.name);
  const [one, two] = [by.get('server-3')?.length ?? 0, by.get('server-4')?.length ?? 0];
  assert.equal(one + two, 60, 'none to the one without capacity');
  // 60 calls of 1:2 leave these bounds once in a million runs.
  assert.ok(one >= 4 && one <= 40, `${one} of 60`);
  for (const [name, count] of [
    ['server-3', one],
    ['server-4', two],
  ] as const) {
    const arrived = mesh.sink.of('inbound').filter((s) => s.record.destination?.name === name);
    assert.equal(arrived.length, count);
    assert.ok(arrived.every((s) => s.outcome.received === 2 && s.outcome.sent === 2 && !s.outcome.error));
  }
});
