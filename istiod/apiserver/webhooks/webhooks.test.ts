import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { identity } from '../../../common/testing/builders.ts';
import { createFakeCa } from '../../../common/testing/fake-ca.ts';
import { type Json, startTestServer, type TestClient } from '../testing/client.ts';

const ca = await createFakeCa();
const certificate = await ca.issue(identity('default', 'hook'), { dns: ['localhost', 'hook.default.svc'] });
const caBundle = Buffer.from(ca.root).toString('base64');
const configMaps = '/api/v1/namespaces/default/configmaps';

interface Hook extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly reviews: Json[];
}

/** Answers each review with what `respond` says; a string is sent as it is. */
async function startHook(respond: (request: Json) => Json): Promise<Hook> {
  const reviews: Json[] = [];
  const server = createServer(
    { key: certificate.privateKey, cert: certificate.chain.join('\n') },
    async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      const review = JSON.parse(body).request;
      // The server's own controllers write ConfigMaps too.
      if (review.userInfo.username === 'admin') reviews.push(review);
      const answer = respond(review);
      if (answer === undefined) return;
      const { apiVersion, kind } = JSON.parse(body);
      response.end(
        typeof answer === 'string'
          ? answer
          : JSON.stringify({ apiVersion, kind, response: { uid: review.uid, ...answer } }),
      );
    },
  );
  server.listen(0, 'localhost');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://localhost:${port}/review`,
    port,
    reviews,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

const rule = { operations: ['*'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] };
const hook = (name: string, url: string, more: Json = {}): Json => ({
  name: `${name}.example.com`,
  clientConfig: { url, caBundle },
  rules: [rule],
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
  ...more,
});

async function configure(
  client: TestClient,
  kind: 'Mutating' | 'Validating',
  webhooks: Json[],
  name = 'c',
): Promise<Json> {
  const path = `/apis/admissionregistration.k8s.io/v1/${kind.toLowerCase()}webhookconfigurations`;
  const body = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: `${kind}WebhookConfiguration`,
    metadata: { name },
    webhooks,
  };
  return (await client.ask(path, { method: 'POST', body })).json;
}

const configMap = (name: string, data: Json = {}, labels: Json = {}): Json => ({ metadata: { name, labels }, data });
const create = (client: TestClient, object: Json, query = '') =>
  client.ask(`${configMaps}${query}`, { method: 'POST', body: object });
const patch = (...operations: Json[]) => ({
  allowed: true,
  patchType: 'JSONPatch',
  patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
});

test('a webhook sees the request, and its refusal and warnings reach the client', async () => {
  await using server = await startTestServer();
  await using judge = await startHook((r) =>
    r.object?.data?.bad === undefined
      ? { allowed: true, warnings: ['careful'] }
      : { allowed: false, status: { code: 422, reason: 'Invalid', message: 'bad is bad' } },
  );
  const { client } = server;
  const made = await configure(client, 'Validating', [hook('judge', judge.url)]);
  assert.equal(made.webhooks[0].failurePolicy, 'Fail');
  const good = await create(client, configMap('a', { x: '1' }), '?dryRun=All');
  assert.deepEqual([good.code, good.headers.warning], [201, '299 - "careful"']);
  const [review] = judge.reviews;
  assert.deepEqual(
    [
      review.operation,
      review.namespace,
      review.name,
      review.kind.kind,
      review.resource.resource,
      review.userInfo.username,
      review.dryRun,
      review.oldObject,
    ],
    ['CREATE', 'default', 'a', 'ConfigMap', 'configmaps', 'admin', true, null],
  );
  const refused = await create(client, configMap('b', { bad: '1' }));
  assert.deepEqual(
    [refused.code, refused.json.reason, refused.json.message],
    [422, 'Invalid', 'admission webhook "judge.example.com" denied the request: bad is bad'],
  );
  await create(client, configMap('c'));
  await client.ask(`${configMaps}/c`, { method: 'DELETE' });
  const deletion = judge.reviews.at(-1);
  assert.deepEqual([deletion.operation, deletion.object, deletion.oldObject.metadata.name], ['DELETE', null, 'c']);
});

test('webhooks change objects in order, and one that asks for it runs again when a later one changed something', async () => {
  await using server = await startTestServer();
  await using first = await startHook((r) =>
    patch({ op: 'add', path: '/data/seen', value: Object.keys(r.object.data).join('') }),
  );
  await using second = await startHook(() =>
    patch({ op: 'add', path: '/data/second', value: '2' }, { op: 'add', path: '/unknown', value: 1 }),
  );
  const { client } = server;
  await configure(client, 'Mutating', [
    hook('first', first.url, { reinvocationPolicy: 'IfNeeded' }),
    hook('second', second.url),
  ]);
  const { json, code } = await create(client, configMap('a', { x: '1' }));
  assert.equal(code, 201);
  assert.deepEqual(json.data, { x: '1', seen: 'xseensecond', second: '2' });
  assert.equal(json.unknown, undefined);
  assert.deepEqual([first.reviews.length, second.reviews.length], [2, 1]);
});

