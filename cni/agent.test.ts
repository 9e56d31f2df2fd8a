/** The whole agent, with a scripted ztunnel at the other end; see cni/testing/world.ts. */
import assert from 'node:assert/strict';
import { closeSync, existsSync, openSync } from 'node:fs';
import { describe, test } from 'node:test';
import { type Fd, fd, type NetnsCookie } from '../common/core/brand.ts';
import { MeshError } from '../common/core/errors.ts';
import { podKind } from '../common/kube/kinds/core.ts';
import { until } from '../common/testing/until.ts';
import { encodeAck, encodeHello } from '../common/zds/codec.ts';
import { seqpacketConnect } from '../native/index.ts';
import { skipUnless } from '../test/harness/require.ts';
import { dataplaneModeLabel } from './enrolment.ts';
import { World } from './testing/world.ts';

describe('capture agent', { skip: skipUnless('addon') }, () => {
  test('enrols a pod: add with the namespace, steering, ack, announcement', async (t) => {
    const w = await World.running(t);
    const ztunnel = w.ztunnel();
    await ztunnel.has('snapshotSent');
    await w.pod('web', 'u1', 7);
    await w.announced('web', 'enabled');
    assert.deepEqual(w.journal, ['enrol u1 10.0.0.1,fd00::1']);
    assert.deepEqual(w.capture.proxies, [`cgroup of ${process.pid}`]);
    assert.deepEqual(ztunnel.received.at(-1), {
      kind: 'add',
      uid: 'u1',
      info: { name: 'web', namespace: 'shop', serviceAccount: 'cart' },
      fds: 1,
    });
    const metrics = await w.agent.metrics.registry.metrics();
    assert.match(metrics, /^ztunnel_connected 1$/m);
    assert.match(metrics, /^aquifer_cni_enrolment_seconds_count\{part="capture"\} 1$/m);
    assert.match(metrics, /^aquifer_cni_pods\{state="enrolled"\} 1$/m);
    assert.match(metrics, /^aquifer_capture_outbound_captured_total 1$/m);
  });

  test('with fixed ports capture stands after the ack, and there is no steering socket', async (t) => {
    const w = new World(t);
    w.capture.proxyPorts = 'fixed';
    await w.namespace('shop', 'ambient');
    await w.agent.start();
    const ztunnel = w.ztunnel();
    await ztunnel.has('snapshotSent');
    assert.equal(existsSync(`${w.zdsPath}.steer`), false);
    ztunnel.onAdd = async () => {
      assert.deepEqual(w.journal, []);
      return '';
    };
    await w.pod('web', 'u1', 7);
    await w.announced('web', 'enabled');
    assert.deepEqual(w.journal, ['enrol u1 10.0.0.1,fd00::1 to fixed ports']);
    // A second one is let out by the rules of pods that stand before it is told of them.
    const next = w.ztunnel();
    next.onAdd = async () => {
      assert.equal(w.journal.length, 2);
      return '';
    };
    await next.has('snapshotSent');
  });

  test('a ztunnel that connects later gets the pods, then the end of the snapshot', async (t) => {
    const w = new World(t);
    await w.namespace('shop', 'ambient');
    await w.pod('web', 'u1', 7);
    await w.pod('api', 'u2', 8, '10.0.0.2');
    await w.pod('far', 'u3', 9, '10.0.0.3', 'n2');
    await w.agent.start();
    await w.announced('web', 'pending');
    await w.announced('api', 'pending');
    const ztunnel = w.ztunnel();
    await w.announced('web', 'enabled');
    await w.announced('api', 'enabled');
    await ztunnel.has('snapshotSent');
    assert.deepEqual(ztunnel.log, ['add u1', 'add u2', 'snapshotSent']);
  });

  test('no snapshot goes out before the pods are known', async (t) => {
    const w = new World(t);
    const list = w.kube.list.bind(w.kube);
    const gate = Promise.withResolvers<void>();
    w.kube.list = async (kind) => {
      await gate.promise;
      return list(kind);
    };
    await w.namespace('shop', 'ambient');
    await w.pod('web', 'u1', 7);
    const started = w.agent.start();
    const ztunnel = w.ztunnel();
    await until('it is connected', () => w.clock.timers === 1 && ztunnel.received.length === 0);
    gate.resolve();
    await started;
    await ztunnel.has('snapshotSent');
    assert.deepEqual(
      ztunnel.log.filter((e) => e !== 'add u1').length + ztunnel.log.filter((e) => e === 'add u1').length,
      2,
    );
  });

  test('leaving: plain text for the app, peers are told, grace, capture ends, ztunnel is told, then the rest goes', async (t) => {
    const w = await World.running(t);
    const ztunnel = w.ztunnel();
    await w.pod('web', 'u1', 7);
    await w.announced('web', 'enabled');
    assert.equal(w.kernel.large.size, 1);
    await w.setMode('shop', null);
    await w.announced('web', undefined);
    await until('the grace runs', () => w.clock.nextIn === 1_000 || w.clock.timers >= 2);
    assert.equal(w.journal.at(-1), 'plaintext of u1 direct');
    assert.equal(ztunnel.log.includes('del u1'), false);
    w.clock.advance(1_000);
    await ztunnel.has('del u1');
    assert.equal(w.journal.at(-1), 'withdraw u1');
    await w.step('its connections have drained', () => w.kernel.held.size === 0);
    assert.equal(w.journal.at(-1), 'remove u1');
    assert.equal(w.kernel.large.size, 0);
  });

  test('a label that flips back and forth ends right, without a second add', async (t) => {
    const w = await World.running(t);
    const ztunnel = w.ztunnel();
    await ztunnel.has('snapshotSent');
    await w.pod('web', 'u1', 7);
    await w.announced('web', 'enabled');
    for (let i = 0; i < 20; i++) {
      await w.setMode('shop', null);
      await w.setMode('shop', 'ambient');
    }
    await w.setMode('shop', null);
    await w.announced('web', undefined);
    await w.setMode('shop', 'ambient');
    await w.announced('web', 'enabled');
    w.clock.advance(20_000);
    await w.announced('web', 'enabled');
    assert.deepEqual(
      ztunnel.log.filter((e) => e.endsWith('u1')),
      ['add u1'],
    );
    assert.equal(w.journal.includes('withdraw u1'), false);
    await w.setMode('shop', 'none');
    await w.step('it has left', () => w.kernel.held.size === 0);
    await w.setMode('shop', 'ambient');
    await w.announced('web', 'enabled');
    assert.deepEqual(
      ztunnel.log.filter((e) => e.endsWith('u1')),
      ['add u1', 'del u1', 'add u1'],
    );
  });

  test('a pod made anew under the same name and address inherits nothing', async (t) => {
    const w = await World.running(t);
    const ztunnel = w.ztunnel();
    await w.pod('web', 'u1', 7);
    await w.announced('web', 'enabled');
    await w.kube.delete(podKind, { namespace: 'shop', name: 'web' });
    w.kernel.depopulate('u1');
    ztunnel.onAdd = async () => 'no';
    await w.pod('web', 'u2', 8);
    await ztunnel.has('del u1');
    await ztunnel.has('add u2');
    await w.announced('web', 'pending');
    assert.match(await ztunnel.steer('u1'), /no pod|not in the mesh/);
    ztunnel.onAdd = (uid) => ztunnel.steer(uid);
    await w.step('the new one is in', () => w.capture.captured.get(8n as NetnsCookie) === 'u2');
    await w.announced('web', 'enabled');
    assert.equal(w.kernel.held.size, 1);
  });

  test('the annotation never lands on the successor of a pod', async (t) => {
    const w = await World.running(t);
    const ztunnel = w.ztunnel();
    await ztunnel.has('snapshotSent');
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<string>();
    ztunnel.onAdd = async (uid) => {
      if (uid !== 'u1') return 'not yet';
      await ztunnel.steer(uid);
      asked.resolve();
      return answer.promise;
    };
    await w.pod('web', 'u1', 7);
    await asked.promise;
    await w.kube.delete(podKind, { namespace: 'shop', name: 'web' });
    await w.pod('web', 'u2', 8);
    answer.resolve('');
    await ztunnel.has('del u1');
    await ztunnel.has('add u2');
    await w.announced('web', 'pending');
  });

  test('a pod whose last process ends is deleted at once; in a new sandbox it is enrolled anew', async (t) => {
    const w = await World.running(t);
    const ztunnel = w.ztunnel();
    await w.pod('web', 'u1', 7);
    await w.announced('web', 'enabled');
    w.kernel.depopulate('u1');
    await ztunnel.has('del u1');
    assert.equal(w.kernel.held.size, 0);
    await w.announced('web', 'pending');
    w.kernel.populate('u1', 'netns-9');
    await w.step('it is found again', () => w.capture.captured.has(9n as NetnsCookie));
    await w.announced('web', 'enabled');
    assert.equal(w.journal.includes('withdraw u1'), false);
  });

  test('a pod without processes is looked for again and again', async (t) => {
    const w = await World.running(t);
    w.ztunnel();
    await w.pod('web', 'u1', 7);
    w.kernel.depopulate('u1');
    await w.pod('late', 'u2', 8);
    w.kernel.depopulate('u2');
    await until('both wait', () => w.clock.timers >= 2);
    w.kernel.populate('u2', 'netns-8');
    await w.step('it is found', () => w.capture.captured.has(8n as NetnsCookie));
    await w.announced('late', 'enabled');
  });

  test('what ztunnel refuses is pending and tried again', async (t) => {
    const w = await World.running(t);
    const ztunnel = w.ztunnel();
    const answers = ['port in use', 'port in use', ''];
    ztunnel.onAdd = async (uid) => {
      const error = answers.shift()!;
      return error === '' ? ztunnel.steer(uid) : error;
    };
    await w.pod('web', 'u1', 7);
    await w.announced('web', 'pending');
    await w.step('the third try succeeds', () => answers.length === 0);
    await w.announced('web', 'enabled');
    assert.equal(ztunnel.closed, false);
  });

  test('an ack without steering, and a capture that fails, are no enrolment', async (t) => {
    const w = await World.running(t);
    const ztunnel = w.ztunnel();
    ztunnel.onAdd = async () => '';
    await w.pod('web', 'u1', 7);
    await w.announced('web', 'pending');
    w.capture.failWith = new MeshError('KERNEL', 'map is full');
    const refused: string[] = [];
    ztunnel.onAdd = async (uid) => {
      const error = await ztunnel.steer(uid);
      refused.push(error);
      return error;
    };
    await w.step('the agent asks again', () => refused.length > 0);
    assert.match(refused[0]!, /map is full/);
    w.capture.failWith = undefined;
    await w.step('capture stands', () => w.capture.captured.size === 1);
    await w.announced('web', 'enabled');
  });

  test('conflicting writers of the pod do not stop the announcement', async (t) => {
    const w = await World.running(t);
    w.ztunnel();
    w.kube.failPatches(...Array.from({ length: 5 }, () => new MeshError('CONFLICT', 'changed')));
    await w.pod('web', 'u1', 7);
    await w.announced('web', 'enabled');
  });

  test('a ztunnel that comes back gets everything again, and the announcement stays', async (t) => {
    const w = await World.running(t);
    const first = w.ztunnel();
    await w.pod('web', 'u1', 7);
    await w.announced('web', 'enabled');
    first.close();
    await until('it is gone', async () => /^ztunnel_connected 0$/m.test(await w.agent.metrics.registry.metrics()));
    await w.announced('web', 'enabled');
    const second = w.ztunnel();
    await second.has('snapshotSent');
    await until('captured anew', () => w.journal.filter((e) => e.startsWith('enrol u1')).length === 2);
    assert.deepEqual(second.log, ['add u1', 'snapshotSent']);
    await w.announced('web', 'enabled');
  });

  test('of two ztunnels the newer gets adds and steers, both get deletions', async (t) => {
    const w = await World.running(t);
    const older = w.ztunnel();
    await older.has('snapshotSent');
    await w.pod('web', 'u1', 7);
    await w.announced('web', 'enabled');
    const newer = w.ztunnel();
    await newer.has('snapshotSent');
    await w.pod('api', 'u2', 8, '10.0.0.2');
    await w.announced('api', 'enabled');
    assert.deepEqual(older.log, ['snapshotSent', 'add u1']);
    assert.deepEqual(newer.log, ['add u1', 'snapshotSent', 'add u2']);
    await w.kube.delete(podKind, { namespace: 'shop', name: 'web' });
    await older.has('del u1');
    await newer.has('del u1');
    newer.close();
    await older.has('add u2');
    assert.deepEqual(older.log.slice(2), ['del u1', 'add u2']);
  });

  test('silence for five seconds ends the connection, as hello and as answer', async (t) => {
    const w = new World(t);
    await w.namespace('shop', 'ambient');
    await w.pod('web', 'u1', 7);
    await w.agent.start();
    const mute = w.ztunnel('mute');
    await until('the agent waits for its hello', () => w.clock.timers >= 3);
    w.clock.advance(4_999);
    assert.equal(mute.closed, false);
    w.clock.advance(1);
    await until('it is closed', () => mute.closed);

    const stuck = w.ztunnel();
    stuck.onAdd = async () => 'silent';
    await stuck.has('add u1');
    w.clock.advance(5_000);
    await until('it is closed', () => stuck.closed);
    const healthy = w.ztunnel();
    await healthy.has('snapshotSent');
    await w.announced('web', 'enabled');
  });

  test('whatever ztunnel sends out of turn ends the connection', async (t) => {
    const w = new World(t);
    await w.agent.start();
    const packets: readonly [string, Uint8Array, Fd[]][] = [
      ['an ack that nothing asked for', encodeAck({ error: '' }), []],
      ['a second hello', encodeHello(), []],
      ['an oversized packet', new Uint8Array(2_000), []],
    ];
    for (const [what, packet, fds] of packets) {
      const ztunnel = w.ztunnel();
      await ztunnel.has('snapshotSent');
      ztunnel.zds.send(packet, fds);
      await until(`${what} closes it`, () => ztunnel.closed);
      w.clock.advance(1_000);
    }
    const withFd = w.ztunnel();
    await withFd.has('snapshotSent');
    const file = fd(openSync('/dev/null', 'r'));
    withFd.zds.send(encodeHello(), [file]);
    closeSync(file);
    await until('a descriptor closes it', () => withFd.closed);
    const wrongHello = w.ztunnel(Uint8Array.of(8, 2));
    await until('another version closes it', () => wrongHello.closed);
    const metrics = await w.agent.metrics.registry.metrics();
    assert.match(metrics, /^aquifer_cni_packets_refused_total\{socket="zds"\} 5$/m);
  });

  test('at most five connections are accepted in a second', async (t) => {
    const w = new World(t);
    await w.agent.start();
    const ztunnels = Array.from({ length: 7 }, () => w.ztunnel());
    const served = () => ztunnels.filter((z) => z.log.includes('snapshotSent')).length;
    await until('five are served', () => served() === 5);
    w.clock.advance(999);
    assert.equal(served(), 5);
    w.clock.advance(1);
    await until('the others follow', () => served() === 7);
  });

  test('wrong steering: unknown pod, wrong number of descriptors, no JSON', async (t) => {
    const w = new World(t);
    await w.agent.start();
    const ztunnel = w.ztunnel();
    assert.match(await ztunnel.steer('nobody'), /no pod of node n1 has UID nobody/);
    assert.equal(await ztunnel.steer('nobody', undefined, 3), 'closed');
    const raw = seqpacketConnect(`${w.zdsPath}.steer`);
    const closed = new Promise<void>((resolve) => raw.onClose(() => resolve()));
    raw.onPacket(() => undefined);
    raw.send(Uint8Array.of(1, 2, 3));
    await closed;
    assert.deepEqual(w.journal, []);
    const metrics = await w.agent.metrics.registry.metrics();
    assert.match(metrics, /^aquifer_cni_packets_refused_total\{socket="steering"\} 2$/m);
  });

  test('a new agent takes over what the last one left: nothing is withdrawn, nobody is announced anew', async (t) => {
    const w = await World.running(t);
    w.ztunnel();
    await w.pod('stays', 'u1', 7);
    await w.pod('leaves', 'u2', 8, '10.0.0.2');
    await w.announced('stays', 'enabled');
    await w.announced('leaves', 'enabled');
    w.agent.stop();
    assert.equal(w.kernel.held.size, 0, 'a stopped agent holds no namespace');
    assert.equal(w.capture.captured.size, 2);
    await w.kube.patch(
      podKind,
      { namespace: 'shop', name: 'leaves' },
      { metadata: { labels: { [dataplaneModeLabel]: 'none' } } },
    );
    w.journal.length = 0;
    await w.restartAgent();
    const ztunnel = w.ztunnel();
    await ztunnel.has('snapshotSent');
    assert.equal(ztunnel.log.includes('add u1') || ztunnel.log.includes('keep u1'), true);
    assert.equal(
      ztunnel.log.some((e) => e.endsWith('u2')),
      true,
      'a captured pod is not drained under its capture',
    );
    await w.announced('leaves', undefined);
    await w.step('it has left', () => !w.capture.captured.has(8n as NetnsCookie));
    await ztunnel.has('del u2');
    assert.equal(w.journal.includes('withdraw u1'), false);
    await w.announced('stays', 'enabled');
  });

  test('capture is as the pod wants it, also when it changes its mind; what is not understood is warned of once', async (t) => {
    const w = await World.running(t);
    await w.ztunnel().has('snapshotSent');
    const annotate = (name: string, value: string | null) => {
      const annotations = { [`ambient.istio.io/${name}`]: value };
      return w.kube.patch(podKind, { namespace: 'shop', name: 'web' }, { metadata: { annotations } });
    };
    await w.pod('web', 'u1', 7);
    await w.announced('web', 'enabled');
    await annotate('dns-capture', 'false');
    await until('DNS is left alone', () => w.journal.at(-1) === 'enrol u1 10.0.0.1,fd00::1 without DNS');
    await annotate('dns-capture', null);
    await until('DNS is captured', () => w.journal.at(-1) === 'enrol u1 10.0.0.1,fd00::1');
    assert.deepEqual(w.warnings, []);
    await annotate('bypass-inbound-capture', 'true');
    await until('plain text goes to the app', () => w.journal.at(-1)!.endsWith('fd00::1, plaintext direct'));
    await annotate('bypass-inbound-capture', 'yes');
    await until('the warning', () => w.warnings.length > 0);
    await annotate('dns-capture', 'false');
    await until('DNS is left alone again', () => w.journal.at(-1) === 'enrol u1 10.0.0.1,fd00::1 without DNS');
    assert.equal(w.warnings.length, 1);
    assert.match(w.warnings[0]!, /bypass-inbound-capture.*shop\/web/);
  });

  test('what changes between steering and ack is steered again', async (t) => {
    const w = await World.running(t);
    const ztunnel = w.ztunnel();
    await ztunnel.has('snapshotSent');
    ztunnel.onAdd = async (uid) => {
      const error = await ztunnel.steer(uid);
      const annotations = {
        'ambient.istio.io/dns-capture': 'false',
        'ambient.istio.io/bypass-inbound-capture': 'yes',
      };
      await w.kube.patch(podKind, { namespace: 'shop', name: 'web' }, { metadata: { annotations } });
      await until('the agent has seen it', () => w.warnings.length > 0);
      return error;
    };
    await w.pod('web', 'u1', 7);
    await w.announced('web', 'enabled');
    assert.deepEqual(w.journal, ['enrol u1 10.0.0.1,fd00::1', 'enrol u1 10.0.0.1,fd00::1 without DNS']);
  });

  test('a pod without addresses waits for them, and capture follows when they change', async (t) => {
    const w = await World.running(t);
    const ztunnel = w.ztunnel();
    await ztunnel.has('snapshotSent');
    const addresses = (...ips: string[]) =>
      w.kube.patch(
        podKind,
        { namespace: 'shop', name: 'web' },
        { status: { podIPs: ips.map((ip) => ({ ip })) } },
        { subresource: 'status' },
      );
    w.kernel.populate('u1', 'netns-7');
    await w.kube.create(podKind, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', namespace: 'shop', uid: 'u1' },
      spec: { containers: [], nodeName: 'n1' },
    });
    await until('it is seen', () => w.agent.pods.states().out === 1);
    assert.deepEqual(w.journal, []);
    await addresses('10.0.0.8');
    await w.announced('web', 'enabled');
    await addresses('10.0.0.8', 'fd00::8');
    await until('capture follows', () => w.journal.at(-1) === 'enrol u1 10.0.0.8,fd00::8');
  });
});
