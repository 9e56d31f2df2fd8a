/** The real kubectl asks who it is and what it may do, makes tokens, and approves certificates. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createCsr } from '../../common/identity/csr.ts';
import { until } from '../../common/testing/until.ts';
import { startTestServer, type TestServer } from '../../istiod/apiserver/testing/client.ts';
import { Kubectl, skipWithoutKubectl } from '../harness/kubectl.ts';

describe('kubectl', { skip: skipWithoutKubectl() }, () => {
  let server: TestServer;
  let kubectl: Kubectl;
  before(async () => {
    server = await startTestServer();
    kubectl = new Kubectl(server.server.kubeconfig);
    await kubectl.ok(['create', 'serviceaccount', 'app']);
  });
  after(() => server[Symbol.asyncDispose]());

  test('auth whoami, also as another', async () => {
    assert.match(await kubectl.ok(['auth', 'whoami']), /^Username +admin$/m);
    const other = await kubectl.ok(['auth', 'whoami', '--as=jane', '--as-group=a', '--as-group=b', '--as-uid=7']);
    assert.match(other, /^Username +jane$/m);
    assert.match(other, /^UID +7$/m);
    assert.match(other, /^Groups +\[a b system:authenticated\]$/m);
  });

  test('create token, and a request with it', async () => {
    const token = (await kubectl.ok(['create', 'token', 'app', '--duration=20m', '--audience=x'])).trim();
    assert.equal(token.split('.').length, 3);
    const own = (await kubectl.ok(['create', 'token', 'app'])).trim();
    assert.match(await kubectl.ok(['auth', 'whoami', '--token', own]), /system:serviceaccount:default:app/);
    assert.notEqual((await kubectl.run(['auth', 'whoami', '--token', token])).code, 0);
  });

  test('create role and rolebinding, auth can-i and --list', async () => {
    const account = '--as=system:serviceaccount:default:app';
    const can = async (...what: string[]) => (await kubectl.run(['auth', 'can-i', ...what, account])).stdout.trim();
    assert.match(await can('get', 'pods'), /^no/);
    await kubectl.ok(['create', 'role', 'pods', '--verb=get,list', '--resource=pods,pods/log,deployments.apps']);
    await kubectl.ok(['create', 'rolebinding', 'pods', '--role=pods', '--serviceaccount=default:app']);
    assert.equal(await can('get', 'pods'), 'yes');
    assert.equal(await can('get', 'pods', '--subresource=log'), 'yes');
    assert.equal(await can('list', 'deployments.apps'), 'yes');
    assert.match(await can('delete', 'pods'), /^no/);
    assert.match(await can('get', 'pods', '-n', 'kube-system'), /^no/);
    assert.equal(await can('get', '/healthz'), 'yes');
    const list = await kubectl.ok(['auth', 'can-i', '--list', account]);
    assert.match(list, /^pods\/log +\[\] +\[\] +\[get list\]$/m);
    assert.match(list, /^selfsubjectreviews.authentication.k8s.io +\[\] +\[\] +\[create\]$/m);
    const { code, stderr } = await kubectl.run(['get', 'secrets', account]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /Error from server \(Forbidden\): secrets is forbidden: User "system:serviceaccount:default:app" cannot list resource "secrets" in API group "" in the namespace "default"/,
    );
  });

  test('auth reconcile adds what is missing', async () => {
    const manifest = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reconciled, namespace: default}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reconciled, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reconciled}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: jane}]
`;
    assert.match(await kubectl.ok(['auth', 'reconcile', '-f', '-'], manifest), /rolebinding.*reconciled reconciled/);
    assert.match(
      await kubectl.ok(['auth', 'reconcile', '-f', '-'], manifest.replace('[get]', '[get, list]')),
      /role.*reconciled reconciled/,
    );
    assert.equal((await kubectl.run(['auth', 'can-i', 'list', 'cm', '--as=jane'])).stdout.trim(), 'yes');
  });

  test('describe shows roles, and nobody grants more than they hold', async () => {
    assert.match(
      await kubectl.ok(['describe', 'clusterrole', 'view']),
      /^ +configmaps +\[\] +\[\] +\[get list watch\]$/m,
    );
    await kubectl.ok(['create', 'rolebinding', 'boss', '--clusterrole=admin', '--user=boss']);
    const up = await kubectl.run([
      'create',
      'rolebinding',
      'up',
      '--clusterrole=cluster-admin',
      '--user=boss',
      '--as=boss',
    ]);
    assert.match(up.stderr, /attempting to grant RBAC permissions not currently held/);
  });

  test('certificate approve and deny', async () => {
    const { csr } = await createCsr({ trustDomain: 'x', namespace: 'n', serviceAccount: 's' });
    const manifest = (name: string) => `
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: ${name}}
spec: {request: ${Buffer.from(csr).toString('base64')}, signerName: example.com/own, usages: [client auth]}
`;
    for (const name of ['good', 'bad']) await kubectl.ok(['apply', '-f', '-'], manifest(name));
    assert.match(await kubectl.ok(['certificate', 'approve', 'good']), /good approved/);
    assert.match(await kubectl.ok(['certificate', 'deny', 'bad']), /bad denied/);
    const state = (name: string) => kubectl.ok(['get', 'csr', name, '--no-headers']);
    assert.match(await state('good'), /Approved/);
    assert.match(await state('bad'), /Denied/);
  });

  test('a Secret gets a token', async () => {
    await kubectl.ok(
      ['apply', '-f', '-'],
      `
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: old, annotations: {kubernetes.io/service-account.name: app}}
`,
    );
    const token = await kubectl.ok(['get', 'secret', 'old', '-o', 'jsonpath={.data.token}']);
    const text = Buffer.from(token, 'base64').toString();
    assert.match(await kubectl.ok(['auth', 'whoami', '--token', text]), /system:serviceaccount:default:app/);
    await kubectl.ok(['delete', 'serviceaccount', 'app']);
    await until(
      'the Secret goes with its account',
      async () => (await kubectl.run(['get', 'secret', 'old'])).code !== 0,
    );
    assert.notEqual((await kubectl.run(['auth', 'whoami', '--token', text])).code, 0);
  });
});
