/** Several istiods on one API server, which comes and goes. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { parseListenAddress } from '../common/config/listen-address.ts';
import { configMapKind } from '../common/kube/kinds/core.ts';
import { freePort } from '../common/testing/free-port.ts';
import { until } from '../common/testing/until.ts';
import { trustBundleKind, trustBundleName } from './ca/publish/trust-bundle.ts';
import { type Cluster, type Replica, withCluster } from './testing/cluster.ts';
import { bearer, sign, XdsClient } from './testing/world.ts';

const web = 'spiffe://cluster.local/ns/shop/sa/web';
const rootIn = async (c: Cluster, namespace: string) =>
  (await c.kube.get(configMapKind, { namespace, name: 'istio-ca-root-cert' }))?.data?.['root-cert.pem'];

async function ztunnel(c: Cluster): Promise<{ uid: string; token: string }> {
  const uid = await c.pod('zt', 'istio-system/ztunnel', 'node-1');
  return { uid, token: await c.token('istio-system/ztunnel', { name: 'zt', uid }) };
}

async function signed(r: Replica, token: string): Promise<string> {
  return until('a certificate', async () => {
    const chain = await sign(r, { metadata: bearer(token), impersonate: web });
    if (chain instanceof Error) throw chain;
    return chain[0];
  });
}

test('replicas share one root; what one does goes on when it is gone, and its clients are served by the other', () =>
  withCluster(async (c) => {
    const [a, b] = await Promise.all([c.start(), c.start()]);
    assert.equal(a.istiod.rootCertificate, b.istiod.rootCertificate);
    assert.equal(
      new X509Certificate(a.istiod.rootCertificate).checkIssued(new X509Certificate(b.istiod.rootCertificate)),
      true,
    );
    const bundle = () => c.kube.get(trustBundleKind('v1'), { name: trustBundleName });
    await until('the bundle', async () => (await bundle())?.spec?.trustBundle === a.istiod.rootCertificate);
    await c.namespace('shop');
    await until('the root', async () => (await rootIn(c, 'shop')) === a.istiod.rootCertificate);
    const { token } = await ztunnel(c);
    await c.pod('web', 'shop/web', 'node-1', { ip: '10.1.0.5', captured: true });
    for (const r of [a, b]) {
      const leaf = new X509Certificate(await signed(r, token));
      assert.ok(leaf.verify(new X509Certificate(b.istiod.rootCertificate).publicKey));
    }
    const leads = (r: Replica) =>
      r.lines.filter((l) => /\tleads .*lease="?aquifer-istiod-leader"?( |$)/.test(l)).length;
    assert.equal(leads(a) + leads(b), 1);
    const [first, second] = leads(a) === 1 ? [a, b] : [b, a];
    const client = new XdsClient(first, first.istiod.ports.secureGrpc, first.tls(), bearer(token)).subscribe();
    await client.firstAnswers();
    await until('the pod', () => client.addresses.size > 0);
    const { versions } = client;
    await first.stop();
    await until('the end of the stream', () => client.status);
    const again = new XdsClient(second, second.istiod.ports.secureGrpc, second.tls(), bearer(token));
    await again.subscribe({}, versions).firstAnswers();
    assert.equal(again.responses.flatMap((r) => [...r.resources, ...r.removedResources]).length, 0);
    // The other one leads now, since the first gave its lease back.
    await c.namespace('later');
    await until('the root in a later namespace', async () => (await rootIn(c, 'later')) === b.istiod.rootCertificate);
    await c.kube.patch(
      configMapKind,
      { namespace: 'later', name: 'istio-ca-root-cert' },
      { data: { 'root-cert.pem': 'x' } },
    );
    await until('its repair', async () => (await rootIn(c, 'later')) === b.istiod.rootCertificate);
  }));

test('with the API server away new node proxies get the mesh and certificates, and nobody else does', () =>
  withCluster(async (c) => {
    const r = await c.start();
    await c.namespace('shop');
    const { uid, token } = await ztunnel(c);
    await c.pod('web', 'shop/web', 'node-1', { ip: '10.1.0.5', captured: true });
    const gone = await c.pod('gone', 'istio-system/ztunnel', 'node-1');
    const ofGone = await c.token('istio-system/ztunnel', { name: 'gone', uid: gone });
    const elsewhere = await c.token('istio-system/ztunnel', { name: 'zt', uid }, 'elsewhere');
    await signed(r, token);
    const known = async () =>
      ((await sign(r, { metadata: bearer(ofGone), impersonate: web })) as { code?: status }).code === undefined;
    await until('the second pod to be known', known);
    await c.api.client.ask('/api/v1/namespaces/istio-system/pods/gone?gracePeriodSeconds=0', { method: 'DELETE' });
    await until('its end to be known', async () => !(await known()));
    await until('the keys', () => r.proxy.requests.some((q) => q.includes('/openid/v1/jwks')));
    c.away(true);
    const newcomer = new XdsClient(r, r.istiod.ports.secureGrpc, r.tls(), bearer(token)).subscribe();
    await newcomer.firstAnswers();
    await until('the pod', () =>
      [...newcomer.addresses.values()].some((a) => a.kind === 'workload' && a.name === 'web'),
    );
    await signed(r, token);
    for (const bad of [ofGone, elsewhere, `${token.slice(0, -8)}AAAAAAAA`]) {
      const answer = await sign(r, { metadata: bearer(bad), impersonate: web });
      assert.ok(answer instanceof Error && answer.code === status.UNAUTHENTICATED);
    }
    const ready = await fetch(`http://127.0.0.1:${r.istiod.ports.monitoring}/ready`);
    assert.equal(ready.status, 200);
    c.away(false);
    await c.pod('later', 'shop/web', 'node-1', { ip: '10.1.0.6', captured: true });
    await until('what came since', () =>
      [...newcomer.addresses.values()].some((a) => a.kind === 'workload' && a.name === 'later'),
    );
  }));

test('a start without the API server waits for it, and says so', () =>
  withCluster(async (c) => {
    c.away(true);
    const port = await freePort();
    const starting = c.start({}, { monitoring: parseListenAddress(`127.0.0.1:${port}`) });
    const ready = () => fetch(`http://127.0.0.1:${port}/ready`);
    const before = await until('the reason', async () => {
      const answer = await ready();
      const text = await answer.text();
      return text.includes('waiting for the API server') && answer;
    });
    assert.equal(before.status, 503);
    c.away(false);
    await starting;
    assert.equal((await ready()).status, 200);
  }));