test('whom a webhook is for: operations, labels, namespaces, conditions; never its own configuration', async () => {
  await using server = await startTestServer();
  await using no = await startHook(() => ({ allowed: false }));
  const { client } = server;
  await configure(client, 'Validating', [
    hook('one', no.url, { rules: [{ ...rule, operations: ['UPDATE'] }] }),
    hook('two', no.url, { objectSelector: { matchLabels: { guarded: 'yes' } } }),
    hook('three', no.url, {
      namespaceSelector: {
        matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['default'] }],
      },
    }),
    hook('four', no.url, {
      matchConditions: [
        {
          name: 'c',
          expression: 'object.metadata.name.startsWith("guarded-") && request.userInfo.username == "admin"',
        },
      ],
    }),
    hook('five', no.url, {
      rules: [{ ...rule, apiGroups: ['*'], apiVersions: ['*'], resources: ['validatingwebhookconfigurations'] }],
    }),
  ]);
  const code = async (object: Json) => (await create(client, object)).code;
  assert.equal(await code(configMap('a')), 201);
  assert.equal(await code(configMap('b', {}, { guarded: 'yes' })), 403);
  assert.equal(await code(configMap('guarded-c')), 403);
  const update = await client.ask(`${configMaps}/a`, {
    method: 'PATCH',
    type: 'application/merge-patch+json',
    body: { data: { x: '1' } },
  });
  assert.match(update.json.message, /one\.example\.com" denied the request without explanation/);
  const removed = await client.ask('/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/c', {
    method: 'DELETE',
  });
  assert.equal(removed.code, 200);
  assert.equal(await code(configMap('b', {}, { guarded: 'yes' })), 201);
});

test('a webhook that fails refuses, or is passed over where its policy says so', async () => {
  await using server = await startTestServer();
  await using odd = await startHook(
    () => '{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"other","allowed":true}}',
  );
  await using silent = await startHook(() => undefined);
  const { client } = server;
  const tryOne = async (webhook: Json, kind: 'Mutating' | 'Validating' = 'Validating') => {
    await configure(client, kind, [webhook], 'try');
    const answer = await create(client, configMap('a'), '?dryRun=All');
    await client.ask(`/apis/admissionregistration.k8s.io/v1/${kind.toLowerCase()}webhookconfigurations/try`, {
      method: 'DELETE',
    });
    return `${answer.code} ${answer.json.message ?? ''}`;
  };
  assert.match(await tryOne(hook('odd', odd.url)), /^500 .*failed calling webhook "odd\.example\.com": .*uid/);
  assert.match(await tryOne(hook('silent', silent.url, { timeoutSeconds: 1 })), /^500 .*no answer within 1 s/);
  assert.match(await tryOne(hook('ignored', odd.url, { failurePolicy: 'Ignore' })), /^201/);
  assert.match(await tryOne(hook('foreign', odd.url, { clientConfig: { url: odd.url } })), /^500 .*certificate/);
  assert.match(
    await tryOne(hook('condition', odd.url, { matchConditions: [{ name: 'c', expression: 'object.nothing == 1' }] })),
    /^500 .*no such key/,
  );
  assert.match(
    await tryOne(hook('gone', '', { clientConfig: { service: { namespace: 'default', name: 'gone' }, caBundle } })),
    /^500 .*default\/gone is not there/,
  );
});

test('a webhook behind a Service is called by the name of the Service', async () => {
  await using server = await startTestServer();
  await using judge = await startHook(() => ({ allowed: false, status: { message: 'found' } }));
  const { client } = server;
  const service = { metadata: { name: 'hook' }, spec: { type: 'ExternalName', externalName: 'localhost' } };
  await client.ask('/api/v1/namespaces/default/services', { method: 'POST', body: service });
  const clientConfig = { caBundle, service: { namespace: 'default', name: 'hook', port: judge.port, path: '/p' } };
  await configure(client, 'Validating', [hook('judge', '', { clientConfig })]);
  assert.match((await create(client, configMap('a'))).json.message, /found/);
});

test('configurations that cannot work are refused', async () => {
  await using server = await startTestServer();
  const json = await configure(server.client, 'Validating', [
    hook('x', 'http://a/', {
      sideEffects: 'Some',
      timeoutSeconds: 31,
      admissionReviewVersions: ['v1beta1'],
      matchConditions: [{ name: 'c', expression: '1 +' }],
    }),
  ]);
  assert.deepEqual(
    json.details.causes.map((c: Json) => c.field),
    [
      'clientConfig.url',
      'sideEffects',
      'timeoutSeconds',
      'admissionReviewVersions',
      'matchConditions[0].expression',
    ].map((f) => `webhooks[0].${f}`),
  );
});
