import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { credentials as grpcCredentials, type ServiceError } from '@grpc/grpc-js';
import { systemClock } from '../../common/core/clock.ts';
import { LogLevels } from '../../common/core/log.ts';
import { until } from '../../common/testing/until.ts';
import { readKubeconfig, TestClient } from '../apiserver/testing/client.ts';
import { bearer, sign } from '../testing/world.ts';
import { parseStandaloneConfig } from './config.ts';
import { isStandalone } from './flag.ts';
import { startStandalone } from './standalone.ts';

test('flags of both, with the command or without', () => {
  const flags = [
    '--standalone',
    '--data-dir',
    '/d',
    '--listen=127.0.0.1:1,[::1]:2',
    '--grpcAddr',
    ':3',
    '--manifests',
    'm',
  ];
  for (const args of [flags, ['discovery', ...flags]]) {
    assert.ok(isStandalone(args));
    const parsed = parseStandaloneConfig(args, {
      KUBECONFIG: '/another',
      CLUSTER_ID: 'c',
    });
    assert.ok(parsed.kind === 'ok');
    const { apiServer, discovery, manifests } = parsed.config;
    assert.deepEqual([apiServer.dataDir, apiServer.listen.length, manifests], ['/d', 2, 'm']);
    assert.deepEqual(
      [discovery.grpc?.port, discovery.clusterId, discovery.ca.vault, discovery.objects],
      [3, 'c', { kind: 'folder', dir: '/d/istiod' }, { kind: 'kubeconfig', paths: '/d/kubeconfig' }],
    );
  }
});

test('mistakes of both are told together, once', () => {
  const args = ['--standalone', 'more', '--listen', 'x', '--grpcAddr', 'y', '--bla', '--kubeconfig', '/k'];
  const parsed = parseStandaloneConfig(args, { RUST_LOG: 'loud' });
  assert.ok(parsed.kind === 'invalid');
  const said = parsed.errors.join('\n');
  for (const part of [/"more"/, /--listen=x/, /--grpcAddr=y/, /--bla is not a flag/, /exclude each other/, /RUST_LOG/])
    assert.match(said, part);
  assert.equal(said.match(/RUST_LOG/g)?.length, 1);
});

test('discovery announces what is applied to the API server beside it', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'aq-standalone-'));
  const manifests = join(dir, 'manifests');
  await mkdir(manifests);
  const service = 'apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n';
  await writeFile(join(manifests, 'web.yaml'), service);
  const policy =
    'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: none}\nspec: {action: DENY, rules: [{}]}\n';
  await writeFile(join(manifests, 'policy.yaml'), policy);
  await writeFile(join(manifests, 'bad.yaml'), service.replace('port: 80', 'port: 99999').replace('web', 'bad'));
  const loopback = ['grpcAddr', 'secureGRPCAddr', 'monitoringAddr', 'httpAddr', 'httpsAddr', 'consoleAddr'].map(
    (flag) => `--${flag}=127.0.0.1:0`,
  );
  const args = [
    '--standalone',
    '--data-dir',
    join(dir, 'data'),
    '--listen=127.0.0.1:0',
    '--manifests',
    manifests,
    ...loopback,
  ];
  const parsed = parseStandaloneConfig(args, {});
  assert.ok(parsed.kind === 'ok');
  const sink = { levels: new LogLevels('off'), format: 'plain' as const, write: () => undefined };
  const standalone = await startStandalone(parsed.config, { clock: systemClock, sink });
  const debug = async (page: string) =>
    (await fetch(`http://127.0.0.1:${standalone.discovery.ports.monitoring}/debug/${page}`)).text();
  await until('the service of the file', async () => (await debug('registryz')).includes('web.default.svc'));
  assert.match(await debug('problems'), /bad\.yaml:4:.*spec\.ports\[0\]\.port/);
  const client = new TestClient(await readKubeconfig(standalone.apiServer.kubeconfig));
  const body = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'api' }, spec: { ports: [{ port: 80 }] } };
  const made = await client.ask('/api/v1/namespaces/default/services', { method: 'POST', body });
  assert.equal(made.code, 201);
  await until('the service that was posted', async () => (await debug('registryz')).includes('api.default.svc'));
  const path = '/apis/security.istio.io/v1/namespaces/default/authorizationpolicies/none';
  const accepted = async () => (await client.ask(path)).json.status?.conditions?.[0];
  await until('the policy to be accepted', async () => (await accepted())?.type === 'ZtunnelAccepted');
  const token = await podToken(client);
  const ends: (() => void)[] = [];
  const world = {
    istiod: standalone.discovery,
    tls: () => grpcCredentials.createSsl(Buffer.from(standalone.discovery.rootCertificate)),
    onEnd: (end: () => void) => void ends.push(end),
  };
  const chain = await until('the pod to be known, and its certificate', async () => {
    const signed = await sign(world, { metadata: bearer(token) });
    return Array.isArray(signed) ? signed : undefined;
  });
  assert.match(
    new X509Certificate(chain[0]).subjectAltName ?? '',
    /spiffe:\/\/cluster\.local\/ns\/default\/sa\/default/,
  );
  const foreign = (await sign(world, { metadata: bearer(client.config.token) })) as ServiceError;
  assert.match(foreign.message, /UNAUTHENTICATED/);
  for (const end of ends) end();
  const root = '/api/v1/namespaces/default/configmaps/istio-ca-root-cert';
  await until('the root', async () => (await client.ask(root)).code === 200);
  client.close();
  await standalone.stop();
  await rm(dir, { recursive: true });
});

/** Of a pod of the service account default/default, for istiod. */
async function podToken(client: TestClient): Promise<string> {
  const core = '/api/v1/namespaces/default';
  const pod = { metadata: { name: 'a' }, spec: { nodeName: 'n', containers: [{ name: 'c', image: 'x' }] } };
  const made = await until('the service account', async () => {
    const asked = await client.ask(`${core}/pods`, { method: 'POST', body: { apiVersion: 'v1', kind: 'Pod', ...pod } });
    return asked.code === 201 && asked.json;
  });
  const spec = {
    audiences: ['istio-ca'],
    boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'a', uid: made.metadata.uid },
  };
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
  const answer = await client.ask(`${core}/serviceaccounts/default/token`, { method: 'POST', body });
  assert.equal(answer.code, 201, answer.body.toString());
  return answer.json.status.token;
}
