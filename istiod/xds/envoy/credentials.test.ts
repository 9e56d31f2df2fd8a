/** Secrets that TLS settings name: who gets them, and what goes where nobody does. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { DestinationRule } from '../../../common/kube/kinds/istio/destination-rule.ts';
import { createFakeCa, type FakeCa } from '../../../common/testing/fake-ca.ts';
import { until } from '../../../common/testing/until.ts';
import { destinationRuleConditions } from '../../envoy/clusters/status.ts';
import { clusterTypeUrl, listenerTypeUrl, secretTypeUrl } from '../../envoy/types.ts';
import { objectsOf } from '../../model/testing/test-mesh.ts';
import { EnvoyClient, startEnvoyBed } from '../../testing/envoy-bed.ts';
import { waypointYaml } from '../../testing/manifests.ts';
import { TestCredentials } from '../../testing/test-credentials.ts';

const mesh = `${waypointYaml()}---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: bank, labels: {istio.io/use-waypoint: waypoint}}
spec: {hosts: [bank.example.com], addresses: [240.0.0.1], ports: [{number: 80, name: http, protocol: HTTP, targetPort: 443}], resolution: DNS}
`;
const rule = (mode: string, more = '') => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: bank}
spec: {host: bank.example.com, trafficPolicy: {tls: {mode: ${mode}, credentialName: bank${more}}}}
`;
const cluster = 'inbound-vip|80|http|bank.example.com';

describe('credentialName', () => {
  let ca: FakeCa;
  let pair: Readonly<Record<string, string>>;
  before(async () => {
    ca = await createFakeCa();
    const { chain, privateKey } = await ca.issue({ trustDomain: 'td', namespace: 'shop', serviceAccount: 'a' });
    pair = { 'tls.crt': chain.join(''), 'tls.key': privateKey, 'ca.crt': ca.root };
  });
  const all = () => {
    const credentials = new TestCredentials();
    credentials.secrets.set('shop/bank', pair);
    credentials.readers.add('shop/waypoint');
    return credentials;
  };
  const typeOf = (client: EnvoyClient) => client.get(clusterTypeUrl, cluster)?.['type'];
  const secretsOf = (client: EnvoyClient) => client.names(secretTypeUrl);

  test('certificate, key and authorities come to a proxy whose account may list Secrets', async () => {
    const credentials = all();
    using bed = await startEnvoyBed(`${mesh}---${rule('MUTUAL')}`, { credentials });
    using client = await new EnvoyClient(bed.port).settled();
    await until('both', () => secretsOf(client).length === 2);
    assert.deepEqual(secretsOf(client), ['kubernetes://bank', 'kubernetes://bank-cacert']);
    const made = client.get(secretTypeUrl, 'kubernetes://bank') as unknown as {
      readonly tls_certificate: { readonly private_key: { readonly inline_bytes: Uint8Array } };
    };
    assert.equal(String(Buffer.from(made.tls_certificate.private_key.inline_bytes)), pair['tls.key']);

    const before = client.responses.length;
    const { chain, privateKey } = await ca.issue({ trustDomain: 'td', namespace: 'shop', serviceAccount: 'b' });
    credentials.secrets.set('shop/bank', { ...pair, 'tls.crt': chain.join(''), 'tls.key': privateKey });
    bed.looked('secret shop/bank');
    await until('the new key', () => client.responses.length > before);
    // What is no pair stays with the proxies as it was.
    credentials.secrets.set('shop/bank', { ...pair, 'tls.key': privateKey });
    bed.looked('secret shop/bank');
    bed.apply(rule('MUTUAL', ', sni: now'));
    await until('the rule', () => JSON.stringify(client.get(clusterTypeUrl, cluster)).includes('"now"'));
    const types = client.responses.slice(before).map((r) => r.typeUrl.split('.').at(-1));
    assert.deepEqual(types, ['Secret', 'Cluster']);

    credentials.readers.clear();
    bed.looked('reader shop/waypoint');
    await until('they are gone', () => secretsOf(client).length === 0);
    assert.equal(typeOf(client), 'STATIC', 'and nothing goes there');
  });

  test('authorities alone are for every proxy of the namespace; of a Secret of their own first', async () => {
    const credentials = all();
    credentials.readers.clear();
    const other = await createFakeCa();
    credentials.secrets.set('shop/bank-cacert', { cacert: other.root });
    using bed = await startEnvoyBed(`${mesh}---${rule('SIMPLE')}`, { credentials });
    using client = await new EnvoyClient(bed.port).settled();
    await until('they are there', () => secretsOf(client).length === 1);
    const made = client.get(secretTypeUrl, 'kubernetes://bank-cacert') as unknown as {
      readonly validation_context: { readonly trusted_ca: { readonly inline_bytes: Uint8Array } };
    };
    assert.equal(String(Buffer.from(made.validation_context.trusted_ca.inline_bytes)), other.root);
    assert.equal(typeOf(client), 'STRICT_DNS');
  });

  test('where it is not to be had nothing is sent, and the rule says why', async () => {
    const reasons: [RegExp, (c: TestCredentials) => void, string?][] = [
      [/shop\/waypoint may not list Secrets in shop: bind it a Role/, (c) => c.readers.clear()],
      [/there is no Secret shop\/bank/, (c) => c.secrets.clear()],
      [/has neither tls\.crt and tls\.key/, (c) => c.secrets.set('shop/bank', { 'ca.crt': ca.root })],
      [/expected the name of a Secret in namespace shop/, () => undefined, 'kubernetes://other/bank'],
      [/shop\/bank: the key is not the one/, (c) => c.secrets.set('shop/bank', { ...pair, 'tls.key': otherKey })],
    ];
    const { privateKey: otherKey } = await ca.issue({ trustDomain: 'td', namespace: 'shop', serviceAccount: 'b' });
    for (const [reason, spoil, name = 'bank'] of reasons) {
      const credentials = all();
      spoil(credentials);
      const yaml = rule('MUTUAL').replace('credentialName: bank', `credentialName: "${name}"`);
      using bed = await startEnvoyBed(`${mesh}---${yaml}`, { credentials });
      const [object] = objectsOf(yaml);
      const { outcome } = bed.mesh.index.envoy.trace((view) =>
        destinationRuleConditions(view, object as unknown as DestinationRule),
      );
      assert.ok(outcome.kind === 'made');
      const said = outcome.value.get('ResolvedRefs');
      assert.deepEqual([said?.status, said?.reason], ['False', 'InvalidCertificateRef']);
      assert.match(said!.message, reason);
      if (reason.source.includes('the key is not')) continue;
      using client = await new EnvoyClient(bed.port).settled();
      assert.equal(typeOf(client), 'STATIC', String(reason));
      assert.deepEqual(secretsOf(client), []);
    }
  });

  test('a proxy that has shown no token gets nothing', async () => {
    using bed = await startEnvoyBed(`${mesh}---${rule('SIMPLE')}`);
    using client = await new EnvoyClient(bed.port).settled();
    assert.equal(typeOf(client), 'STATIC');
  });

  test('who comes while it is looked up is told nothing before', async () => {
    const credentials = all();
    credentials.isPending = true;
    using bed = await startEnvoyBed(`${mesh}---${rule('SIMPLE')}`, { credentials });
    using client = new EnvoyClient(bed.port);
    await until('it is connected', () => bed.xds.statuses().some((s) => s.id !== ''));
    assert.deepEqual(client.responses, []);
    credentials.isPending = false;
    for (const lookup of ['secret shop/bank', 'secret shop/bank-cacert', 'reader shop/waypoint']) bed.looked(lookup);
    await until('everything', () => client.names(listenerTypeUrl).length > 0 && secretsOf(client).length > 0);
    assert.equal(typeOf(client), 'STRICT_DNS');
  });
});
