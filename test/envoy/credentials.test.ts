/** Keys and authorities of Secrets through waypoints that istiod configured: a server that asks for a certificate gets it. */
import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { createFakeCa } from '../../common/testing/fake-ca.ts';
import { until } from '../../common/testing/until.ts';
import { secretTypeUrl, servedTypes } from '../../istiod/envoy/types.ts';
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
    using bed = await startEnvoyBed(mesh((server.address() as AddressInfo).port), { credentials });
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
    } finally {
      server.close();
    }
  });
}
