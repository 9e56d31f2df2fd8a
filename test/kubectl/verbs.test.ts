/** The real kubectl against `istiod apiserver`, verb by verb. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startTestServer, type TestServer } from '../../istiod/apiserver/testing/client.ts';
import { Kubectl, skipWithoutKubectl } from '../harness/kubectl.ts';

const manifests = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {part: test}}
data: {a: "1"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {part: test}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "nginx:1", ports: [{containerPort: 80}], env: [{name: A, value: "1"}]}
`;

describe('kubectl', { skip: skipWithoutKubectl() }, () => {
  let server: TestServer;
  let kubectl: Kubectl;
  before(async () => {
    server = await startTestServer();
    kubectl = new Kubectl(server.server.kubeconfig);
  });
  after(() => server[Symbol.asyncDispose]());

  test('api-resources, api-versions, version, explain', async () => {
    assert.match(await kubectl.ok(['api-resources']), /^deployments +deploy +apps\/v1 +true +Deployment$/m);
    assert.match(await kubectl.ok(['api-versions']), /^apps\/v1$/m);
    assert.match(await kubectl.ok(['version']), /^Server Version: v1\.\d+/m);
    assert.match(await kubectl.ok(['explain', 'deployment.spec.template.spec.containers']), /^ {2}image\t<string>$/m);
  });

  test('create sends protobuf', async () => {
    await kubectl.ok(['create', 'namespace', 'made']);
    await kubectl.ok(['create', 'configmap', 'made', '-n', 'made', '--from-literal=a=1', '--from-literal=empty=']);
    await kubectl.ok(['create', 'deployment', 'made', '-n', 'made', '--image=nginx:1', '--replicas=0', '--port=80']);
    assert.equal(
      await kubectl.ok(['get', 'deploy', 'made', '-n', 'made', '-o', 'jsonpath={.spec.replicas} {..containerPort}']),
      '0 80',
    );
    await kubectl.ok(['create', 'secret', 'generic', 'made', '-n', 'made', '--from-literal=password=x']);
    assert.equal(
      await kubectl.ok(['get', 'cm', 'made', '-n', 'made', '-o', 'jsonpath={.data}']),
      '{"a":"1","empty":""}',
    );
    assert.equal(await kubectl.ok(['get', 'secret', 'made', '-n', 'made', '-o', 'jsonpath={.data.password}']), 'eA==');
  });

  test('apply, twice and changed; get, patch, label, annotate, scale, describe, delete', async () => {
    assert.equal(
      await kubectl.ok(['apply', '-f', '-'], manifests),
      'configmap/settings created\ndeployment.apps/web created\n',
    );
    assert.equal(
      await kubectl.ok(['apply', '-f', '-'], manifests),
      'configmap/settings unchanged\ndeployment.apps/web unchanged\n',
    );
    const changed = manifests.replace('replicas: 2', 'replicas: 3').replace('{a: "1"}', '{b: "2"}');
    await kubectl.ok(['apply', '-f', '-'], changed);
    assert.equal(await kubectl.ok(['get', 'cm', 'settings', '-o', 'jsonpath={.data}']), '{"b":"2"}');
    assert.match(
      await kubectl.ok(['get', 'deploy', 'web', '-o', 'wide']),
      /^web +0\/3 +\d +0 +\d+s +web +nginx:1 +app=web$/m,
    );
    await kubectl.ok([
      'patch',
      'deploy',
      'web',
      '-p',
      '{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"nginx:2"}]}}}}',
    ]);
    await kubectl.ok(['patch', 'cm', 'settings', '--type=json', '-p', '[{"op":"add","path":"/data/c","value":"3"}]']);
    await kubectl.ok(['patch', 'cm', 'settings', '--type=merge', '-p', '{"data":{"b":null}}']);
    await kubectl.ok(['label', 'cm', 'settings', 'tier=one']);
    await kubectl.ok(['annotate', 'cm', 'settings', 'note=text']);
    await kubectl.ok(['scale', 'deploy', 'web', '--replicas=5']);
    assert.match(await kubectl.ok(['describe', 'deploy', 'web']), /Replicas: +5 desired/);
    assert.equal(await kubectl.ok(['get', 'cm', '-l', 'tier=one', '-o', 'jsonpath={.items[*].data}']), '{"c":"3"}');
    await kubectl.ok(['wait', '--for=jsonpath={.spec.replicas}=5', 'deploy/web', '--timeout=10s']);
    await kubectl.ok(['delete', 'deploy,cm', '-l', 'part=test']);
    const gone = await kubectl.run(['get', 'deploy', 'web']);
    assert.deepEqual([gone.code, gone.stderr], [1, 'Error from server (NotFound): deployments.apps "web" not found\n']);
  });

  test('a List is applied item by item', async () => {
    const item = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { a: 'b' } });
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [item('one'), item('two')] });
    assert.equal(await kubectl.ok(['apply', '-f', '-'], list), 'configmap/one created\nconfigmap/two created\n');
    assert.equal(
      await kubectl.ok(['delete', '-f', '-'], list),
      'configmap "one" deleted from default namespace\nconfigmap "two" deleted from default namespace\n',
    );
  });

  test('server-side apply: created, unchanged, a conflict, taken by force; over from client-side apply; diff', async () => {
    const apply = (who: string, input: string, ...more: string[]) =>
      kubectl.run(['apply', '--server-side', `--field-manager=${who}`, ...more, '-f', '-'], input);
    const of = (a: string) => `{apiVersion: v1, kind: ConfigMap, metadata: {name: owned}, data: {a: "${a}"}}`;
    assert.equal((await apply('one', of('1'))).stdout, 'configmap/owned serverside-applied\n');
    const version = () => kubectl.ok(['get', 'cm', 'owned', '-o', 'jsonpath={.metadata.resourceVersion}']);
    const before = await version();
    assert.equal((await apply('one', of('1'))).code, 0);
    assert.equal(await version(), before);
    const refused = await apply('two', of('2'));
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /Apply failed with 1 conflict: conflict with "one": \.data\.a/);
    assert.match(refused.stderr, /--force-conflicts/);
    const diff = await kubectl.run(['diff', '--server-side', '--force-conflicts', '-f', '-'], of('2'));
    assert.deepEqual(
      [diff.code, /^-\s+a: "1"$/m.test(diff.stdout), /^\+\s+a: "2"$/m.test(diff.stdout)],
      [1, true, true],
    );
    assert.equal((await apply('two', of('2'), '--force-conflicts')).code, 0);
    const managers = ['get', 'cm', 'owned', '-o', 'jsonpath={.metadata.managedFields[*].manager}'];
    assert.equal(await kubectl.ok([...managers, '--show-managed-fields']), 'two');

    await kubectl.ok(['apply', '-f', '-'], manifests);
    const changed = manifests.replace('replicas: 2', 'replicas: 4').replace('{a: "1"}', '{b: "2"}');
    await kubectl.ok(['apply', '--server-side', '-f', '-'], changed);
    assert.equal(await kubectl.ok(['get', 'cm', 'settings', '-o', 'jsonpath={.data}']), '{"b":"2"}');
    assert.equal(await kubectl.ok(['get', 'deploy', 'web', '-o', 'jsonpath={.spec.replicas}']), '4');
    await kubectl.ok(['delete', 'deploy,cm', '-l', 'part=test']);
  });

  test('mistakes are told in the words of the server', async () => {
    const { code, stderr } = await kubectl.run(['apply', '-f', '-'], manifests.replace('replicas: 2', 'replicaz: 2'));
    assert.equal(code, 1);
    assert.match(stderr, /strict decoding error: unknown field "spec\.replicaz"/);
  });
});
