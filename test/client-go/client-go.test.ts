/** Kubernetes' own Go client, as controllers use it: test/client-go/*.go has the scenarios. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { type Json, startTestServer, type TestServer } from '../../istiod/apiserver/testing/client.ts';
import { ClientProgram } from '../harness/client-program.ts';
import { goProgramPath, skipWithoutGoPrograms } from '../harness/go-programs.ts';
import { testInformer } from '../harness/informers.ts';
import { Running, wait } from '../harness/running.ts';

const definition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'boxes.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'boxes', kind: 'Box' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: { spec: { type: 'object', properties: { size: { type: 'integer', default: 1 } } } },
          },
        },
      },
    ],
  },
};

async function define({ client }: TestServer): Promise<void> {
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  await client.ask(path, { method: 'POST', body: definition });
  await until('the definition is served', async () => {
    const { json } = await client.ask(`${path}/boxes.example.com`);
    return json.status?.conditions?.some((c: Json) => c.type === 'Established' && c.status === 'True');
  });
}

describe('client-go', { skip: skipWithoutGoPrograms('client-go') }, () => {
  let server: TestServer;
  let program: ClientProgram;
  before(async () => {
    server = await startTestServer();
    program = new ClientProgram(goProgramPath('client-go'), server.server.kubeconfig);
    await define(server);
  });
  after(() => server[Symbol.asyncDispose]());

  async function make(path: string, body: object, method = 'POST'): Promise<Json> {
    const { code, json } = await server.client.ask(path, { method, body });
    assert.ok(code < 300, JSON.stringify(json));
    return json;
  }

  async function namespace(name: string): Promise<string> {
    await make('/api/v1/namespaces', { metadata: { name } });
    return name;
  }

  for (const scenario of ['built-in', 'refusals', 'apply', 'events']) {
    test(scenario, async () => {
      await program.ok([scenario, await namespace(scenario)]);
    });
  }

  test('discovery, aggregated and not; OpenAPI v2 in protobuf and v3', async () => {
    await program.ok(['discovery']);
  });

  test('custom resources, found by the RESTMapper', async () => {
    await program.ok(['custom', await namespace('boxes'), 'example.com', 'v1', 'Box']);
  });

  test('pages', async () => {
    const name = await namespace('pages');
    const body = (n: number) => ({ metadata: { name: `m${n}`, labels: { pages: 'yes' } } });
    for (let n = 0; n < 20; n++) await make(`/api/v1/namespaces/${name}/configmaps`, body(n));
    await program.ok(['pages', name, '20']);
  });

  test('all objects are the same in JSON and in protobuf', async () => {
    const { objects } = JSON.parse(await program.ok(['formats', 'all']));
    assert.ok(objects > 50, `${objects} objects`);
  });

  test('leader election: one leads; the other follows one that is killed, and one that steps down', async () => {
    const space = await namespace('election');
    const candidate = (name: string) =>
      new Running([goProgramPath('client-go'), 'elect', space, 'lock', name], server.server.kubeconfig);
    const leads = (c: Running) => c.events('leads').length > 0;
    await using one = candidate('one');
    await until('one leads', () => leads(one), wait);
    await using two = candidate('two');
    await until('two knows', () => two.events('leader').at(-1)?.identity === 'one', wait);
    assert.equal(leads(two), false);
    await one.kill('SIGKILL');
    await until('two leads', () => leads(two), wait);
    await using three = candidate('three');
    await until('three knows', () => three.events('leader').at(-1)?.identity === 'two', wait);
    await two.kill('SIGTERM');
    await until('three leads', () => leads(three), wait);
    const { json } = await server.client.ask(`/apis/coordination.k8s.io/v1/namespaces/${space}/leases/lock`);
    assert.equal(json.spec.holderIdentity, 'three');
    assert.equal(json.spec.leaseTransitions, 2);
  });

  const maps = { path: '/api/v1/namespaces/default/configmaps', apiVersion: 'v1', kind: 'ConfigMap' };
  const command = (form: string, resource: string) => [
    goProgramPath('client-go'),
    'informer',
    'default',
    form,
    resource,
  ];
  testInformer({ title: 'a typed informer', command: command('typed', '/v1/configmaps'), ...maps });
  testInformer({ title: 'an informer of metadata', command: command('metadata', '/v1/configmaps'), ...maps });
  testInformer({
    title: 'a dynamic informer',
    command: command('dynamic', 'example.com/v1/boxes'),
    path: '/apis/example.com/v1/namespaces/default/boxes',
    apiVersion: 'example.com/v1',
    kind: 'Box',
    prepare: define,
  });
});
