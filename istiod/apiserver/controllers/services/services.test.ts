import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startTestServer, type TestServer } from '../../testing/client.ts';
import { World } from '../testing/world.ts';

const base = '/api/v1/namespaces/default/services';

describe('addresses of services', () => {
  let server: TestServer;
  let world: World;
  before(async () => {
    server = await startTestServer();
    world = new World(server.client);
  });
  after(() => server[Symbol.asyncDispose]());

  const make = (name: string, spec: object = {}) =>
    world.create(base, { metadata: { name }, spec: { selector: { app: name }, ports: [{ port: 80 }], ...spec } });
  const refused = async (name: string, spec: object) => {
    const body = { metadata: { name }, spec: { ports: [{ port: 80 }], ...spec } };
    const { code, json } = await server.client.ask(base, { method: 'POST', body });
    assert.equal(code, 422, JSON.stringify(json));
    return json.message as string;
  };

  test('200 made at once have 200 addresses and node ports; a deletion gives both back', async () => {
    const names = Array.from({ length: 200 }, (_, i) => `many-${i}`);
    const made = await Promise.all(names.map((n) => make(n, { type: 'NodePort', ipFamilyPolicy: 'RequireDualStack' })));
    assert.equal(new Set(made.flatMap((s) => s.spec.clusterIPs)).size, 400);
    assert.equal(new Set(made.map((s) => s.spec.ports[0].nodePort)).size, 200);
    for (const { spec } of made) {
      assert.match(spec.clusterIP, /^10\.96\.\d+\.\d+$/);
      assert.match(spec.clusterIPs[1], /^fd00:10:96::/);
    }
    const { clusterIPs, ports } = made[0].spec;
    const again = { clusterIPs, type: 'NodePort', ports: [{ port: 80, nodePort: ports[0].nodePort }] };
    assert.match(await refused('taker', again), /provided IP is already allocated/);
    await world.delete(`${base}/many-0`);
    assert.deepEqual((await make('taker', again)).spec.clusterIPs, clusterIPs);
  });

  test('generated names made at once share nothing', async () => {
    const body = { metadata: { generateName: 'g-' }, spec: { ports: [{ port: 80 }] } };
    const made = await Promise.all(Array.from({ length: 20 }, () => world.create(base, body)));
    assert.equal(new Set(made.map((s) => s.spec.clusterIP)).size, 20);
  });

  test('what is asked for must be in the range; a dry run takes nothing', async () => {
    assert.match(await refused('far', { clusterIP: '192.0.2.1' }), /not in the valid range/);
    assert.match(
      await refused('far', { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] }),
      /valid range 30000-32767/,
    );
    const { code, json } = await server.client.ask(`${base}?dryRun=All`, {
      method: 'POST',
      body: { metadata: { name: 'dry' }, spec: { ports: [{ port: 80 }] } },
    });
    assert.equal(code, 201);
    assert.match(json.spec.clusterIP, /^10\.96\./);
    assert.equal((await make('wet', { clusterIP: json.spec.clusterIP })).spec.clusterIP, json.spec.clusterIP);
  });

  test('headless, external names, and changes between types', async () => {
    assert.deepEqual((await make('headless', { clusterIP: 'None' })).spec.clusterIPs, ['None']);
    const external = await make('ext', { type: 'ExternalName', externalName: 'a.example' });
    assert.equal(external.spec.clusterIP, undefined);
    const inside = await world.patch(`${base}/ext`, { spec: { type: 'ClusterIP', externalName: null } });
    assert.match(inside.spec.clusterIP, /^10\.96\./);
    const outside = await world.patch(`${base}/ext`, { spec: { type: 'NodePort' } });
    assert.ok(outside.spec.ports[0].nodePort >= 30_000);
    assert.equal(outside.spec.clusterIP, inside.spec.clusterIP);
    const dual = await world.patch(`${base}/ext`, { spec: { ipFamilyPolicy: 'PreferDualStack' } });
    assert.equal(dual.spec.clusterIPs.length, 2);
    assert.deepEqual(dual.spec.ipFamilies, ['IPv4', 'IPv6']);
  });

  test('addresses are known again after a restart', async () => {
    const old = await startTestServer();
    const first = new World(old.client);
    const body = { metadata: { name: 'kept' }, spec: { ports: [{ port: 80 }] } };
    const { spec } = await first.create(base, body);
    await old.server.stop();
    const next = await startTestServer(old.dataDir);
    const taker = { metadata: { name: 'taker' }, spec: { ports: [{ port: 80 }], clusterIP: spec.clusterIP } };
    const { json } = await next.client.ask(base, { method: 'POST', body: taker });
    assert.match(json.message, /already allocated/);
    await next[Symbol.asyncDispose]();
    await old[Symbol.asyncDispose]();
  });
});
