/** Debug pages by HTTP and by xDS, as istioctl asks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import {
  addressTypeUrl,
  clientConfigMessage,
  type Encodable,
  type PbDiscoveryRequest,
  type PbDiscoveryResponse,
  stateAdsService,
} from '../../common/api/index.ts';
import { profileType } from '../../common/telemetry/pprof.ts';
import { until } from '../../common/testing/until.ts';
import { EnvoyClient } from '../testing/envoy-bed.ts';
import { bearer, type World, withWorld, XdsClient } from '../testing/world.ts';

const connect = (w: World) => new XdsClient(w, w.istiod.ports.grpc, credentials.createInsecure());

async function page(w: World, name: string) {
  const answer = await fetch(`http://127.0.0.1:${w.istiod.ports.monitoring}/debug/${name}`);
  const body = Buffer.from(await answer.arrayBuffer());
  const text = body.toString();
  return { code: answer.status, body, text, json: () => JSON.parse(text) };
}

/** Asks as istioctl does, with a nonce that is not ours. */
function ask(w: World, request: Encodable<PbDiscoveryRequest>, metadata?: Metadata) {
  const port = metadata === undefined ? w.istiod.ports.grpc : w.istiod.ports.secureGrpc;
  const client = new Client(`localhost:${port}`, metadata === undefined ? credentials.createInsecure() : w.tls());
  const { StreamAggregatedResources: m } = stateAdsService;
  const stream = client.makeBidiStreamRequest(
    m.path,
    m.requestSerialize,
    m.responseDeserialize,
    metadata ?? new Metadata(),
  );
  w.onEnd(() => client.close());
  return new Promise<PbDiscoveryResponse | ServiceError>((resolve) => {
    stream.on('data', (r: PbDiscoveryResponse) => {
      resolve(r);
      stream.cancel();
    });
    stream.on('error', (e: ServiceError) => resolve(e));
    stream.write({ node: { id: 'sidecar~0.0.0.0~istioctl~x' }, responseNonce: 'now', ...request });
  });
}

test('pages tell of clients, and can disconnect them', () =>
  withWorld(async (w) => {
    await w.pod({ name: 'a', ip: '10.244.1.5' });
    const c = await connect(w).subscribe().firstAnswers();
    await until('the pod', () => c.addresses.size === 1);
    const names: string[] = (await page(w, 'list')).json();
    for (const name of names.filter((n) => n !== 'force_disconnect' && n !== 'config_dump')) {
      assert.equal((await page(w, name)).code, 200, name);
    }
    await until('its answers', async () => {
      const [row] = (await page(w, 'syncz')).json();
      assert.deepEqual([row.proxy, row.proxy_type], ['zt.istio-system', 'ztunnel']);
      return row.resources[addressTypeUrl].sent === row.resources[addressTypeUrl].acked;
    });
    assert.equal((await page(w, 'adsz')).json().totalClients, 1);
    assert.match((await page(w, 'ambientz')).text, /"10\.244\.1\.5"/);
    assert.match((await page(w, 'config_dump?proxyID=zt.istio-system')).text, /Kubernetes\/\/Pod\/default\/a/);
    const none = await page(w, 'config_dump?proxyID=nobody');
    assert.deepEqual([none.code, /not connected to this Pilot/.test(none.text)], [404, true]);
    assert.equal((await page(w, 'force_disconnect?proxyID=zt.istio-system')).text, 'OK\n');
    await until('the end', () => c.status?.code === status.UNAVAILABLE);
  }));

