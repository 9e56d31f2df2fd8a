/** The admin server of a proxy that serves pods: what it tells, and what it does when it is asked to. */
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { profileType } from '../../common/telemetry/pprof.ts';
import { until } from '../../common/testing/until.ts';
import { skipUnless } from '../harness/require.ts';
import { address, Bed, pods, vip } from './bed.ts';

/** Known by a file, besides what istiod says. */
const localMesh = `
workloads:
- {uid: local, name: local, namespace: default, workloadIps: ["10.77.1.9"], services: {}}
policies:
- {name: local, namespace: default, scope: WorkloadSelector, action: Deny, dryRun: false, rules: [[[{principals: [!Exact x]}]]]}
`;

/** Holds a connection open and says when data came and when it ended. */
const hold = `
const s = require('node:net').connect({ host: process.argv[1], port: 80 });
s.on('data', () => console.log('data')); s.on('error', () => {}); s.on('close', () => console.log('closed'));`;

describe('admin server', { skip: skipUnless('root', 'addon', 'program:nft', 'program:setpriv') }, () => {
  let bed: Bed;
  let held: AsyncIterator<string>;
  before(async () => {
    bed = await Bed.make();
    await bed.startZtunnel({ LOCAL_XDS: localMesh, CONNECTION_TERMINATION_DEADLINE: '1s', AQUIFER_WORKERS: '2' });
    for (const pod of ['a', 'b'] as const) assert.equal(await bed.add(pod), '');
    assert.equal(await bed.agent.newest.ask({ kind: 'snapshotSent' }), '');
    await bed.ready();
    await bed.echo('b', 8080);
    held = createInterface(bed.node('a', hold, vip).stdout!)[Symbol.asyncIterator]();
    assert.equal((await held.next()).value, 'data');
  });
  after(() => bed.remove());

  test('config_dump has what both workers know and the supervisor holds', async () => {
    const dump = JSON.parse(await bed.get('admin', '/config_dump'));
    const uids = dump.workloads.map((w: { uid: string }) => w.uid);
    assert.deepEqual(uids.toSorted(), ['local', pods.a.uid, pods.b.uid].toSorted());
    assert.deepEqual(dump.services[0].vips, [`/${vip}`]);
    assert.deepEqual(Object.keys(dump.services[0].endpoints), [pods.b.uid]);
    assert.deepEqual(
      dump.policies.map((p: { name: string }) => p.name),
      ['local'],
    );
    assert.deepEqual(
      dump.staticConfig.workloads.map((w: { uid: string }) => w.uid),
      ['local'],
    );
    assert.equal(dump.config.proxyMode, 'Shared');
    assert.match(dump.version.version, /^\d/);
    const states = dump.certificates.map((c: { identity: string; state: string }) => [c.identity, c.state]);
    assert.deepEqual(states, [
      ['spiffe://cluster.local/ns/default/sa/a', 'Available'],
      ['spiffe://cluster.local/ns/default/sa/b', 'Available'],
    ]);
    assert.equal(dump.certificates[0].rootCerts.length, 1);
    const { 'uid-a': a, 'uid-b': b } = dump.workloadState;
    assert.deepEqual([a.state, a.info.name, b.state], ['Up', 'a', 'Up']);
    assert.equal(a.connections.outbound.length, 1);
    const [out] = a.connections.outbound;
    assert.deepEqual([out.originalDst, out.actualDst, out.protocol], [`${vip}:80`, `${address.b}:15008`, 'HBONE']);
    const [into] = b.connections.inbound;
    assert.deepEqual([into.actualDst, into.protocol], [`${address.b}:8080`, 'HBONE']);
    assert.doesNotMatch(JSON.stringify(dump), /PRIVATE KEY/);
  });

  test('log levels change in supervisor and workers, by target, and are reset', async () => {
    const post = async (query: string) => {
      const response = await fetch(`http://127.0.0.1:${bed.supervisor.ports.admin}/logging${query}`, {
        method: 'POST',
      });
      return [response.status, await response.text()];
    };
    assert.deepEqual(await post('?level=warn,ztunnel::access=debug'), [
      200,
      'current log level is warn,access=debug\n',
    ]);
    assert.deepEqual(await post('?level=loud'), [
      400,
      'log level "loud" does not exist; use off, error, warn, info, debug or trace\n',
    ]);
    assert.deepEqual(await post('?reset'), [200, 'current log level is info\n']);
    assert.equal(await bed.get('admin', '/logging'), 'current log level is info\n');
  });

  test('a CPU profile of the workers is in the form of pprof', async () => {
    const path = '/debug/pprof/profile?seconds=1&frequency=500';
    const response = await fetch(`http://127.0.0.1:${bed.supervisor.ports.admin}${path}`);
    const profile = profileType.decode(gunzipSync(Buffer.from(await response.arrayBuffer())));
    const { stringTable } = profile as unknown as { readonly stringTable: readonly string[] };
    assert.deepEqual(stringTable.slice(0, 3), ['', 'samples', 'count']);
  });

  test('draining makes the node not ready, ends connections by the deadline, and keeps the process', async () => {
    const response = await fetch(`http://127.0.0.1:${bed.supervisor.ports.admin}/drain`, { method: 'POST' });
    assert.equal(await response.text(), 'draining\n');
    await until('the end of readiness', async () => /shutdown/.test(await bed.get('readiness', '/healthz/ready')));
    assert.equal((await held.next()).value, 'closed');
    await until('the end of the workers', () => bed.supervisor.workerPids().length === 0);
    assert.match(await bed.get('admin', '/'), /config_dump/);
    assert.deepEqual(JSON.parse(await bed.get('admin', '/config_dump')).workloadState, {});
  });
});
