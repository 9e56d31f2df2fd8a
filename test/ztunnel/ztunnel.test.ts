/** The node proxy as it runs on a node: supervisor, workers without capabilities, pods' namespaces, redirected traffic. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { groups, match, policy } from '../../common/testing/builders.ts';
import { until } from '../../common/testing/until.ts';
import { skipUnless } from '../harness/require.ts';
import { address, Bed, burst, call, echoService, pods, vip } from './bed.ts';

describe('ztunnel in pods', { skip: skipUnless('root', 'addon', 'program:nft', 'program:setpriv') }, () => {
  let bed: Bed;
  before(async () => {
    bed = await Bed.make();
    await bed.startZtunnel();
    assert.equal(await bed.add('a'), '');
    assert.equal(await bed.add('b'), '');
    assert.equal(await bed.agent.newest.ask({ kind: 'snapshotSent' }), '');
    await bed.ready();
    await bed.echo('b', 8080);
  });
  after(() => bed.remove());

  test('a worker is another user, has no capability and cannot get one', () => {
    const [pid] = bed.supervisor.workerPids();
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
      assert.match(status, new RegExp(`${set}:\\s+0000000000000000\\n`));
    }
    assert.match(status, /NoNewPrivs:\s+1\n/);
    const reason = bed.lines.find((line) => line.includes('workers keep the user')) ?? '';
    const uid = reason === '' ? 1337 : 0;
    assert.match(status, new RegExp(`^Uid:(\\s+${uid}){4}\n`, 'm'), reason);
    // The group is taken wherever ztunnel may change it.
    const gid = /capability \w+ is missing/.test(reason) ? 0 : 1337;
    assert.match(status, new RegExp(`^Gid:(\\s+${gid}){4}\n`, 'm'), reason);
    if (uid !== 0) assert.match(status, /^Groups:\s*\n/m);
  });

  test('a call to a service and one to a pod arrive, from the address of the client', async () => {
    assert.equal(await bed.run('a', call, vip, '80'), `peer ${address.a} hello\n`);
    assert.equal(await bed.run('a', call, address.b, '8080'), `peer ${address.a} hello\n`);
    const metrics = await bed.get('metrics', '/metrics');
    assert.match(metrics, /istio_tcp_connections_opened_total\{[^}]*reporter="destination"[^}]*mutual_tls/);
    assert.match(metrics, /source_principal="spiffe:\/\/cluster.local\/ns\/default\/sa\/a"/);
    assert.match(metrics, /workload_manager_active_proxy_count 2/);
  });

  test('a closed port of the app is refused', async () => {
    assert.match(await bed.run('a', call, address.b, '8081'), /ECONNRESET|ECONNREFUSED|^\s*$/);
  });

  test('the capture ports answer nobody', async () => {
    for (const port of ['15001', '15006']) {
      assert.match(await bed.run('a', call, '127.0.0.1', port), /ECONNRESET|ECONNREFUSED|^\s*$/, port);
      assert.match(await bed.run('a', call, address.b, port), /ECONNRESET|ECONNREFUSED|^\s*$/, port);
    }
    assert.equal(await bed.run('a', call, vip, '80'), `peer ${address.a} hello\n`);
  });

  test('1,000 connections at once all arrive', async () => {
    assert.equal(await bed.run('a', burst, vip, '80', '1000'), 'bad 0\n');
  });

  test('names of the mesh are answered from the store', async () => {
    const lookup = `
      const dns = new (require('node:dns').promises.Resolver)();
      dns.setServers(['192.0.2.53']);
      dns.resolve4('echo.default.svc.cluster.local').then((r) => console.log(r.join()), (e) => console.log(e.code));`;
    assert.equal(await bed.run('a', lookup), `${vip}\n`);
  });

  test('a policy that is pushed refuses new connections and closes open ones', async () => {
    const open = bed.node(
      'a',
      `const s = require('node:net').connect({ host: process.argv[1], port: 80 });
       s.on('data', () => console.log('data')); s.on('error', () => {}); s.on('close', () => console.log('closed'));`,
      vip,
    );
    const lines = createInterface(open.stdout!)[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'data');
    const denial = policy({
      name: 'deny-a',
      action: 'DENY',
      groups: groups(match({ serviceAccounts: [{ namespace: 'default', serviceAccount: 'a' }] })),
    });
    bed.controlPlane.push([], [denial]);
    assert.equal((await lines.next()).value, 'closed');
    assert.doesNotMatch(await bed.run('a', call, vip, '80'), /hello/);
    const withdrawn = /^aquifer_connections_withdrawn_total \d+$/m.exec(await bed.get('metrics', '/metrics'))?.[0];
    assert.equal(withdrawn, 'aquifer_connections_withdrawn_total 1');
    bed.controlPlane.push([], [{ ...denial, groups: [] }]);
    await until('the call to be allowed again', async () => /hello/.test(await bed.run('a', call, vip, '80')));
  });

  test('a worker that is killed is replaced; connections that come meanwhile wait and are served', async () => {
    const [pid] = bed.supervisor.workerPids();
    process.kill(pid!, 'SIGKILL');
    await until('another worker', () => {
      const [now] = bed.supervisor.workerPids();
      return now !== undefined && now !== pid;
    });
    const waiting = bed.run('a', call, vip, '80');
    await bed.controlPlane.tell([pods.a, pods.b, echoService]);
    assert.equal(await waiting, `peer ${address.a} hello\n`);
    await bed.ready();
  });

  test('while the agent is away traffic goes on, and the same pods come back without a change', async () => {
    bed.agent.newest.hangUp();
    assert.equal(await bed.run('a', call, vip, '80'), `peer ${address.a} hello\n`);
    await bed.agent.connected(2);
    assert.equal(await bed.add('a'), '');
    assert.equal(await bed.agent.newest.ask({ kind: 'keep', uid: 'uid-b' }), '');
    assert.equal(await bed.agent.newest.ask({ kind: 'snapshotSent' }), '');
    await bed.ready();
    assert.equal(await bed.run('a', call, vip, '80'), `peer ${address.a} hello\n`);
  });

  test('a pod that is deleted is served no more', async () => {
    assert.equal(await bed.agent.newest.ask({ kind: 'del', uid: 'uid-a' }), '');
    await until('the listener to be gone', async () => /ECONNREFUSED/.test(await bed.run('a', call, vip, '80')));
    assert.match(await bed.get('metrics', '/metrics'), /workload_manager_proxies_stopped_total 1/);
  });
});