test('pages of one proxy show what its namespace sees, and what it refused', () =>
  withWorld(async (w) => {
    await w.put(
      'mesh.yaml',
      ['istio-system', 'shop']
        .map(
          (namespace) => `
apiVersion: v1
kind: Namespace
metadata: {name: ${namespace}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: own, namespace: ${namespace}}
spec: {hosts: [${namespace}.example.com], addresses: [192.0.2.7], exportTo: ["."], resolution: STATIC, ports: [{number: 80, name: http}]}`,
        )
        .join('\n---'),
    );
    const c = connect(w);
    c.refuse = (r) => (r.typeUrl === addressTypeUrl ? 'shop/shop.example.com: ugly' : undefined);
    await c.subscribe().firstAnswers();
    await until('the refusal', async () =>
      JSON.stringify((await page(w, 'push_status')).json().rejected).includes('ugly'),
    );
    const query = '?proxyID=zt.istio-system';
    assert.deepEqual((await page(w, `sidecarz${query}`)).json(), ['istio-system/istio-system.example.com']);
    const { table } = (await page(w, `ndsz${query}`)).json();
    assert.deepEqual(table['istio-system.example.com'].ips, ['192.0.2.7']);
    assert.equal((await page(w, `edsz${query}`)).json().length, 1);
    assert.equal((await page(w, 'edsz')).json().length, 2);
    assert.equal((await page(w, 'cachez')).json()[addressTypeUrl].resources, 2);
    assert.equal((await page(w, 'ndsz?proxyID=nobody')).code, 404);
    const { 'zt.istio-system': instances } = (await page(w, 'instancesz')).json();
    assert.ok(Array.isArray(instances));
    assert.ok(
      (await page(w, 'resourcesz')).json().some((k: { readonly kind: string }) => k.kind === 'DestinationRule'),
    );
    assert.deepEqual((await page(w, 'mcsz')).json(), []);
    assert.deepEqual((await page(w, 'telemetryz')).json(), { telemetries: {} });
  }));

test('profiles are in the form of pprof', () =>
  withWorld(async (w) => {
    for (const [kind, measure] of [
      ['profile', 'cpu'],
      ['heap', 'inuse_space'],
    ]) {
      const { code, body } = await page(w, `pprof/${kind}?seconds=1`);
      assert.equal(code, 200, body.toString());
      const { stringTable } = profileType.toObject(profileType.decode(gunzipSync(body)), { arrays: true });
      assert.ok(stringTable.includes(measure), String(stringTable));
    }
    assert.equal((await page(w, 'pprof/profile?seconds=0')).code, 400);
    assert.equal((await page(w, 'pprof/trace')).code, 404);
  }));

test('of a waypoint they show what it was told', () =>
  withWorld(async (w) => {
    using _ = await new EnvoyClient(w.istiod.ports.grpc!).settled();
    const [row] = (await page(w, 'syncz')).json();
    assert.deepEqual([row.proxy, row.proxy_type], ['waypoint-0.shop', 'waypoint']);
    const { configs } = (await page(w, 'config_dump?proxyID=waypoint-0.shop')).json();
    const named = configs.map((c: { readonly resources: readonly { readonly name: string }[] }) =>
      c.resources.map((r) => r.name),
    );
    assert.deepEqual(named, [
      ['main_internal', 'encap', 'connect_originate'],
      ['connect_terminate', 'connect_originate', 'main_internal'],
    ]);
  }));

test('istioctl is answered by xDS: proxy-status, and any page', () =>
  withWorld(async (w) => {
    await connect(w).subscribe().firstAnswers();
    const synced = await ask(w, { typeUrl: 'istio.io/debug/syncz' });
    assert.ok(!(synced instanceof Error), String(synced));
    assert.equal(JSON.parse(synced.controlPlane!.identifier).Component, 'istiod');
    const config = clientConfigMessage.decode(synced.resources[0]!.value);
    assert.equal(config.node?.id, 'zt.istio-system');
    assert.equal(config.genericXdsConfigs.length, 2);
    const list = await ask(w, { typeUrl: 'istio.io/debug', resourceNames: ['adsz?proxyID=zt'] });
    assert.ok(!(list instanceof Error), String(list));
    assert.equal(JSON.parse(Buffer.from(list.resources[0]!.value).toString()).totalClients, 1);
    const unknown = await ask(w, { typeUrl: 'istio.io/debug', resourceNames: ['nothing'] });
    assert.ok(unknown instanceof Error && unknown.code === status.NOT_FOUND);
  }));

test('only accounts of the namespace of istiod see them by TLS', () =>
  withWorld(async (w) => {
    const request = { typeUrl: 'istio.io/debug/syncz' };
    const own = await ask(w, request, bearer(await w.token()));
    assert.ok(!(own instanceof Error), String(own));
    const foreign = await ask(w, request, bearer(await w.token({ namespace: 'shop', serviceAccount: 'web' })));
    assert.ok(foreign instanceof Error && foreign.code === status.PERMISSION_DENIED, String(foreign));
  }));
