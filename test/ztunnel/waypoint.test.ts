/** Hops and addresses on demand with the real supervisor and its workers, in pods' namespaces. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { networkAddress, serves, service, waypoint } from '../../common/testing/builders.ts';
import { until } from '../../common/testing/until.ts';
import { skipUnless } from '../harness/require.ts';
import { address, Bed, call, echoService, pods, vip } from './bed.ts';

const guardedVip = '10.96.77.2';
const wpService = service({ name: 'wp', ports: [{ servicePort: 15_008, targetPort: 15_008 }] });
const guarded = service({
  name: 'guarded',
  addresses: [networkAddress(`/${guardedVip}`)],
  waypoint: waypoint(`default/${wpService.hostname}`),
});
/** Pod b is the waypoint of `guarded`, and an endpoint of `echo`. */
const b = { ...pods.b, services: new Map([...serves(echoService), ...serves(wpService, 15_008, 15_008)]) };
const mesh = [pods.a, b, echoService, wpService, guarded];
const needs = skipUnless('root', 'addon', 'program:nft', 'program:setpriv');

async function bedWith(env: Record<string, string>, known: Parameters<Bed['startZtunnel']>[1]): Promise<Bed> {
  const bed = await Bed.make();
  await bed.startZtunnel(env, known);
  assert.equal(await bed.add('a'), '');
  assert.equal(await bed.add('b'), '');
  assert.equal(await bed.agent.newest.ask({ kind: 'snapshotSent' }), '');
  await bed.ready();
  await bed.echo('b', 80);
  await bed.echo('b', 8080);
  return bed;
}

describe('a waypoint in front of a service', { skip: needs }, () => {
  let bed: Bed;
  before(async () => {
    bed = await bedWith({}, mesh);
  });
  after(() => bed.remove());

  test('it is asked for the VIP, and its own proxy lets that in', async () => {
    assert.equal(await bed.run('a', call, guardedVip, '80'), `peer ${address.a} hello\n`);
    const metrics = await bed.get('metrics', '/metrics');
    const opened = metrics.split('\n').filter((l) => l.startsWith('istio_tcp_connections_opened_total'));
    const outbound = opened.find(
      (l) => l.includes('reporter="source"') && l.includes('destination_service_name="guarded"'),
    );
    assert.match(outbound ?? '', /destination_principal="spiffe:\/\/cluster.local\/ns\/default\/sa\/b"/);
  });

  test('one that the mesh does not know lets nothing pass, not even to a pod that would answer', async () => {
    bed.controlPlane.push([{ ...guarded, waypoint: waypoint('default/nowhere') }], []);
    await until('the refusal', async () => !/hello/.test(await bed.run('a', call, guardedVip, '80')));
    assert.equal(await bed.run('a', call, vip, '80'), `peer ${address.a} hello\n`);
  });
});

describe('addresses on demand', { skip: needs }, () => {
  let bed: Bed;
  before(async () => {
    bed = await bedWith({ XDS_ON_DEMAND: 'true', ISTIO_META_DNS_CAPTURE: 'false' }, [pods.a, b]);
  });
  after(() => bed.remove());

  test('a call waits for the address that it needs, and for the waypoint behind it', async () => {
    const asked = bed.controlPlane.answerOnDemand(mesh);
    assert.equal(await bed.run('a', call, vip, '80'), `peer ${address.a} hello\n`);
    assert.ok(asked.includes(`/${vip}`), asked.join());
    assert.equal(await bed.run('a', call, guardedVip, '80'), `peer ${address.a} hello\n`);
    for (const name of [`/${guardedVip}`, `default/${wpService.hostname}`])
      assert.ok(asked.includes(name), asked.join());
  });
});
