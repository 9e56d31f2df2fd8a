/** Keys and authorities of Secrets through waypoints that istiod configured: a server that asks for a certificate gets it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { DestinationRule } from '../../common/kube/kinds/istio/destination-rule.ts';
import { createFakeCa } from '../../common/testing/fake-ca.ts';
import { until } from '../../common/testing/until.ts';
import { destinationRuleConditions } from '../../istiod/envoy/clusters/status.ts';
import { secretTypeUrl, servedTypes } from '../../istiod/envoy/types.ts';
import { objectsOf } from '../../istiod/model/testing/test-mesh.ts';
import { startEnvoyBed } from '../../istiod/testing/envoy-bed.ts';
import { waypointYaml } from '../../istiod/testing/manifests.ts';
import { TestCredentials } from '../../istiod/testing/test-credentials.ts';
import { verdicts } from './accepts.ts';
import { engines } from './followers.ts';
import { Caller } from './pair/caller.ts';

const mesh = (port: number) => `${waypointYaml()}---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: bank, labels: {istio.io/use-waypoint: waypoint}}
spec:
  hosts: [bank.example.com]
  addresses: [240.1.2.3]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: ${port}}]
  endpoints: [{address: 127.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: bank}
spec:
  host: bank.example.com
  trafficPolicy: {tls: {mode: MUTUAL, credentialName: bank, sni: bank.example.com, subjectAltNames: ["spiffe://bank/ns/shop/sa/teller"]}}
`;

for (const engine of engines) {
  test(`TLS by a Secret: renewed live, and nothing without it: ${engine.name}`, { skip: engine.skip }, async () => {
    const ca = await createFakeCa();
    const issue = async (serviceAccount: string) => {
      const { chain, privateKey } = await ca.issue({ trustDomain: 'bank', namespace: 'shop', serviceAccount });
      return { 'tls.crt': chain.join(''), 'tls.key': privateKey, 'ca.crt': ca.root };
    };
    const own = await issue('teller');
    const options = {
      cert: own['tls.crt'],
      key: own['tls.key'],
      ca: ca.root,
      requestCert: true,
      rejectUnauthorized: true,
    };
    const server = createServer(options, (q, s) => {
      const peer = (q.socket as TLSSocket).getPeerCertificate();
      s.setHeader('connection', 'close').end(peer.subjectaltname);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const credentials = new TestCredentials();
    credentials.readers.add('shop/waypoint');
    credentials.secrets.set('shop/bank', await issue('one'));
    const at = (server.address() as AddressInfo).port;
    const folder = mkdtempSync(join(tmpdir(), 'aq-credentials-'));
    using bed = await startEnvoyBed(mesh(at), { credentials });
    await using follower = await engine.follow(bed);
    try {
      assert.deepEqual(await verdicts(bed, servedTypes), []);
      using client = new Caller(await follower.port(), await follower.issue('client'));
      const ask = () => client.ask('240.1.2.3:80', { host: 'bank.example.com', path: '/' });
      const first = await ask();
      assert.deepEqual([first.status, first.body], [200, 'URI:spiffe://bank/ns/shop/sa/one']);

      credentials.secrets.set('shop/bank', await issue('two'));
      bed.looked('secret shop/bank');
      await until('the new certificate', async () => (await ask()).body === 'URI:spiffe://bank/ns/shop/sa/two');

      // Authorities of others: the server is not who it says.
      credentials.secrets.set('shop/bank-cacert', { 'ca.crt': (await createFakeCa()).root });
      bed.looked('secret shop/bank-cacert');
      await until('nobody is trusted', async () => (await ask()).status === 503);
      credentials.secrets.delete('shop/bank-cacert');
      bed.looked('secret shop/bank-cacert');
      await until('trusted again', async () => (await ask()).status === 200);

      credentials.readers.clear();
      bed.looked('reader shop/waypoint');
      await until('it may not any more', async () => (await ask()).status === 503);
      assert.deepEqual(await verdicts(bed, [secretTypeUrl]), []);

      // What the Secret has not, or has of somebody else.
      credentials.readers.add('shop/waypoint');
      bed.looked('reader shop/waypoint');
      const whole = await issue('three');
      const { 'tls.crt': chain, 'tls.key': key, 'ca.crt': roots } = whole;
      const wrong = [
        undefined,
        { 'tls.crt': chain, 'ca.crt': roots },
        { 'tls.crt': chain, 'tls.key': key },
        { ...whole, 'tls.key': own['tls.key'] },
        { ...whole, 'tls.crt': 'no certificate' },
        { ...whole, 'ca.crt': 'no certificate' },
      ];
      const rule = objectsOf(mesh(at)).at(-1) as unknown as DestinationRule;
      const put = (secret: Readonly<Record<string, string>> | undefined) => {
        if (secret === undefined) credentials.secrets.delete('shop/bank');
        else credentials.secrets.set('shop/bank', secret);
        bed.looked('secret shop/bank');
      };
      for (const secret of wrong) {
        put(secret);
        const said = bed.mesh.index.envoy.trace((view) => destinationRuleConditions(view, rule)).outcome;
        assert.equal(said.kind === 'made' && said.value.get('ResolvedRefs')?.reason, 'InvalidCertificateRef');
        put({ ...whole, 'ca.crl': await ca.revoke([]) });
        const again = bed.mesh.index.envoy.trace((view) => destinationRuleConditions(view, rule)).outcome;
        assert.equal(again.kind === 'made' && again.value.get('ResolvedRefs')?.status, 'True');
        await until('the whole Secret again', async () => (await ask()).body === 'URI:spiffe://bank/ns/shop/sa/three');
      }

      // Names of it, and of what is none of this namespace.
      for (const [name, status] of [
        ['kubernetes://bank', 200],
        ['pay/bank', 503],
        ['shop/bank', 200],
        ['a/b/c', 503],
      ] as const) {
        bed.apply(mesh(at).replace('credentialName: bank', `credentialName: ${name}`));
        await until(`${name}: ${status}`, async () => (await ask()).status === status);
      }

      // Files of its own.
      const files = { clientCertificate: chain, privateKey: key, caCertificates: roots, caCrl: await ca.revoke([]) };
      const named = Object.entries(files).map(([field, text]) => {
        writeFileSync(join(folder, field), text);
        return `${field}: ${join(folder, field)}`;
      });
      bed.apply(mesh(at).replace('credentialName: bank', named.join()));
      await until('files', async () => (await ask()).body === 'URI:spiffe://bank/ns/shop/sa/three');
      assert.deepEqual(await verdicts(bed, [secretTypeUrl]), []);
    } finally {
      server.close();
      rmSync(folder, { recursive: true });
    }
  });
}
