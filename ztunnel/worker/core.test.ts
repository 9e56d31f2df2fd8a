import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { millis } from '../../common/core/brand.ts';
import { LogLevels, silentLogger } from '../../common/core/log.ts';
import { defaultWire } from '../../common/hbone/wire.ts';
import { createCertificateStore } from '../../common/identity/cert-store.ts';
import { identityOf } from '../../common/mesh/address.ts';
import { MeshStore } from '../../common/mesh/store.ts';
import { workload } from '../../common/testing/builders.ts';
import { createFakeCa } from '../../common/testing/fake-ca.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import type { Engine } from '../engine/engine.ts';
import { nodeEngine } from '../engine/node.ts';
import { hello, type Line } from '../handover/protocol.ts';
import { WorkerCore } from './core.ts';

const never = new AbortController().signal;
const unused = () => assert.fail('a pod without connections needs no socket');

/** A worker without pods, its mesh and its certificates. */
async function worker(nodeName: string | undefined, engine: Engine = nodeEngine) {
  const clock = new FakeClock(Date.now());
  const store = new MeshStore();
  const certificates = createCertificateStore({ authority: await createFakeCa(), clock, log: silentLogger });
  const core = new WorkerCore({
    config: {
      mode: { kind: 'shared', zdsPath: '/nonexistent' },
      maxDescriptors: 1_000,
      compat: new Set(),
      trace: undefined,
      network: '',
      nodeName,
      clusterId: 'Kubernetes',
      clusterDomain: 'cluster.local',
      preferredServiceNamespace: undefined,
      ipv6: true,
      dnsProxy: true,
      poolMaxStreams: 100,
      tls: defaultWire.tls,
      http2: defaultWire.windows,
      poolUnusedRelease: millis(300_000),
      responseBaggage: true,
      localhostAppTunnel: true,
      logPolicyDecisions: false,
    },
    store,
    certificates,
    engine,
    clock,
    sink: { levels: new LogLevels('off'), format: 'plain', write: () => undefined },
    registry: new Registry(),
    random: () => 0.5,
    tools: { dial: unused, bindSocket: unused, closeFd: () => undefined, originalSource: 'auto', sourceLost: unused },
    lookup: () => assert.fail('no name is asked for'),
    originalDestination: unused,
    socketName: unused,
    requestSockets: () => undefined,
    orderSameNode: () => undefined,
    nameservers: [],
    searchList: [],
  });
  let pods = 0;
  return {
    core,
    clock,
    store,
    certificates,
    held: () => certificates.entries().map((e) => e.identity.serviceAccount),
    add(name: string, serviceAccount: string): number {
      const info = { name, namespace: 'default', serviceAccount };
      core.addPod({ kind: 'pod', pod: ++pods, uid: name, netns: 'n', info, listeners: [], hidesClients: false }, []);
      return pods;
    },
    drop(pod: number): Promise<void> {
      const dropped = core.dropPod(pod, 0);
      clock.advance(0);
      return dropped;
    },
  };
}

const a1 = workload({ name: 'a1', serviceAccount: 'a' });

test('a pod that leaves keeps its certificate while it is served, and not longer', async () => {
  const { store, certificates, held, add, drop } = await worker('node-1');
  store.apply({ addresses: [a1] });
  const pod = add('a1', 'a');
  const certificate = await certificates.get(identityOf(a1), never);
  store.apply({ addresses: [{ ...a1, tunnelProtocol: 'NONE' }] });
  // During the withdraw grace, when the CA may be away.
  assert.ok((await certificates.get(identityOf(a1), never)) === certificate);
  await drop(pod);
  assert.deepEqual(held(), []);
});

test('a certificate stays as long as another pod or workload needs it', async () => {
  const { store, held, add, drop } = await worker('node-1');
  const a2 = workload({ name: 'a2', serviceAccount: 'a' });
  const b = workload({ name: 'b', serviceAccount: 'b' });
  store.apply({ addresses: [a1, a2, b] });
  const [first, second] = [add('a1', 'a'), add('a2', 'a')];
  store.apply({ addresses: [{ ...a1, tunnelProtocol: 'NONE' }] });
  await drop(first);
  assert.deepEqual(held(), ['a', 'b']);
  await drop(second);
  assert.deepEqual(held(), ['a', 'b']);
  store.apply({ removedAddresses: [a2.uid] });
  assert.deepEqual(held(), ['b']);
});

test('a certificate that was only asked for goes with the last pod, also on a node without a name', async () => {
  for (const nodeName of ['node-1', undefined]) {
    const { store, certificates, held, add, drop } = await worker(nodeName);
    const plain = workload({ name: 'a1', serviceAccount: 'a', tunnelProtocol: 'NONE' });
    store.apply({ addresses: [plain] });
    const [first, second] = [add('a1', 'a'), add('a1', 'a')];
    await certificates.get(identityOf(plain), never);
    await drop(first);
    assert.deepEqual(held(), ['a']);
    await drop(second);
    assert.deepEqual(held(), []);
  }
});

/** What is written to it, and how it ends. */
class FakeLine implements Line {
  readonly sent: string[] = [];
  #onClose: ((error: Error | undefined) => void) | undefined;

  trySend(data: Uint8Array): 'sent' {
    this.send(data);
    return 'sent';
  }
  send(data: Uint8Array): void {
    this.sent.push(Buffer.from(data).toString());
  }
  onPacket(): void {}
  onClose(listener: (error: Error | undefined) => void): void {
    this.#onClose = listener;
  }
  close(): void {
    this.#onClose?.(undefined);
  }
}

test('a worker that is replaced while it takes over gives away when it has everything, or who gives is silent', async () => {
  const restore = () => assert.fail('nothing is offered');
  const handOver = { version: 'e', carrierOf: () => 'it stays', restore };
  for (const silent of [false, true]) {
    const { core, clock } = await worker('node-1', { ...nodeEngine, handOver });
    const [coming, going] = [new FakeLine(), new FakeLine()];
    const taken = core.takeOver(coming);
    const given = core.giveAway(going, 'same');
    const turns = () => new Promise((resolve) => setImmediate(resolve));
    clock.advance(9_999);
    await turns();
    assert.deepEqual(going.sent, []);
    if (silent) clock.advance(1);
    else coming.close();
    await turns();
    assert.deepEqual(going.sent, [Buffer.from(JSON.stringify(hello('e'))).toString()]);
    for (const line of [coming, going]) line.close();
    await Promise.all([taken, given]);
  }
});
